"""The words of the gate: series of numbers, the rule they are judged by, what is found.

Everything about a metric is said of its *slowness*: candidate / base where lower is better, base /
candidate where higher is better. So a ratio above 1 is always worse, for every metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class GateError(ValueError):
    """Wrong input: a file, a key in it, an option, a command. Exit status 2."""


class Better(str, Enum):
    """Which way of a metric is the good one."""

    LOWER = "lower"
    HIGHER = "higher"


class Verdict(str, Enum):
    """What is said of a metric, or of a family of them; the value is what JSON says."""

    REGRESSED = "regressed"  # surely worse, and by more than the floors
    IMPROVED = "improved"  # surely better, and by more than the floors
    UNCHANGED = "unchanged"  # surely within the margin, both ways
    INCONCLUSIVE = "inconclusive"  # none of these can be told from the samples
    ADVISORY = "advisory"  # measured on another machine than the baseline: not decided
    MISSING = "missing"  # on one side only

    @property
    def passed(self) -> bool:
        """Whether a family of nothing but these has passed."""
        return self in (Verdict.UNCHANGED, Verdict.IMPROVED)


# The verdict of a family is the first of these that one of its metrics has.
_WORST_FIRST = (
    Verdict.REGRESSED,
    Verdict.MISSING,
    Verdict.INCONCLUSIVE,
    Verdict.ADVISORY,
    Verdict.IMPROVED,
    Verdict.UNCHANGED,
)


@dataclass(frozen=True)
class Series:
    """The samples of one metric on one side: every one that was taken, positive and finite.

    Attributes:
        name: what both sides call it.
        values: in `unit`.
        unit: of the values; both sides have the same.
        better: which way is the good one.
        rounds: of each value the number of its round; None where there were no rounds. Values of
            the same round on both sides are compared with each other: they make a pair.
    """

    name: str
    values: tuple[float, ...]
    unit: str = "ms"
    better: Better = Better.LOWER
    rounds: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for number, value in enumerate(self.values):
            if not (math.isfinite(value) and value > 0):
                raise GateError(
                    f"{self.name}: value {number}: expected a positive finite number, got {value}"
                )
        if self.rounds is not None and len(self.rounds) != len(self.values):
            raise GateError(
                f"{self.name}: rounds: expected {len(self.values)}, one for each value,"
                f" got {len(self.rounds)}"
            )


@dataclass(frozen=True)
class Rule:
    """What counts as a change, and how sure one has to be.

    Attributes:
        margin: relative; within it a metric is unchanged.
        floor: relative; a smaller change is neither a regression nor an improvement.
        absolute_floor: the same in the metric's unit; both floors have to be exceeded.
        alpha: chance that a family of unchanged metrics is called changed anywhere, over all
            its metrics and all looks at them. Two thirds of it are for "regressed", one for
            "improved". Wrong claims that a metric is unchanged have as much again.
    """

    margin: float = 0.05
    floor: float = 0.02
    absolute_floor: float = 0.0
    alpha: float = 0.01

    def __post_init__(self) -> None:
        _check("margin", self.margin, self.margin > 0, "a number above 0")
        _check("floor", self.floor, self.floor >= 0, "a number from 0 on")
        _check("absolute_floor", self.absolute_floor, self.absolute_floor >= 0, "0 or more")
        _check("alpha", self.alpha, 0 < self.alpha <= 0.5, "a number above 0, up to 0.5")


def _check(key: str, value: float, good: bool, expected: str) -> None:
    if not (good and math.isfinite(value)):
        raise GateError(f"{key}: expected {expected}, got {value}")


@dataclass(frozen=True)
class Finding:
    """What is found of one metric.

    Attributes:
        name: of the metric.
        verdict: see `Verdict`.
        ratio: of geometric means, as slowness (above 1 is worse); NaN where there is none.
        low: lower end of the interval that decided; 0 where the samples bound nothing.
        high: its upper end; infinite where the samples bound nothing.
        n: pairs of rounds; without pairs, samples of both sides together.
        p: one-sided, of the direction in which the ratio points, adjusted for all metrics of the
            family (Holm) and for all looks. Worse is found at 2/3 alpha, better at 1/3.
        unit: of the samples.
        better: of the samples.
        reason: one line; "" if there is nothing to add.
        more_rounds: about how many more rounds (without pairs: samples a side) would decide;
            None if it is decided, or if no number would.
        control: a metric that the change can't affect: it guards, and is not judged itself.
        bootstrap: an interval by bootstrap over rounds, to look at: nothing is decided by it.
    """

    name: str
    verdict: Verdict
    ratio: float
    low: float
    high: float
    n: int
    p: float
    unit: str = "ms"
    better: Better = Better.LOWER
    reason: str = ""
    more_rounds: int | None = None
    control: bool = False
    bootstrap: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The part that `--json` prints; what is not finite is null."""
        numbers = {"ratio": self.ratio, "low": self.low, "high": self.high}
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            **{key: _finite(value) for key, value in numbers.items()},
            "n": self.n,
            "p": _finite(self.p),
        }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class Report:
    """What is found of a family of metrics.

    Attributes:
        findings: one for each metric, in the order of the base, then those that it lacks.
        verdict: of the family; see `family`.
        notes: a sentence each: what concerns the whole family.
        geometric_mean: of all metrics that are judged; a row to look at, it decides nothing.
    """

    findings: tuple[Finding, ...]
    verdict: Verdict
    notes: tuple[str, ...] = ()
    geometric_mean: Finding | None = None

    @property
    def exit(self) -> int:
        """The exit status: 0 passed, 1 regressed, 3 not decided."""
        if self.verdict is Verdict.REGRESSED:
            return 1
        return 0 if self.verdict.passed else 3

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "verdicts": [finding.to_json() for finding in self.findings],
            "verdict": self.verdict.value,
        }


def family(findings: Iterable[Finding]) -> Verdict:
    """The verdict of a family: the worst of its judged metrics; `missing` if it has none."""
    return worst(finding.verdict for finding in findings if not finding.control)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several verdicts; `missing` if there are none."""
    given = set(verdicts)
    return next((verdict for verdict in _WORST_FIRST if verdict in given), Verdict.MISSING)
