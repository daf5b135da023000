"""The command line as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys


def run(
    *args: str, code: int = 0, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """What `fusible ARGS` printed; it has to exit with this code."""
    command = [sys.executable, "-m", "fusible", *args]
    env = {**os.environ, **environment}
    done = subprocess.run(
        command, capture_output=True, text=True, input=stdin, check=False, env=env
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def refused(*args: str, stdin: str = "", **environment: str) -> str:
    """The one line that bad input is answered with."""
    done = run(*args, code=2, stdin=stdin, **environment)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("fusible: error: ")
    assert "Traceback" not in done.stderr
    return lines[-1]
