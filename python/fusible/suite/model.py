"""The words of the runner: an item, how an attempt of it ended, what is finally said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class SuiteError(ValueError):
    """Wrong input: a file, an option, a plan that is not of this collection. Exit status 2."""


@dataclass(frozen=True)
class Item:
    """One test as pytest collects it.

    Attributes:
        id: pytest's node id, as it is: any text but a newline.
        occurrence: 0, or how many items of the same id were collected before it.
        file: the file it comes from, relative to pytest's rootdir, with slashes.
    """

    id: str
    occurrence: int = 0
    file: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What makes two items the same."""
        return self.id, self.occurrence

    def __str__(self) -> str:
        return self.id if self.occurrence == 0 else f"{self.id} (occurrence {self.occurrence + 1})"


class Outcome(str, Enum):
    """How a test ended; the value is what JSON and the ledger say."""

    PASSED = "passed"
    FAILED = "failed"  # its call raised, a subtest failed, or it passed against a strict xfail
    ERROR = "error"  # its set-up or tear-down raised; of a file: it can't be collected
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    FLAKY = "flaky"  # an attempt failed, a later one passed
    CRASHED = "crashed"  # its process died or left pytest in the middle of it
    TIMEOUT = "timeout"  # it ran longer than a limit
    LOST = "lost"  # planned, and nobody can say how it ended
    NOT_RUN = "not-run"  # planned, and not started on purpose

    @property
    def good(self) -> bool:
        """Whether a suite of nothing but these has passed."""
        return self in _GOOD

    @property
    def alarming(self) -> bool:
        """Whether something was lost: exit status 3."""
        return self in (Outcome.CRASHED, Outcome.TIMEOUT, Outcome.LOST)


_GOOD = (Outcome.PASSED, Outcome.SKIPPED, Outcome.XFAILED, Outcome.XPASSED, Outcome.FLAKY)


@dataclass(frozen=True)
class Failure:
    """Why an attempt was not good, for people and for the retry policy.

    Attributes:
        phase: "collect", "setup", "call" or "teardown"; "" where there is none (a death).
        types: names of the exception's class and its bases, most derived first, both bare and
            with their module ("TimeoutError", "builtins.TimeoutError").
        message: one line.
        text: what pytest prints of it, bounded.
        markers: names of the test's markers.
        signal: "SIGSEGV" and such where a signal ended the process.
        measurement: what a performance check measured, where the exception carries it; such a
            failure is never retried. One that has its `gate_samples` is measured once more, and
            decided on all samples: those are handed to the process that measures again.
    """

    phase: str = ""
    types: tuple[str, ...] = ()
    message: str = ""
    text: str = ""
    markers: tuple[str, ...] = ()
    signal: str = ""
    measurement: Mapping[str, Any] | None = None

    @property
    def samples(self) -> str:
        """The samples that a re-measurement adds its own to; "" if there are none."""
        return str((self.measurement or {}).get("gate_samples") or "")


@dataclass(frozen=True)
class Attempt:
    """One run of one item (or, with phase "collect", of one file) in one process.

    Attributes:
        outcome: the worst of all its reports: set-up, call, tear-down, subtests.
        seconds: how long it took by the monotonic clock of its process.
        failures: every report that was not good, in order.
        session: the number of the process in the ledger.
        worker: the number of the worker.
        before: ids of the tests that ran before it in that process, the latest last (bounded).
        output: where the process's output is kept; "" if nowhere.
        reason: one line: the message of a failure, the reason of a skip, "SIGSEGV", a limit.
    """

    outcome: Outcome
    seconds: float = 0.0
    failures: tuple[Failure, ...] = ()
    session: int = 0
    worker: int = 0
    before: tuple[str, ...] = ()
    output: str = ""
    reason: str = ""

    @property
    def measured(self) -> tuple[str, ...]:
        """The samples of an attempt that failed by nothing but measurements; else none."""
        found = tuple(failure.samples for failure in self.failures)
        return found if all(found) else ()


@dataclass(frozen=True)
class Verdict:
    """What is finally said of one item, or of a file that can't be collected.

    Attributes:
        reason: one line; for FLAKY "flaky (1 of 2)": passes of attempts.
        quarantined: it failed and counts as good, for the reason that suites.toml gives.
    """

    item: Item
    outcome: Outcome
    attempts: tuple[Attempt, ...] = ()
    reason: str = ""
    quarantined: str = ""

    @property
    def seconds(self) -> float:
        """Of all attempts together."""
        return sum(attempt.seconds for attempt in self.attempts)


@dataclass(frozen=True)
class Collection:
    """What one process collected.

    Attributes:
        items: in pytest's order.
        broken: file (or conftest) -> how its collection failed, crashed or hung.
        deselected: how many items -k, -m and plugins took away.
        hash: SHA-256 of the sorted (id, occurrence) pairs; see `collection_hash`.
        roots: the paths that pytest was given, or has found in its configuration.
        patterns: of the names of files that it imports.
    """

    items: tuple[Item, ...]
    broken: Mapping[str, Attempt] = field(default_factory=dict)
    deselected: int = 0
    hash: str = ""
    roots: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Seconds; None is no limit. `test` also bounds any stretch in which nothing is reported."""

    test: float | None = 1200.0
    file: float | None = None
    suite: float | None = None
    grace: float = 10.0  # from pytest's end to its process's exit


@dataclass(frozen=True)
class Summary:
    """The end of a run.

    Attributes:
        verdicts: one for each planned item, in the order of the plan, then broken files.
        problems: what no single test can be charged with, a sentence each: a process that died
            at its end, an exit status that contradicts the ledger, a test that ran unplanned.
        exit: the exit status of the command.
        seconds: wall time.
        suite, part, parts: which suite and partition this was.
        hash: of the whole suite's collection.
        deselected: how many tests -k, -m and plugins took away where this run collected.
    """

    verdicts: Sequence[Verdict]
    problems: Sequence[str]
    exit: int
    seconds: float = 0.0
    suite: str = "default"
    part: int = 0
    parts: int = 1
    hash: str = ""
    deselected: int = 0
