"""README.md is true: its examples run and are typed, its commands and files exist."""

import os
import re
import subprocess
import sys

import pytest

from support.sources import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
EXAMPLES = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]


def run(*command, folder):
    """Outcome of a command. mypy reads the sources: an editable installation hides them from it."""
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.splitlines()[0][:40])
def test_example_runs(text, tmp_path):
    (tmp_path / "example.py").write_text(text)
    done = run(sys.executable, "-W", "error", "example.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_examples_are_typed(tmp_path):
    for number, text in enumerate(EXAMPLES):
        (tmp_path / f"example_{number}.py").write_text(text)
    done = run(sys.executable, "-m", "mypy", "--strict", ".", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


def test_commands_exist():
    from fusible.__main__ import commands

    known = set(commands.commands)
    named = set(re.findall(r"\bfusible ([a-z]+)", "\n".join(COMMANDS)))
    assert named - known == set()
    assert {"demo", "suite", "gate"} <= named
    scripts = set(re.findall(r"(?<![\w/.])(\.?ci/\w+(?:\.py)?)", README))
    assert {s for s in scripts if not (ROOT / s).exists()} == set()


def test_named_files_exist():
    named = set(re.findall(r"`((?:csrc|python|tests|benchmarks|ci)/[\w./-]+\w)`", README))
    assert {path for path in named if not (ROOT / path).exists()} == set()
