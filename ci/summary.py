"""Sums pytest's JUnit files and prints one closing line in pytest's own form.

A step that failed without a failing test counts as an error, so that the line is never greener
than the run.
"""

import argparse
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

KEYS = ("tests", "failures", "errors", "skipped")


def read(path: Path) -> dict[str, int]:
    """Counts of one file; a file that cannot be read is one error."""
    try:
        suites = list(ET.parse(path).getroot().iter("testsuite"))
    except (ET.ParseError, OSError):
        return dict(zip(KEYS, (1, 0, 1, 0), strict=True))
    return {key: sum(int(suite.get(key, 0)) for suite in suites) for key in KEYS}


def closing_line(counts: list[dict[str, int]], failed_steps: int, seconds: float) -> str:
    """The line, and so the verdict: it is green only if nothing failed."""
    total = {key: sum(one[key] for one in counts) for key in KEYS}
    red_runs = sum(1 for one in counts if one["failures"] or one["errors"])
    errors = total["errors"] + max(0, failed_steps - red_runs)
    passed = total["tests"] - total["failures"] - total["errors"] - total["skipped"]
    named = [(total["failures"], "failed"), (passed, "passed"), (total["skipped"], "skipped")]
    named.append((errors, "error" if errors == 1 else "errors"))
    parts = [f"{count} {name}" for count, name in named if count or name == "passed"]
    return f"== {', '.join(parts)} in {seconds:.2f}s =="


def main() -> int:
    """Exit status 0 when every test of every file passed, and there was one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--failed-steps", type=int, default=0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("files", type=Path, nargs="*")
    given = parser.parse_args()
    counts = [read(path) for path in given.files]
    print(closing_line(counts, given.failed_steps, given.seconds))
    return 0 if counts and all(not c["failures"] and not c["errors"] for c in counts) else 1


if __name__ == "__main__":
    sys.exit(main())
