"""What samples say of a change: tests, intervals, and their shares of one error rate.

Everything is done on logarithms of the slowness (see `model`), so that 0 is "the same". The unit is
a round: base and candidate measured twice each, as base, candidate, candidate, base or the other
way round, which of the two a coin says (see `measure`). Within a round a linear drift cancels. The
coin makes the sign of every round's difference exchangeable where nothing changed, whatever load
came and went meanwhile, and that is all that the sign-flip test assumes: it is exact (Fisher 1935),
for bimodal noise as for normal. Student's t test is careful where a few rounds are far off. A
change counts only if both find it: p is the larger of theirs, which costs 0.3 % of the power where
the noise is normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from fusible.gate.model import Better, GateError, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Above it the sign-flip test isn't asked: nothing is decided at such a p.
DOUBTFUL = 0.05
# Above that many rounds the two tests agree to the digits that matter.
MOST_FLIPS = 128
# No prediction of rounds beyond it.
MOST_ROUNDS = 1_000_000


def sign_flip(differences: Floats) -> float:
    """Chance that the sum is as large as this if each sign were a fair coin's.

    Counted over all 2^n signs, by a convolution on a grid. Magnitudes are rounded to the grid, and
    what the rounding could have moved is added, so that the result is never too small; it is too
    large by less than 2 % of itself.
    """
    size = np.abs(differences)
    cells = 1 << (14 if differences.size <= 32 else 16)
    if not size.any():
        return 1.0
    cell = size.sum() / cells
    steps = np.rint(np.sort(size)[::-1] / cell).astype(np.int64)
    # Flipping the signs of a set of rounds away from "all positive" takes twice its steps away.
    spare = (int(steps.sum()) - differences.sum() / cell + differences.size / 2) / 2
    limit = min(max(math.floor(spare), 0), int(steps.sum()))
    chance = np.zeros(limit + 1)
    chance[0] = 1.0
    for step in steps:
        half = chance * 0.5
        chance = half.copy()
        if step <= limit:
            chance[step:] += half[: limit + 1 - step]
    return float(min(chance.sum(), 1.0))


@dataclass(frozen=True)
class Evidence:
    """What the samples of one metric say about the logarithm of its slowness.

    Attributes:
        estimate: of the change; above 0 is worse.
        error: its standard error.
        freedom: degrees of freedom of the error.
        n: rounds; without rounds, samples of both sides.
        least: the smallest p that any test of so few samples may claim: one over the number of
            ways in which the labels "base" and "candidate" could have been dealt.
        base: geometric mean of the base, in the unit.
        rounds: the number of each round that both sides have; empty without rounds.
        differences: the change in each of these rounds.
        unpaired: rounds or samples that had no partner on the other side.
    """

    estimate: float
    error: float
    freedom: float
    n: int
    least: float
    base: float = 1.0
    rounds: tuple[int, ...] = ()
    differences: tuple[float, ...] = ()
    unpaired: int = 0

    def p_above(self, shift: float = 0.0) -> float:
        """One-sided p against "the change is `shift` or less"."""
        return _p_above(self, shift)

    def p_below(self, shift: float = 0.0) -> float:
        """One-sided p against "the change is `shift` or more"."""
        return _p_above(self.turned(), -shift)

    def turned(self) -> Evidence:
        """The same with worse and better exchanged."""
        differences = tuple(-d for d in self.differences)
        return replace(self, estimate=-self.estimate, differences=differences)

    def bounds(self, level: float) -> tuple[float, float]:
        """The interval of changes that neither one-sided test at `level` excludes."""
        return _lower_bound(self, level), -_lower_bound(self.turned(), level)


def _p_above(evidence: Evidence, shift: float) -> float:
    p = max(_student(evidence, evidence.estimate - shift), evidence.least)
    if p > DOUBTFUL or not _flips(evidence):
        return p
    return max(p, sign_flip(np.asarray(evidence.differences) - shift))


def _student(evidence: Evidence, distance: float) -> float:
    if evidence.freedom <= 0:
        return 1.0
    if evidence.error == 0.0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(evidence.freedom, -distance / evidence.error))


def _flips(evidence: Evidence) -> bool:
    return 0 < len(evidence.differences) <= MOST_FLIPS


def _lower_bound(evidence: Evidence, level: float) -> float:
    if evidence.freedom <= 0 or evidence.least > level:
        return -math.inf
    bound = evidence.estimate + float(stdtrit(evidence.freedom, level)) * evidence.error
    differences = np.asarray(evidence.differences)
    if not _flips(evidence) or sign_flip(differences - bound) <= level:
        return bound
    # Below every difference all signs agree, and the test says 1 / 2^n, the least.
    good, bad = min(float(differences.min()), bound), bound
    while bad - good > 1e-6:
        middle = (good + bad) / 2
        if sign_flip(differences - middle) <= level:
            good = middle
        else:
            bad = middle
    return good


def paired(differences: Sequence[float], rounds: Sequence[int] = (), base: float = 1.0) -> Evidence:
    """Evidence of rounds: the mean of their differences, and its error by Student."""
    values = np.asarray(differences, np.float64)
    n = values.size
    error = float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    mean = float(values.mean())
    # Equal differences leave the rounding of their mean as their spread.
    error = 0.0 if error < 1e-14 * max(1.0, abs(mean)) else error
    return Evidence(mean, error, n - 1, n, 0.5**n, base, tuple(rounds), tuple(values.tolist()))


def welch(base: Sequence[float], candidate: Sequence[float], sign: int = 1) -> Evidence:
    """Evidence of samples without pairs: Welch's test on their logarithms (Welch 1947).

    Args:
        base: values of the base.
        candidate: values of the candidate.
        sign: 1 where lower is better, -1 where higher is.
    """
    logs = [np.log(np.asarray(values, np.float64)) for values in (base, candidate)]
    sizes = [log.size for log in logs]
    estimate = sign * float(logs[1].mean() - logs[0].mean())
    least = 1 / math.comb(sum(sizes), sizes[0])
    mean = math.exp(float(logs[0].mean()))
    if min(sizes) < 2:
        return Evidence(estimate, math.inf, 0, sum(sizes), least, mean)
    parts = [float(log.var(ddof=1)) / log.size for log in logs]
    parts = [0.0 if part < 1e-28 else part for part in parts]
    total = sum(parts)
    freedom = float(sum(sizes) - 2)
    if total > 0:
        freedom = total**2 / sum(p**2 / (n - 1) for p, n in zip(parts, sizes, strict=True))
    return Evidence(estimate, math.sqrt(total), freedom, sum(sizes), least, mean)


def evidence(base: Series, candidate: Series) -> Evidence:
    """Compares two series: by rounds if they share at least two, by Welch's test else."""
    if base.unit != candidate.unit or base.better != candidate.better:
        raise GateError(
            f"{base.name}: expected {base.unit}, {base.better.value} is better, on both sides;"
            f" got {candidate.unit}, {candidate.better.value} of the candidate"
        )
    sign = 1 if base.better is Better.LOWER else -1
    sides = _by_round(base), _by_round(candidate)
    rounds = sorted(set(sides[0]) & set(sides[1]))
    if len(rounds) < 2:
        return welch(base.values, candidate.values, sign)
    differences = [sign * (sides[1][r] - sides[0][r]) for r in rounds]
    mean = math.exp(sum(sides[0].values()) / len(sides[0]))
    alone = len(sides[0]) + len(sides[1]) - 2 * len(rounds)
    return replace(paired(differences, rounds, mean), unpaired=alone)


