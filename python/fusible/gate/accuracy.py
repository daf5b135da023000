"""The accuracy gate: a proportion of right answers, with what its number of questions can show.

Two runs over 1319 questions tell differences of about four points; a move from 79.4 % to 81.3 % is
neither a gain nor "no loss", and is not called one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fusible.gate.model import Better, Finding, GateError, Verdict


@dataclass(frozen=True)
class _Difference:
    """candidate - base in proportions, its interval, the one-sided p, and what was compared."""

    base: float
    value: float
    low: float
    high: float
    p: float
    n: int
    text: str


def check(
    name: str,
    right: int,
    total: int,
    base: tuple[int, int] | None = None,
    *,
    at_least: float | None = None,
    margin: float = 0.02,
    floor: float = 0.0,
    alpha: float = 0.01,
) -> Finding:
    """Judges a proportion of right answers against another one, or against a bound.

    The finding's ratio is base / candidate: above 1 is worse. Its interval is that of the
    difference, laid on the base's proportion.

    Args:
        name: of the evaluation.
        right: right answers.
        total: questions.
        base: right answers and questions of what it is compared with.
        at_least: the proportion that must be reached, instead of `base`.
        margin: a difference that doesn't matter, as a proportion (0.02 is two points).
        floor: smallest change that counts, as a proportion.
        alpha: of both directions together: the interval has 1 - alpha.

    Raises:
        GateError: numbers that are no proportion, or not one of `base` and `at_least`.
    """
    _check_share(name, "right of total", right, total)
    if at_least is not None and base is None:
        return _bounded(name, right, total, at_least, alpha)
    if base is None or at_least is not None:
        raise GateError(f"{name}: expected one of base and at_least")
    _check_share(name, "base", *base)
    return _judged(name, _independent((right, total), base, alpha), margin, floor, alpha)


def paired(
    name: str,
    answers: Sequence[bool],
    base: Sequence[bool],
    *,
    margin: float = 0.02,
    floor: float = 0.0,
    alpha: float = 0.01,
) -> Finding:
    """Judges the answers to the same questions in the same order: it tells more than totals do.

    McNemar's exact test: only the questions that one of both got right say anything. The
    interval is Clopper and Pearson's of their share, given their number.
    """
    if len(answers) != len(base) or not answers:
        raise GateError(f"{name}: expected {len(base)} answers, one a question, got {len(answers)}")
    from scipy.stats import binomtest

    n = len(answers)
    gained = sum(bool(a) and not b for a, b in zip(answers, base, strict=True))
    lost = sum(bool(b) and not a for a, b in zip(answers, base, strict=True))
    before, after = sum(map(bool, base)), sum(map(bool, answers))
    text = f"{_change(before / n, after / n)}, same {n} questions ({gained} gained, {lost} lost)"
    if gained + lost == 0:
        return _judged(
            name, _Difference(before / n, 0.0, 0.0, 0.0, 0.5, n, text), margin, floor, alpha
        )
    test = binomtest(gained, gained + lost, alternative="greater" if gained > lost else "less")
    ends = binomtest(gained, gained + lost).proportion_ci(1 - alpha)
    low, high = ((2 * float(end) - 1) * (gained + lost) / n for end in ends)
    found = _Difference(
        before / n, (gained - lost) / n, low, high, min(0.5, float(test.pvalue)), n, text
    )
    return _judged(name, found, margin, floor, alpha)


def _check_share(name: str, key: str, right: int, total: int) -> None:
    if not 0 <= right <= total or total < 1:
        raise GateError(f"{name}: {key}: expected 0 to {max(total, 1)} of 1 or more, got {right}")


def _change(before: float, after: float) -> str:
    return f"{before:.1%} → {after:.1%}".replace("%", " %")


def _independent(candidate: tuple[int, int], base: tuple[int, int], alpha: float) -> _Difference:
    """The difference of two shares by Newcombe's method 10 (Statistics in Medicine 17, 1998).

    Its interval is made of Wilson's of both shares; p is the level at which it ends at 0.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    after, before = candidate[0] / candidate[1], base[0] / base[1]
    value = after - before
    worse, better = (candidate, base) if value < 0 else (base, candidate)

    def left(z: float) -> float:
        return abs(value) - _reach(better, worse, z)

    p = float(norm.sf(brentq(left, 0.0, 40.0))) if value and left(40.0) < 0 else 0.5
    p = 0.0 if value and left(40.0) >= 0 else p
    z = float(norm.isf(alpha / 2))
    low, high = value - _reach(candidate, base, z), value + _reach(base, candidate, z)
    n = min(candidate[1], base[1])
    of = f"of {n}" if candidate[1] == base[1] else f"of {base[1]} and {candidate[1]}"
    return _Difference(before, value, low, high, p, n, f"{_change(before, after)} {of}")


