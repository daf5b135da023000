"""A partitioned, retrying runner of pytest suites that cannot go falsely green.

The verdict is read from a ledger that a small plugin writes inside the tests' process, one line an
event, and never from an exit status or from a log. Nothing here loads the extension.
"""
