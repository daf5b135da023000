"""From samples to verdicts: what is said of each metric of a family, and of the family.

Three questions are asked of every metric: is it worse, is it better, is it the same. Each is made
of one-sided tests, adjusted by Holm for the number of metrics that are asked it, and by the share
that this look at the samples may spend. Claims of a change, of either direction, are wrong in
alpha of all families; claims that nothing changed, in alpha of them too.

The interval of a finding is the one whose ends these tests put there, at the level at which Holm
came to this metric: so a metric is `regressed` where its lower end is above "no change" and
`unchanged` where all of it lies within the margin.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from fusible.gate import statistics
from fusible.gate.model import (
    Better,
    Finding,
    GateError,
    Report,
    Rule,
    Series,
    Verdict,
    family,
)
from fusible.gate.statistics import Evidence

GEOMETRIC_MEAN = "geometric mean"

# What "is it worse" may spend of alpha; "is it better" has the rest. A missed regression costs more
# than a missed improvement.
WORSE = 2 / 3


@dataclass(frozen=True)
class Ends:
    """How much a change must be at least, and at most; logarithms of the slowness."""

    floor: float
    margin: float


@dataclass(frozen=True)
class Judgement:
    """What is said of one metric of a family.

    Attributes:
        verdict: regressed, improved, unchanged or inconclusive.
        p: one-sided, of the estimate's direction, adjusted for metrics and looks.
        level: of each end of its interval.
        low, high: the interval; logarithms.
        more: rounds that would decide; see `Finding`.
    """

    verdict: Verdict
    p: float
    level: float
    low: float
    high: float
    more: int | None = None


def ends(rule: Rule, base: float) -> Ends:
    """Floors and margin of a metric whose base is that large.

    The absolute floor widens the margin too: a change that may not be called one is none.
    """
    absolute = rule.absolute_floor / base
    return Ends(
        math.log1p(max(rule.floor, absolute)),
        math.log1p(max(rule.margin, absolute)),
    )


def verdicts(found: Sequence[Evidence], limits: Sequence[Ends], alpha: float) -> list[Verdict]:
    """The verdicts alone of a family; `alpha` is what this look may spend of it."""
    return [question.verdict for question in _ask(found, limits, alpha)]


@dataclass(frozen=True)
class _Answer:
    verdict: Verdict
    p: float
    level: float


def _ask(found: Sequence[Evidence], limits: Sequence[Ends], alpha: float) -> list[_Answer]:
    pairs = list(zip(found, limits, strict=True))
    worse = _Question([e.p_above() for e in found], alpha * WORSE)
    better = _Question([e.p_below() for e in found], alpha * (1 - WORSE))
    same = _Question([max(e.p_above(-x.margin), e.p_below(x.margin)) for e, x in pairs], alpha)
    answers = []
    for i, (one, limit) in enumerate(pairs):
        changed = worse if one.estimate > 0 else better
        verdict, level = Verdict.INCONCLUSIVE, changed.levels[i]
        if changed.yes[i] and abs(one.estimate) > limit.floor:
            verdict = Verdict.REGRESSED if changed is worse else Verdict.IMPROVED
        elif same.yes[i]:
            verdict, level = Verdict.UNCHANGED, same.levels[i]
        answers.append(_Answer(verdict, changed.adjusted[i], level))
    return answers


class _Question:
    """One question to all metrics of a family: Holm's answers, and the level each was asked at."""

    def __init__(self, p_values: Sequence[float], level: float) -> None:
        self.adjusted = statistics.holm(p_values)
        self.yes = [p <= level for p in self.adjusted]
        count, answered = len(p_values), sum(self.yes)
        order = sorted(range(count), key=lambda i: p_values[i])
        self.levels = [level] * count
        for rank, which in enumerate(order):
            self.levels[which] = level / max(count - min(rank, answered), 1)


def judge(
    found: Sequence[Evidence], limits: Sequence[Ends], alpha: float, share: float = 1.0
) -> list[Judgement]:
    """Judges a family of metrics.

    Args:
        found: the evidence of each metric.
        limits: floors and margin of each metric.
        alpha: the family's error rate.
        share: what this look may spend of it.
    """
    answers = _ask(found, limits, alpha * share)
    return [
        _judgement(answer, one, limit, share)
        for answer, one, limit in zip(answers, found, limits, strict=True)
    ]


def _judgement(answer: _Answer, one: Evidence, limit: Ends, share: float) -> Judgement:
    low, high = one.bounds(answer.level)
    more = None
    # The search for an end stops short of it by its last step; the test has answered already.
    if answer.verdict is Verdict.REGRESSED:
        low = max(low, 0.0)
    elif answer.verdict is Verdict.IMPROVED:
        high = min(high, 0.0)
    elif answer.verdict is Verdict.UNCHANGED:
        low, high = max(low, -limit.margin), min(high, limit.margin)
    else:
        # Once all are taken, they are looked at once.
        level = answer.level / share
        more = statistics.rounds_needed(one, level, limit.floor, limit.margin)
    return Judgement(answer.verdict, min(1.0, answer.p / share), answer.level, low, high, more)


