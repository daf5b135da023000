"""From attempts to what is said of a test, and from that to the exit status."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from fusible.suite.model import Attempt, Item, Outcome, Verdict

# Least bad first. Several attempts of a test that never recovered are called by the worst.
_SEVERITY = (
    Outcome.PASSED,
    Outcome.XPASSED,
    Outcome.XFAILED,
    Outcome.SKIPPED,
    Outcome.NOT_RUN,
    Outcome.FAILED,
    Outcome.ERROR,
    Outcome.LOST,
    Outcome.TIMEOUT,
    Outcome.CRASHED,
)
# What shows that a test can pass. A skip or an expected failure after a failure shows nothing.
_RECOVERED = (Outcome.PASSED, Outcome.XPASSED)
# What a quarantine excuses; that nobody knows how a test ended is never excused.
_EXCUSED = (Outcome.FAILED, Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT, Outcome.FLAKY)

UNKNOWN = "planned, but no process reported how it ended"


def judge(
    item: Item, attempts: Sequence[Attempt], quarantined: str = "", note: str = ""
) -> Verdict:
    """The last word on an item.

    Args:
        item: what was planned.
        attempts: all of them, in order; without any the item is lost.
        quarantined: why its failures do not count, "" if they do.
        note: added to the reason of a failure, such as why there was no retry.
    """
    if not attempts:
        return Verdict(item, Outcome.LOST, reason=note or UNKNOWN)
    outcome, reason = _combined(attempts)
    if note and not outcome.good:
        reason = f"{reason} ({note})" if reason else note
    excused = quarantined if outcome in _EXCUSED else ""
    return Verdict(item, outcome, tuple(attempts), reason, excused)


def judge_repeated(
    item: Item, attempts: Sequence[Attempt], quarantined: str = "", note: str = ""
) -> Verdict:
    """The last word on an item that was run several times on purpose: order does not matter."""
    bad = [attempt for attempt in attempts if not attempt.outcome.good]
    if not bad or len(bad) == len(attempts):
        return judge(item, attempts, quarantined, note)
    reason = f"{_flaky(attempts)}: {_reason(bad[0])}"
    return Verdict(item, Outcome.FLAKY, tuple(attempts), reason, quarantined)


def _flaky(attempts: Sequence[Attempt]) -> str:
    passes = sum(attempt.outcome.good for attempt in attempts)
    return f"flaky ({passes} of {len(attempts)})"


def _combined(attempts: Sequence[Attempt]) -> tuple[Outcome, str]:
    bad = [attempt for attempt in attempts if not attempt.outcome.good]
    last = attempts[-1]
    if not bad:
        return last.outcome, last.reason
    if all(attempt.measured for attempt in bad):
        again = f"measured {len(attempts)} times, decided on all samples"
        if last.outcome in _RECOVERED:
            return last.outcome, again if len(attempts) > 1 else last.reason
        return last.outcome, _reason(bad[-1])
    if last.outcome in _RECOVERED:
        return Outcome.FLAKY, _flaky(attempts)
    worst = max(bad, key=lambda attempt: _SEVERITY.index(attempt.outcome))
    return worst.outcome, _reason(worst)


def _reason(attempt: Attempt) -> str:
    """The reason of a failed attempt, with what a performance check measured."""
    measured = [
        {key: value for key, value in one.measurement.items() if key != "gate_samples"}
        for one in attempt.failures
        if one.measurement is not None
    ]
    if not measured:
        return attempt.reason
    text = ", ".join(json.dumps(one, default=str, sort_keys=True) for one in measured)
    return f"{attempt.reason} [measured: {text}]"


def not_run(item: Item, why: str, attempts: Sequence[Attempt] = ()) -> Verdict:
    """The verdict of an item that was not started, or was interrupted, on purpose."""
    return Verdict(item, Outcome.NOT_RUN, tuple(attempts), why)


@dataclass(frozen=True)
class Ending:
    """What besides the verdicts decides on the exit status.

    Attributes:
        whole: number of items that the whole suite selects, over all partitions.
        interrupted: the number of the signal that ended the run, 0 if none did.
    """

    whole: int = 0
    allow_empty: bool = False
    fail_on_flaky: bool = False
    interrupted: int = 0


def exit_status(verdicts: Sequence[Verdict], problems: Sequence[str], ending: Ending) -> int:
    """The first of 130 or 143, 3, 1, 4, 5, 0 that applies; wrong input (2) is an exception."""
    counted = [verdict for verdict in verdicts if not verdict.quarantined]
    outcomes = {verdict.outcome for verdict in counted}
    if ending.interrupted:
        return 128 + ending.interrupted
    if problems or any(outcome.alarming for outcome in outcomes):
        return 3
    if outcomes & {Outcome.FAILED, Outcome.ERROR}:
        return 1
    if Outcome.NOT_RUN in outcomes:
        return 3  # something is missing though nothing failed: that is never green
    if Outcome.FLAKY in outcomes and ending.fail_on_flaky:
        return 4
    if ending.whole == 0 and not ending.allow_empty:
        return 5
    return 0
