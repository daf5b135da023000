"""Measures two things turn about: rounds of base, candidate, candidate, base, or the reverse.

A coin of a fixed seed says which of the two orders a round has. In both a linear drift cancels, and
the coin is what makes the test exact (see `statistics`). A process is one sample, however many
values it gives: what varies from process to process (addresses, pages, the mood of a machine) is
most of the noise, and no repetition inside of one averages it away.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import IO, Any, Protocol

from fusible.gate import document, readers
from fusible.gate.model import GateError, Series
from fusible.gate.readers import Samples

# Where a measured command may write its own samples, as JSON lines.
SAMPLES = "FUSIBLE_GATE_SAMPLES"
# Name of the metric of a command that writes none: its wall time.
WALL = "wall"
# Milliseconds of one sample of a function: a shorter one measures the clock.
SHORTEST = 1.0
# Bytes of what a failed command said that an error repeats.
TAIL = 2000


class Subject(Protocol):
    """Something that can be measured."""

    def sample(self) -> Samples:
        """Runs it once."""


@dataclass(frozen=True)
class Command:
    """A command that is run once a sample, in a process of its own.

    It may write JSON lines to the file that FUSIBLE_GATE_SAMPLES names, or to its output if `pipe`
    is set. If it writes none, its wall time is the sample.

    Attributes:
        argv: the program and its arguments; no shell sees them.
        folder: where it runs; None is here.
        environment: added to ours.
        timeout: seconds; None is no limit.
        pipe: its standard output is JSON lines.
        name: of its wall time.
    """

    argv: tuple[str, ...]
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    pipe: bool = False
    name: str = WALL

    @classmethod
    def parse(cls, text: str) -> Command:
        """The command that a line of text means."""
        try:
            argv = tuple(shlex.split(text))
        except ValueError as error:
            raise GateError(f"command: expected balanced quotes, got {text!r}: {error}") from None
        if not argv:
            raise GateError("command: expected a program and its arguments, got nothing")
        return cls(argv)

    def sample(self) -> Samples:
        """Runs it once; GateError if it can't be started, fails or takes too long."""
        with tempfile.TemporaryDirectory(prefix="fusible-gate-") as folder:
            place = Path(folder) / "samples.jsonl"
            output = Path(folder) / "output"
            seconds = self._run(place, output)
            written = output if self.pipe else place
            if not written.exists() or not written.stat().st_size:
                return Samples((Series(self.name, (seconds * 1e3,)),))
            lines = document.read_text(written).split("\n")
            return readers.lines(lines, f"samples of {shlex.join(self.argv)}")

    def _run(self, place: Path, output: Path) -> float:
        """Seconds that it took."""
        with output.open("wb") as out, tempfile.TemporaryFile() as errors:
            start = perf_counter()
            process = self._start(place, out if self.pipe else subprocess.DEVNULL, errors)
            try:
                code = process.wait(self.timeout)
            except subprocess.TimeoutExpired:
                got = f"none after {self.timeout:g} s"
                raise GateError(f"{shlex.join(self.argv)}: expected an end, got {got}") from None
            finally:
                seconds = perf_counter() - start
                end(process)
            if code:
                raise GateError(_complaint(self.argv, code, errors))
        return seconds

    def _start(
        self, place: Path, out: int | IO[bytes], errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                cwd=self.folder,
                env={**os.environ, **self.environment, SAMPLES: str(place)},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise GateError(
                f"command: expected one that can be started, got {shlex.join(self.argv)}: {error}"
            ) from None


def end(process: subprocess.Popen[Any]) -> None:
    """Ends what is left of a command and of the processes that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _complaint(argv: tuple[str, ...], code: int, errors: IO[bytes]) -> str:
    how = f"exit status {code}" if code > 0 else signal.Signals(-code).name
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - TAIL))
    said = errors.read().decode("utf-8", "replace").strip()
    return f"{shlex.join(argv)}: expected exit status 0, got {how}" + (f": {said}" if said else "")


@dataclass
class Function:
    """A function of this process, called often enough that a sample takes a millisecond.

    Attributes:
        call: takes no arguments; what it returns is dropped.
        name: of the metric.
        calls: how many make a sample; 0 finds out.
    """

    call: Callable[[], object]
    name: str = WALL
    calls: int = 0

    def sample(self) -> Samples:
        """Milliseconds of one call."""
        if not self.calls:
            self.call()
            self.calls = 1
            while self._milliseconds() < SHORTEST:
                self.calls *= 2
        return Samples((Series(self.name, (self._milliseconds() / self.calls,)),))

    def _milliseconds(self) -> float:
        """Of all calls of a sample; collecting garbage waits until they are done."""
        collects = gc.isenabled()
        gc.disable()
        try:
            start = perf_counter_ns()
            for _ in range(self.calls):
                self.call()
            return max(perf_counter_ns() - start, 1) / 1e6
        finally:
            if collects:
                gc.enable()


class _Side:
    """All samples of one side."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.counts: dict[str, int] = {}

    def add(self, samples: Samples, number: int) -> None:
        for one in samples.series:
            held = self.series.get(one.name, replace(one, values=(), rounds=()))
            if (held.unit, held.better) != (one.unit, one.better):
                raise GateError(f"{one.name}: unit: expected {held.unit}, got {one.unit}")
            rounds = (*(held.rounds or ()), *(number for _ in one.values))
            self.series[one.name] = replace(held, values=held.values + one.values, rounds=rounds)
        for name, count in samples.counts.items():
            if self.counts.setdefault(name, count) != count:
                raise GateError(f"{name}: expected the count {self.counts[name]}, got {count}")


class Rounds:
    """Rounds of two subjects, and every sample that they gave.

    Attributes:
        taken: how many rounds there are.
    """

    def __init__(
        self, base: Subject, candidate: Subject, *, seed: int = 0, warm_up: int = 1
    ) -> None:
        """Measures nothing yet.

        Args:
            base: what was.
            candidate: what is to be judged; the same object compares a thing with itself.
            seed: of the coin.
            warm_up: runs of each before the first round, whose samples don't count: they fill
                caches of files and of compiled code.
        """
        self.taken = 0
        self._subjects = base, candidate
        self._sides = _Side(), _Side()
        self._coin = random.Random(seed)
        self._warm_up = warm_up

    def take(self, until: int) -> None:
        """Measures until there are that many rounds."""
        for _ in range(self._warm_up):
            for subject in self._subjects:
                subject.sample()
        self._warm_up = 0
        while self.taken < until:
            first = self._coin.randrange(2)
            for side in (first, 1 - first, 1 - first, first):
                self._sides[side].add(self._subjects[side].sample(), self.taken)
            self.taken += 1

    @property
    def base(self) -> list[Series]:
        """All samples of the base."""
        return list(self._sides[0].series.values())

    @property
    def candidate(self) -> list[Series]:
        """All samples of the candidate."""
        return list(self._sides[1].series.values())

    @property
    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """What base and candidate counted; the same in each of their samples."""
        return self._sides[0].counts, self._sides[1].counts