def decide(
    base: Sequence[Series],
    candidate: Sequence[Series],
    rule: Rule | None = None,
    *,
    rules: Mapping[str, Rule] | None = None,
    controls: Collection[str] = (),
    share: float = 1.0,
    bootstrap: bool = False,
) -> Report:
    """Compares all metrics of two sides.

    Args:
        base: series of different names.
        candidate: series of different names.
        rule: of every metric; its alpha is the family's.
        rules: other rules of some metrics, by name.
        controls: names of metrics that the change can't affect. They are no part of the family. If
            one of them moved, something else than the change did it, and nothing is decided.
        share: what this look may spend of alpha, where there are several; see `shares`.
        bootstrap: also compute the intervals to look at.

    Returns:
        A finding for each metric, `missing` for one that only one side has.
    """
    rule = rule or Rule()
    sides = _by_name(base, "base"), _by_name(candidate, "candidate")
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    _check_controls(controls, sides)
    both = [name for name in names if name in sides[0] and name in sides[1]]
    found = {name: statistics.evidence(sides[0][name], sides[1][name]) for name in both}
    limits = {name: ends((rules or {}).get(name, rule), found[name].base) for name in both}
    said: dict[str, Judgement] = {}
    for group in ([n for n in both if n not in controls], [n for n in both if n in controls]):
        evidences = [found[n] for n in group]
        judged = judge(evidences, [limits[n] for n in group], rule.alpha, share)
        said.update(zip(group, judged, strict=True))
    findings = []
    for name in names:
        one, other = sides[0].get(name), sides[1].get(name)
        if name in found:
            findings.append(_finding(sides[0][name], found[name], said[name], name in controls))
        elif one is not None:
            findings.append(_missing(one, "candidate"))
        elif other is not None:
            findings.append(_missing(other, "base"))
    judged_found = [found[n] for n in both if n not in controls]
    report = _report(findings, _geometric_mean(judged_found, rule, share))
    return with_bootstrap(report, base, candidate) if bootstrap else report


def _by_name(series: Sequence[Series], side: str) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for one in series:
        if one.name in found:
            raise GateError(f"{side}: {one.name}: expected one series of each name, got two")
        if one.values:
            found[one.name] = one
    return found


def _check_controls(
    controls: Collection[str], sides: tuple[Mapping[str, Series], Mapping[str, Series]]
) -> None:
    for name in controls:
        if name not in sides[0] or name not in sides[1]:
            known = ", ".join(sides[0]) or "none"
            raise GateError(f"control {name}: expected a metric of both sides ({known})")


def _missing(series: Series, side: str) -> Finding:
    return Finding(
        series.name,
        Verdict.MISSING,
        math.nan,
        0.0,
        math.inf,
        0,
        math.nan,
        series.unit,
        series.better,
        f"the {side} has no samples of it",
    )


def _finding(series: Series, found: Evidence, said: Judgement, control: bool) -> Finding:
    return Finding(
        series.name,
        said.verdict,
        _exp(found.estimate),
        _exp(said.low),
        _exp(said.high),
        found.n,
        said.p,
        series.unit,
        series.better,
        _reason(found, said),
        said.more,
        control,
    )


def _exp(log: float) -> float:
    """The ratio of a logarithm; of numbers at both ends of what floats hold it is infinite."""
    try:
        return math.exp(log)
    except OverflowError:
        return math.inf


def _reason(found: Evidence, said: Judgement) -> str:
    what = "rounds" if found.differences else "samples a side"
    parts = []
    if said.verdict is Verdict.INCONCLUSIVE:
        if found.least > said.level:
            parts.append(f"so few {what} can't decide at this level")
        if said.more is not None:
            parts.append(f"about {said.more} more {what} would decide")
    if found.unpaired:
        parts.append(f"{found.unpaired} rounds without a partner don't count")
    return "; ".join(parts)


def with_bootstrap(report: Report, base: Sequence[Series], candidate: Sequence[Series]) -> Report:
    """The report with the intervals to look at added to what was found in these series."""
    sides = _by_name(base, "base"), _by_name(candidate, "candidate")
    findings = tuple(
        replace(one, bootstrap=_bootstrap(sides[0][one.name], sides[1][one.name])) if one.n else one
        for one in report.findings
    )
    return replace(report, findings=findings)


def _bootstrap(base: Series, candidate: Series) -> tuple[float, float] | None:
    found = statistics.evidence(base, candidate)
    if found.n < 3 or found.freedom <= 0:
        return None
    logs: list[Sequence[float]] = [found.differences]
    if not found.differences:
        logs = [[math.log(value) for value in side.values] for side in (base, candidate)]
        logs = logs if base.better is Better.LOWER else logs[::-1]
    low, high = statistics.bootstrap(logs)
    return _exp(low), _exp(high)


def _geometric_mean(found: Sequence[Evidence], rule: Rule, share: float) -> Finding | None:
    if len(found) < 2:
        return None
    mean = statistics.geometric_mean(found)
    said = judge([mean], [ends(replace(rule, absolute_floor=0.0), 1.0)], rule.alpha, share)[0]
    return _finding(Series(GEOMETRIC_MEAN, (), ""), mean, said, control=True)


def _report(findings: Sequence[Finding], mean: Finding | None) -> Report:
    """Puts the findings together; where a control moved, nothing is decided."""
    moved = [f for f in findings if f.control and f.verdict in _MOVED]
    notes = [
        f"the control {one.name} moved by {one.ratio - 1:+.1%}, which the change can't have done"
        for one in moved
    ]
    if moved:
        names = ", ".join(one.name for one in moved)
        findings = [_guarded(one, f"the control {names} moved") for one in findings]
    return Report(tuple(findings), family(findings), tuple(notes), mean)


_MOVED = (Verdict.REGRESSED, Verdict.IMPROVED)


def _guarded(finding: Finding, reason: str) -> Finding:
    if finding.control or finding.verdict is Verdict.MISSING:
        return finding
    said = f"{reason}; without it: {finding.verdict.value}"
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reason=said, more_rounds=None)