def _by_round(series: Series) -> dict[int, float]:
    """Mean logarithm of each round: several samples of a round are one of its process."""
    logs: dict[int, list[float]] = {}
    for number, value in zip(series.rounds or (), series.values, strict=False):
        logs.setdefault(number, []).append(math.log(value))
    return {number: math.fsum(values) / len(values) for number, values in logs.items()}


def geometric_mean(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of the mean change of several metrics.

    Metrics of the same rounds are averaged in each round, so that what they have in common is
    counted as it is. Of others the errors are added as if all moved together: the worst case.
    """
    first = parts[0].rounds
    if first and all(part.rounds == first for part in parts):
        return paired(np.mean([part.differences for part in parts], axis=0).tolist(), first)
    count = len(parts)
    return Evidence(
        sum(part.estimate for part in parts) / count,
        sum(part.error for part in parts) / count,
        min(part.freedom for part in parts),
        min(part.n for part in parts),
        max(part.least for part in parts),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979): each may be compared with the family's."""
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, which in enumerate(order.tolist()):
        largest = max(largest, p_values[which] * (len(p_values) - rank))
        adjusted[which] = min(largest, 1.0)
    return adjusted


def shares(looks: Sequence[float], level: float) -> list[float]:
    """How much of an error rate each look may spend; they add up to 1.

    The spending function of Lan and DeMets (1983) that follows O'Brien and Fleming: next to nothing
    is spent early. Every look is tested at what it adds, which holds whatever the looks have to do
    with each other (Bonferroni); boundaries from their joint normal distribution would save 2 % of
    the rounds, where it is normal.

    Args:
        looks: fractions of the budget, ascending, the last one 1.
        level: the one-sided level of the most severe of the tests.
    """
    z = float(ndtri(1 - level / 2))
    spent = [2 * float(ndtr(-z / math.sqrt(look))) / level for look in looks[:-1]] + [1.0]
    return [now - before for before, now in zip([0.0, *spent[:-1]], spent, strict=True)]


def rounds_needed(found: Evidence, level: float, floor: float, margin: float) -> int | None:
    """How many more rounds would decide, if estimate and spread stay as they are.

    Args:
        found: what the samples say now.
        level: of the one-sided tests.
        floor: the smallest change that is one, as a logarithm.
        margin: the largest that is none, as a logarithm.
    """
    if found.freedom <= 0:
        return math.ceil(math.log2(1 / level))

    def decides(n: int) -> bool:
        if _least(n, bool(found.differences)) > level:
            return False
        grown = n / found.n
        freedom = n - 1 if found.differences else found.freedom * grown
        half = -float(stdtrit(freedom, level)) * found.error / math.sqrt(grown)
        size = abs(found.estimate)
        return size + half < margin or (size > floor and size > half)

    more = _first(decides, found.n + 1)
    if more is None:
        return None
    return more - found.n if found.differences else math.ceil((more - found.n) / 2)


def _least(n: int, paired: bool) -> float:
    """One over the ways to deal the labels to n rounds, or to n samples half of each side."""
    ways = n * math.log(2) if paired else math.lgamma(n + 1) - 2 * math.lgamma(n / 2 + 1)
    return math.exp(-ways)


def _first(decides: Callable[[int], bool], start: int) -> int | None:
    """The first number from `start` on that decides, where all after it do."""
    if decides(start):
        return start
    step = 1
    while not decides(start + step):
        step *= 2
        if step > MOST_ROUNDS:
            return None
    low, high = start + step // 2, start + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def bootstrap(logs: Iterable[Sequence[float]], level: float = 0.01) -> tuple[float, float]:
    """A percentile interval of a mean, or of a difference of two, to look at.

    Args:
        logs: differences of rounds; or logarithms of the base, and of the candidate.
        level: of both ends together.
    """
    from scipy import stats

    samples = [np.asarray(one, np.float64) for one in logs]

    def change(*sides: Floats, axis: int = -1) -> Floats:
        means = [side.mean(axis=axis) for side in sides]
        return np.asarray(means[0] if len(means) == 1 else means[1] - means[0])

    found = stats.bootstrap(
        samples,
        change,
        n_resamples=2000,
        confidence_level=1 - level,
        method="percentile",
        random_state=0,
    )
    low, high = found.confidence_interval
    return float(low), float(high)
