"""A suite loop as CI scripts write it, to show what it cannot see.

It parses `--collect-only`, gives ids or a -k expression to pytest, reads the output to its end,
takes exit status 0 and 5 for success, and retries what the output makes look worth it with
--last-failed. Nothing in it is made worse than the scripts it stands for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.small_suites import LONGEST, PYTHON, environment, pytest_alone

SUCCESS = (0, 5)
RETRIES = 6
WORTH_A_RETRY = ("[performance]", "TimeoutError", "FileNotFoundError", "out of memory")
PATIENCE = 1.0  # seconds after which a run that has no work left counts as hung


class HungError(Exception):
    """The loop waits for something that never comes."""


@dataclass
class Loop:
    """One project's loop.

    Attributes:
        folder: where it runs.
        continue_on_error: without it, pytest gets -x.
        idle: a file that appears when nothing is left to do; a second later it counts as hung.
        statuses: pytest's exit status of each attempt.
    """

    folder: Path
    continue_on_error: bool = False
    idle: str = ""
    statuses: list[int] = field(default_factory=list)

    def collect(self) -> list[str]:
        """The first word of every line that looks like an id."""
        done = pytest_alone(self.folder, "--collect-only", "-q")
        if done.returncode not in SUCCESS:
            raise RuntimeError(done.stdout + done.stderr)
        lines = [line for line in done.stdout.splitlines() if "::" in line]
        return [line.split()[0] for line in lines if not line.startswith(("=", "-", " "))]

    def by_ids(self, part: int = 0, parts: int = 1) -> int:
        """Collects, takes every n-th id, and gives those to pytest."""
        ids = self.collect()[part::parts]
        return self.attempts(ids) if ids else 0

    def by_filter(self, keys: Sequence[str]) -> int:
        """Selects the cases of a plan by the text in their brackets."""
        return self.attempts(["-k", " or ".join(f"[{key}]" for key in keys)])

    def attempts(self, selection: Sequence[str]) -> int:
        """Runs pytest until it looks good or the retries are used up."""
        stop = () if self.continue_on_error else ("-x",)
        for number in range(1 + RETRIES):
            again = ("--last-failed",) if number else ()
            status, output = self.attempt([*stop, *again, *selection])
            self.statuses.append(status)
            if status in SUCCESS:
                return 0
            if not any(word in output for word in WORTH_A_RETRY):
                break
        return status

    def attempt(self, arguments: Sequence[str]) -> tuple[int, str]:
        """One pytest, its output read until everyone who holds it has closed it."""
        flags = ("-s", "-v", "--tb=short", "--no-header", "--junit-xml=junit.xml")
        command = [PYTHON, "-m", "pytest", *flags, *arguments]
        with open_pipe() as stdin, self._started(command, stdin) as process:
            if self.idle:
                wait_for(self.folder / self.idle)
            try:
                output, _ = process.communicate(timeout=PATIENCE if self.idle else LONGEST)
            except subprocess.TimeoutExpired:
                raise HungError(arguments) from None
            return process.returncode, output

    @contextmanager
    def _started(self, command: Sequence[str], stdin: int) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                end_group(process.pid)


@contextmanager
def open_pipe() -> Iterator[int]:
    """The reading end of a pipe into which nobody writes and which nobody closes."""
    ends = os.pipe()
    try:
        yield ends[0]
    finally:
        for end in ends:
            os.close(end)


def end_group(pid: int) -> None:
    """Ends what a process that was started as a session's leader has left."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_for(path: Path) -> None:
    """Waits until a file is there."""
    until = time.monotonic() + LONGEST
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(path)
        time.sleep(0.02)


def case_results(junit: Path) -> Mapping[str, str]:
    """What such scripts read of a JUnit file: the text in brackets, the last one wins."""
    if not junit.exists():
        return {}
    results = {}
    for case in ET.parse(junit).getroot().iter("testcase"):
        _, bracket, rest = case.get("name", "").partition("[")
        if bracket:
            tags = {child.tag for child in case}
            found = "fail" if "failure" in tags else "error" if "error" in tags else "pass"
            results[rest.partition("]")[0]] = found
    return results
