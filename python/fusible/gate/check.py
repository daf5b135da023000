"""New samples against a stored baseline: when it may decide, and what is done else.

A stored time decides only on a machine of the same hard keys, as fast as it was beside the samples
(`machine.calibrate`). Elsewhere the comparison is told as advisory. A breach is measured again and
decided on all samples together: the best of seven tries would pass a true +30 % five times of six.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fusible.gate import counts, decide, machine
from fusible.gate.baseline import Baseline, Machine, Metric
from fusible.gate.model import Finding, GateError, Report, Rule, Series, Verdict, family
from fusible.gate.readers import COUNT, Samples, in_unit, is_speed, is_time, pooled

ONE_PROCESS = "the samples of a metric are of one process: the spread between them is unknown"
# Measures again: the metrics that it has to have, and what it finds.
Again = Callable[[Sequence[str]], Samples]
# Measures in turns: the rules of the metrics that it has to have, and what it finds.
Interleaved = Callable[[Mapping[str, Rule]], Report]


@dataclass(frozen=True)
class Request:
    """How a check is made.

    Attributes:
        rule: of every metric; its tolerance stands in place of the floors.
        only: glob of the metrics to check; the others are left out, on both sides.
        scale: whether times are divided by how much slower the calibration was; a calibration that
            moved then leaves nothing open.
        again: measures once more; None: a breach stands.
        interleaved: measures in turns with the base commit, where the machine isn't what it was.
    """

    rule: Rule = field(default_factory=Rule)
    only: str = "*"
    scale: bool = False
    again: Again | None = None
    interleaved: Interleaved | None = None


@dataclass(frozen=True)
class _Expected:
    """A metric of the baseline, seen from this machine."""

    metric: Metric
    differs: tuple[str, ...]  # hard keys of another machine
    drift: float | None  # calibration now / then; None of what isn't a time or a rate

    @property
    def moved(self) -> bool:
        return self.drift is not None and machine.moved(self.drift)


def check(baselines: Sequence[Baseline], samples: Samples, request: Request) -> Report:
    """Compares samples with what baselines expect.

    Args:
        baselines: of several, the one of this machine decides on a metric.
        samples: with the machine they were taken on, and its calibration.
        request: how.

    Returns:
        A finding for each metric and count: `advisory` where the baseline is of another machine,
        `inconclusive` where the machine's calibration moved, `missing` for one of one side only.
    """
    return checked(baselines, samples, request)[0]


def checked(
    baselines: Sequence[Baseline], samples: Samples, request: Request
) -> tuple[Report, Samples]:
    """What `check` finds, and all samples that it was found in: those measured again are there."""
    if samples.machine is None:
        raise GateError("samples: expected the machine they were taken on, got none")
    report = _look(baselines, samples, request)
    breaches = [f.name for f in report.findings if f.verdict is Verdict.REGRESSED]
    timed = [name for name in breaches if any(s.name == name for s in samples.series)]
    if timed and request.again is not None:
        more = request.again(timed)
        samples = _together(samples, more)
        report = _look(baselines, samples, request)
        note = f"measured again and decided on all samples: {', '.join(timed)}"
        report = replace(report, notes=(*report.notes, note))
    expected = _expectations(baselines, samples, request.only)
    return _in_turns(report, expected, request), samples


def _together(samples: Samples, more: Samples) -> Samples:
    """All samples of both; what was measured only now is left out: it was not asked for."""
    extra = {series.name: series for series in more.series}
    joined = [
        pooled([series, extra[series.name]]) if series.name in extra else series
        for series in samples.series
    ]
    given = [c for c in (samples.calibration_ms, more.calibration_ms) if c is not None]
    # The slower of two calibrations: a slow machine is what else could explain a breach.
    return replace(samples, series=tuple(joined), calibration_ms=max(given, default=None))


def _expectations(
    baselines: Sequence[Baseline], samples: Samples, only: str
) -> dict[str, _Expected]:
    """Each metric of the baselines; of several ones that of this machine, else the first."""
    assert samples.machine is not None
    found: dict[str, _Expected] = {}
    for baseline in baselines:
        for name, metric in baseline.metrics():
            if fnmatch.fnmatchcase(name, only):
                held = _expected(baseline, metric, samples.machine, samples.calibration_ms)
                if name not in found or (found[name].differs and not held.differs):
                    found[name] = held
    return found


def _expected(
    baseline: Baseline, metric: Metric, ours: Machine, calibration: float | None
) -> _Expected:
    theirs = baseline.machine_of(metric)
    differs = ["machine: none -> this"] if theirs is None else machine.differing(ours, theirs)[0]
    drift = None
    if calibration is not None and metric.calibration_ms is not None and is_speed(metric.unit):
        drift = calibration / metric.calibration_ms
    return _Expected(metric, tuple(differs), drift)


def _look(baselines: Sequence[Baseline], samples: Samples, request: Request) -> Report:
    """One look at the samples there are."""
    expected = _expectations(baselines, samples, request.only)
    taken = {s.name: s for s in samples.series if fnmatch.fnmatchcase(s.name, request.only)}
    own = {name: held for name, held in expected.items() if not held.differs}
    others = {name: held for name, held in expected.items() if held.differs}
    new = [series for name, series in taken.items() if name not in expected]
    findings = _compared(own, [*_of(taken, own), *new], request)
    findings += [
        _advisory(finding, others[finding.name])
        for finding in _compared(others, _of(taken, others), request)
    ]
    if not request.scale:
        findings = [_doubted(f, expected.get(f.name)) for f in findings]
    expected_counts: dict[str, int] = {}
    for baseline in baselines:
        expected_counts = {**baseline.counts(), **expected_counts}
    findings += counted(expected_counts, samples.counts, request.only)
    notes = (*_notes(expected, samples, baselines), *(_scaled(expected) if request.scale else ()))
    return Report(tuple(findings), family(findings), notes)


def _of(taken: Mapping[str, Series], wanted: Iterable[str]) -> list[Series]:
    return [taken[name] for name in wanted if name in taken]


def _compared(
    expected: Mapping[str, _Expected], taken: Sequence[Series], request: Request
) -> list[Finding]:
    """The findings of a family of metrics, and of samples that nothing is expected of."""
    base = [by_process(held.metric.series(name)) for name, held in expected.items()]
    candidate = [by_process(_settled(one, expected.get(one.name), request)) for one in taken]
    if not base and not candidate:
        return []
    rules = _rules(expected, request.rule)
    found = decide.decide(base, candidate, request.rule, rules=rules).findings
    return [_told(finding) for finding in found]


def _rules(expected: Mapping[str, _Expected], rule: Rule) -> dict[str, Rule]:
    """The rule of each metric: its tolerance stands in place of the floors."""
    return {name: held.metric.tolerance.rule(rule) for name, held in expected.items()}


def _told(finding: Finding) -> Finding:
    """With what to do about a metric that only one side has."""
    if finding.verdict is not Verdict.MISSING:
        return finding
    of_base = "base has" in finding.reason
    reason = "no baseline yet: fusible gate update" if of_base else "expected samples, got none"
    return replace(finding, reason=reason)


def by_process(series: Series) -> Series:
    """A value a process: the geometric mean of its samples, which have its luck in common.

    Stored rounds and new ones are of different days and never make a pair.
    """
    if series.rounds is None:
        return series
    logs: dict[int, list[float]] = {}
    for number, value in zip(series.rounds, series.values, strict=True):
        logs.setdefault(number, []).append(math.log(value))
    means = tuple(math.exp(math.fsum(held) / len(held)) for held in logs.values())
    return Series(series.name, means, series.unit, series.better)


def _settled(series: Series, held: _Expected | None, request: Request) -> Series:
    """In the baseline's unit and, if that is asked for, as if the calibration had not moved."""
    if held is None:
        return series
    series = in_unit(series, held.metric.unit)
    if not request.scale or held.drift is None:
        return series
    factor = 1 / held.drift if is_time(series.unit) else held.drift
    return replace(series, values=tuple(value * factor for value in series.values))


