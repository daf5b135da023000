"""Small pytest projects made on the fly, run by `fusible suite` or by pytest alone.

FUSIBLE_SUITE_PYTHON is the tests' interpreter (another version of pytest), FUSIBLE_SUITE_PACKAGE
the folder that holds another copy of the package (one with a broken extension).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.sources import ROOT

PYTHON = os.environ.get("FUSIBLE_SUITE_PYTHON", sys.executable)
PACKAGE = os.environ.get("FUSIBLE_SUITE_PACKAGE", str(ROOT / "python"))
LONGEST = 120  # seconds a command may take before it counts as hung: far above all of them
# What a CI sets for the outer pytest is not meant for the suites under test.
STRANGERS = ("PYTEST_", "GITHUB_", "PYTHON", "FUSIBLE_", "COVERAGE", "COV_", "LD_PRELOAD")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what steers pytest, and with the package on the path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(STRANGERS)}
    # Plugins that happen to be installed cost half a second a process.
    quick = {"PYTHONPATH": PACKAGE, "TERM": "dumb", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return {**kept, **quick, **(extra or {})}


def project(folder: Path, files: Mapping[str, str]) -> Path:
    """Writes a project; an empty pytest.ini makes its folder the rootdir."""
    for name, text in {"pytest.ini": "[pytest]\n", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Ran:
    """What `fusible suite run --json` said."""

    exit: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        """The JSON object."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    @property
    def tests(self) -> list[dict[str, Any]]:
        return list(self.report["tests"])

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by the part of the id behind the file; twins are numbered."""
        return {numbered(test): test["outcome"] for test in self.tests}

    def test(self, name: str) -> dict[str, Any]:
        """The one test whose id ends so."""
        (found,) = (test for test in self.tests if numbered(test) == name)
        return found

    def explained(self) -> str:
        """For the message of an assertion."""
        return f"exit {self.exit}\n{self.stdout}\n{self.stderr}"


def short(node_id: str) -> str:
    """What follows the file, and the file where nothing follows."""
    return node_id.partition("::")[2] or node_id


def numbered(test: Mapping[str, Any]) -> str:
    """The short id, with a number behind it from the second occurrence on."""
    occurrence = test.get("occurrence", 0)
    return short(test["id"]) + (f" #{occurrence + 1}" if occurrence else "")


def run_command(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """`fusible suite …` in a folder; raises if it hangs."""
    env = environment(options.pop("env", None))
    command = [sys.executable, "-m", "fusible", "suite", *arguments]
    return captured(command, cwd=folder, env=env, **options)


def heed_interrupts() -> None:
    """A shell's `&` makes all that it starts ignore SIGINT, and a child inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """`fusible suite run` with the tests' interpreter, not waited for, that heeds SIGINT."""
    command = [sys.executable, "-m", "fusible", "suite", "run", "--python", PYTHON, *arguments]
    env = environment(options.pop("env", None))
    defaults = {"stdin": subprocess.DEVNULL, "preexec_fn": heed_interrupts}
    return subprocess.Popen(command, cwd=folder, env=env, **defaults, **options)


def captured(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command with nothing to read, and keeps what it prints."""
    defaults: dict[str, Any] = {"stdin": subprocess.DEVNULL, "timeout": LONGEST}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
        **{**defaults, **options},
    )


def run(folder: Path, *arguments: str, **options: Any) -> Ran:
    """`fusible suite run … --json` with the tests' interpreter."""
    done = run_command(folder, "run", "--python", PYTHON, "--json", *arguments, **options)
    return Ran(done.returncode, done.stdout, done.stderr, folder)


def pytest_alone(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """`python -m pytest` by the tests' interpreter."""
    env = environment(options.pop("env", None))
    return captured([PYTHON, "-m", "pytest", *arguments], cwd=folder, env=env, **options)


@dataclass(frozen=True)
class Case:
    """A small suite and what must be said of it.

    Attributes:
        outcomes: of every test, by the part of its id behind the file; files by their path.
        exit: the exit status.
        reasons: what the reason of a test contains.
        problems: what the list of problems contains, a part of one for each.
        arguments: of `fusible suite run`; failures never end a run here.
        log: the lines that the tests themselves wrote into the file `log`, sorted.
    """

    name: str
    files: Mapping[str, str]
    outcomes: Mapping[str, str]
    exit: int = 0
    reasons: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    log: tuple[str, ...] | None = None
    folder: str = ""  # where the command runs, inside the project

    def __str__(self) -> str:
        return self.name


def run_case(case: Case, folder: Path) -> Ran:
    """Writes the suite and runs it."""
    project(folder, case.files)
    arguments = ("--continue-on-error", *case.arguments)
    return run(folder / case.folder, *arguments, env=case.env)
