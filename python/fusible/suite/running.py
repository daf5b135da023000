"""A test in progress: what the reports of its phases and subtests come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusible.suite.model import Attempt, Failure, Outcome

Event = Mapping[str, Any]

# From good to bad: an attempt ends as the worst of its reports.
_WORSE = (
    Outcome.PASSED,
    Outcome.XPASSED,
    Outcome.SKIPPED,
    Outcome.XFAILED,
    Outcome.ERROR,
    Outcome.FAILED,
)


def failure_of(event: Event, phase: str) -> Failure:
    """What an event says of an exception."""
    return Failure(
        phase=phase,
        types=tuple(event.get("types", ())),
        message=event.get("message", ""),
        text=event.get("text", ""),
        markers=tuple(event.get("markers", ())),
        measurement=event.get("measurement"),
    )


def _outcome(event: Event) -> Outcome:
    """Of one report. What pytest calls failed is an error outside of the call."""
    if event["o"] in ("failed", "rerun"):
        return Outcome.ERROR if event["w"] in ("setup", "teardown") else Outcome.FAILED
    return Outcome(event["o"])


class Running:
    """A test in progress: the reports of its attempt."""

    def __init__(self, index: int, item: str) -> None:
        self.index = index
        self.item = item
        self.attempts: list[Attempt] = []
        self.clear()

    def clear(self) -> None:
        """Begins another attempt in the same process, as pytest-rerunfailures makes them."""
        self.outcome = Outcome.PASSED
        self.phases: set[str] = set()
        self.failures: tuple[Failure, ...] = ()
        self.reason = ""
        self.seconds = 0.0

    def report(self, event: Event) -> None:
        """Takes one report in."""
        outcome, part = _outcome(event), "sub" in event
        self.seconds += event.get("d", 0.0)
        if not part:
            self.phases.add(event["w"])
        if event["o"] in ("failed", "rerun"):
            self.failures += (failure_of(event, event["w"]),)
            self.reason = self.reason or event.get("message", "")
        elif part:  # a subtest that was skipped or passed says nothing of its test
            return
        if _WORSE.index(outcome) > _WORSE.index(self.outcome):
            self.outcome = outcome
        self.reason = self.reason or event.get("reason", "")

    def conclude(self) -> tuple[Outcome, str]:
        """How the attempt ended. Nothing passes that has not reported that it was called."""
        if not self.phases and not self.failures:
            return Outcome.LOST, "finished without a report: a hook has swallowed its protocol"
        if self.outcome is Outcome.PASSED and self.phases <= {"setup", "teardown"}:
            return Outcome.LOST, "finished, but reported no call"
        return self.outcome, self.reason