def _advisory(finding: Finding, held: _Expected) -> Finding:
    if finding.verdict is Verdict.MISSING:
        return finding
    reason = f"another machine ({'; '.join(held.differs)}); there: {finding.verdict.value}"
    return replace(finding, verdict=Verdict.ADVISORY, reason=reason, more_rounds=None)


def _doubted(finding: Finding, held: _Expected | None) -> Finding:
    """Nothing is decided on a machine that is not as fast as it was."""
    if held is None or not held.moved or finding.verdict in (Verdict.ADVISORY, Verdict.MISSING):
        return finding
    reason = f"the calibration moved by {(held.drift or 1) - 1:+.1%}"
    reason += f"; without that: {finding.verdict.value}"
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reason=reason, more_rounds=None)


def counted(expected: Mapping[str, int], got: Mapping[str, int], only: str = "*") -> list[Finding]:
    """Compares counts, which are the same on every machine: any difference is a regression.

    Which way is better a count doesn't say: fewer bytes are, fewer fusions are not.
    """
    chosen = [name for name in {**expected, **got} if fnmatch.fnmatchcase(name, only)]
    return [_count(name, expected.get(name), got.get(name)) for name in chosen]


def _count(name: str, expected: int | None, got: int | None) -> Finding:
    if expected is None or got is None:
        reason = "no baseline yet: fusible gate update" if expected is None else "no count of it"
        ratio, verdict = math.nan, Verdict.MISSING
    else:
        verdict = Verdict.UNCHANGED if got == expected else Verdict.REGRESSED
        reason = "" if got == expected else f"expected exactly {expected}, got {got}"
        ratio = counts.quotient(got, expected)
    return counts.exact(name, verdict, ratio, reason=reason, unit=COUNT)