def _reach(over: tuple[int, int], under: tuple[int, int], z: float) -> float:
    """How far below their difference the limit of over - under is."""
    down = over[0] / over[1] - _wilson(*over, -z)
    up = _wilson(*under, z) - under[0] / under[1]
    return math.hypot(down, up)


def _wilson(right: int, total: int, z: float) -> float:
    """The score limit of a proportion (Wilson, JASA 22, 1927); the lower one for negative z."""
    share, square = right / total, z * z / total
    root = z * math.sqrt(share * (1 - share) / total + square / (4 * total))
    return (share + square / 2 + root) / (1 + square)


def _judged(name: str, found: _Difference, margin: float, floor: float, alpha: float) -> Finding:
    """The gate's rules for times, on differences: of what is surely worse nothing else is said."""
    more = None
    if found.high < 0 and found.value <= -floor:
        verdict = Verdict.REGRESSED
    elif found.low > 0 and found.value >= floor:
        verdict = Verdict.IMPROVED
    elif -margin <= found.low and found.high <= margin:
        verdict = Verdict.UNCHANGED
    else:
        verdict, more = Verdict.INCONCLUSIVE, _more(found, margin)
    interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f} points at {1 - alpha:.0%}"
    reason = f"{found.text}: {100 * found.value:+.1f} points, {interval.replace('%', ' %')}"
    if more is not None:
        reason += f"; about {more} more questions a side would decide"
    ratio, low, high = (_slowness(found.base, d) for d in (found.value, found.high, found.low))
    unit, better = "right answers", Better.HIGHER
    return Finding(
        name, verdict, ratio, low, high, found.n, found.p, unit, better, reason, more_rounds=more
    )


def _slowness(base: float, difference: float) -> float:
    after = base + difference
    return base / after if after > 0 else math.inf


def _more(found: _Difference, margin: float) -> int | None:
    """Questions a side that would decide: an interval shrinks with the root of their number."""
    width = (found.high - found.low) / 2
    wanted = max(abs(found.value), margin - abs(found.value))
    if wanted <= 0:
        return None
    return max(1, math.ceil(found.n * ((width / wanted) ** 2 - 1)))


def _bounded(name: str, right: int, total: int, at_least: float, alpha: float) -> Finding:
    """A share against a bound, by Clopper and Pearson's interval and the binomial test."""
    from scipy.stats import binomtest

    if not 0 < at_least <= 1:
        raise GateError(f"{name}: at_least: expected a share above 0, up to 1, got {at_least}")
    ends = binomtest(right, total).proportion_ci(1 - alpha)
    low, high, share = float(ends.low) - at_least, float(ends.high) - at_least, right / total
    less = share < at_least
    test = binomtest(right, total, at_least, alternative="less" if less else "greater")
    text = f"{right} of {total} right, at least {at_least:.1%} expected".replace("%", " %")
    found = _Difference(at_least, share - at_least, low, high, float(test.pvalue), total, text)
    judged = _judged(name, found, math.inf, 0.0, alpha)
    return _reached(judged, found)


def _reached(judged: Finding, found: _Difference) -> Finding:
    """Against a bound, "surely above" passes, and what may be below it is not decided."""
    from dataclasses import replace

    if judged.verdict is Verdict.REGRESSED:
        return judged
    sure = found.low >= 0
    return replace(judged, verdict=Verdict.UNCHANGED if sure else Verdict.INCONCLUSIVE)
