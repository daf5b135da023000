"""Which failed attempts are tried again: by exception, phase, signal or marker, never by text."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from fusible.suite.model import Attempt, Failure, Outcome

PHASES = ("collect", "setup", "call", "teardown")
# How a process that did not report an end is named in a policy -> the outcome.
DEATHS = {"crash": Outcome.CRASHED, "timeout": Outcome.TIMEOUT, "lost": Outcome.LOST}
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class RetryConfig:
    """The retry row of a suite.

    Attributes:
        times: retries of one test; its attempts are one more.
        on: what is retried; empty is every failure and error, but no crash, timeout or loss.
        never: what is not, though `on` has it.
        wait: seconds before a first retry; each further one waits twice as long.
        budget: retries of the whole run; None is no limit.
    """

    times: int = 0
    on: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    wait: float = 0.0
    budget: int | None = None

    @property
    def has_files(self) -> bool:
        """Whether a file that raised at its import may be retried."""
        of_tests = (*PHASES[1:], *DEATHS)
        named = [e for e in self.on if e not in of_tests and not e.startswith(("SIG", "mark."))]
        return self.times > 0 and (bool(named) or not self.on)


def entry_error(entry: str) -> str | None:
    """What was expected where an entry of `on` or `never` means nothing, else None."""
    if entry in PHASES or entry in DEATHS:
        return None
    if entry.startswith("SIG") and entry.isupper():
        return None if entry in signal.Signals.__members__ else "the name of a signal"
    if entry.startswith("mark."):
        return None if entry.removeprefix("mark.").isidentifier() else "mark.NAME"
    # A lower-case word alone is a misspelt phase more often than the name of an exception; those
    # that are written so can be given with their module.
    good = _NAME.fullmatch(entry) and ("." in entry or not entry[0].islower())
    words = ", ".join([*PHASES, *DEATHS])
    return None if good else f"an exception's name, a signal, mark.NAME or one of {words}"


@dataclass(frozen=True)
class Decision:
    """Whether an attempt is followed by another, when, and why or why not."""

    again: bool
    why: str
    wait: float = 0.0


class Policy:
    """Decides; counts what it has granted against the budget of the run."""

    def __init__(self, config: RetryConfig) -> None:
        self.config = config
        self.granted = 0

    def decide(self, attempts: Sequence[Attempt], remaining: float | None = None) -> Decision:
        """Whether the item with these attempts runs again; `remaining` seconds of the suite."""
        last = attempts[-1]
        if len(attempts) == 1 and last.measured:
            late = remaining is not None and last.seconds > remaining
            return Decision(not late, "measured again, to be decided on all samples")
        if len(attempts) > self.config.times:
            return Decision(False, f"{len(attempts)} attempts" if self.config.times else "")
        why = self._matches(last)
        if not why.again:
            return why
        if self.config.budget is not None and self.granted >= self.config.budget:
            return Decision(False, f"no retry: the budget of {self.config.budget} is used up")
        wait = min(self.config.wait * 2 ** (len(attempts) - 1), _LONGEST_WAIT)
        if remaining is not None and wait + last.seconds > remaining:
            return Decision(False, "no retry: it would not end before the suite's limit")
        self.granted += 1
        return Decision(True, why.why, wait)

    def _matches(self, attempt: Attempt) -> Decision:
        if any(failure.measurement is not None for failure in attempt.failures):
            return Decision(False, "no retry: a measurement; more samples decide, not another try")
        found = labels(attempt)
        refused = [entry for entry in self.config.never if any(entry in one for one in found)]
        if refused:
            return Decision(False, f"no retry: {refused[0]} is in never")
        if not self.config.on:
            dead = attempt.outcome in DEATHS.values()
            name = attempt.outcome.value
            return Decision(not dead, f"no retry: {name} is not in on" if dead else name)
        # Each failure of the attempt must be one that is retried: an assertion that failed
        # beside a broken connection is still an assertion that failed.
        reasons = [next((e for e in self.config.on if e in one), None) for one in found]
        if all(reasons):
            return Decision(True, " and ".join(dict.fromkeys(filter(None, reasons))))
        return Decision(False, f"no retry: {attempt.outcome.value} matches nothing in on")


def labels(attempt: Attempt) -> list[set[str]]:
    """For each failure what a policy may call it."""
    death = {name for name, outcome in DEATHS.items() if attempt.outcome is outcome}
    return [_labels(failure) | death for failure in attempt.failures] or [death]


def _labels(failure: Failure) -> set[str]:
    words = {*failure.types, failure.phase, failure.signal}
    return (words | {f"mark.{name}" for name in failure.markers}) - {""}