def _notes(
    expected: Mapping[str, _Expected], samples: Samples, baselines: Sequence[Baseline]
) -> Iterable[str]:
    if samples.one_process:
        yield ONE_PROCESS
    assert samples.machine is not None
    seen: set[str] = set()
    for baseline in baselines:
        for theirs in baseline.machines.values():
            hard, noted = machine.differing(samples.machine, theirs)
            seen |= set(() if hard else noted)
    if seen:
        yield f"the machine is the same, but not: {'; '.join(sorted(seen))}"
    commits = {held.metric.commit for held in expected.values()}
    if len(commits) > 1:
        yield "the baseline's metrics are of several commits"


def _scaled(expected: Mapping[str, _Expected]) -> Iterable[str]:
    drifts = [held.drift for held in expected.values() if held.drift is not None]
    if drifts:
        low, high = min(drifts) - 1, max(drifts) - 1
        yield f"times are scaled by the calibration, which moved by {low:+.1%} to {high:+.1%}"


def _in_turns(report: Report, expected: Mapping[str, _Expected], request: Request) -> Report:
    """Replaces what a moved calibration left open by a comparison in turns with the base commit."""
    open_ = [
        f.name
        for f in report.findings
        if f.verdict is Verdict.INCONCLUSIVE and f.name in expected and expected[f.name].moved
    ]
    if not open_ or request.interleaved is None or request.scale:
        return report
    rules = _rules({name: expected[name] for name in open_}, request.rule)
    found = {finding.name: finding for finding in request.interleaved(rules).findings}
    findings = tuple(found.get(f.name, f) if f.name in open_ else f for f in report.findings)
    note = f"measured in turns with the base commit, as the calibration moved: {', '.join(open_)}"
    return replace(report, findings=findings, verdict=family(findings), notes=(*report.notes, note))
