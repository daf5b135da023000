"""Generated files are what their generator writes now."""

import subprocess
import sys

from support.sources import ROOT


def test_generated_files_are_fresh():
    command = [sys.executable, str(ROOT / "ci/generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
