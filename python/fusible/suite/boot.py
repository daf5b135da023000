"""Starts pytest as `python -m pytest ARGUMENTS` would, with the plugin in it.

`PYTHON boot.py SPEC ARGUMENTS…` runs in the tests' interpreter, maybe without fusible: standard
library only, Python 3.8. Nothing goes through the environment or an entry point: a pytest that a
test starts must not write into our ledger.
"""

from __future__ import annotations

import os
import runpy
import sys
import types

NAME = "_fusible_suite"


def main() -> None:
    """Becomes pytest."""
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - as `-m` does
    if sys.path and sys.path[0] == folder:  # -P, safe_path: then `-m` adds nothing either
        sys.path[0] = os.getcwd()  # noqa: PTH109
    # The plugin's files are a package of their own here, else fusible would have to be importable.
    package = types.ModuleType(NAME)
    package.__path__ = [folder]
    sys.modules[NAME] = package
    plugin = __import__(f"{NAME}.plugin").plugin
    plugin.start(sys.argv.pop(1))
    sys.argv[1:1] = ["-p", f"{NAME}.plugin"]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
