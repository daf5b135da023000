"""What the pytest fixture `gate` does: it measures in the test's process, and compares.

Samples of one process share its memory's layout and its luck. Where a stored baseline's metric is
near its limit, `fusible gate compare`, which starts processes anew, is the better judge.
"""

from __future__ import annotations

import gc
import glob
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fusible.gate import earlier, names
from fusible.gate.model import Better, Finding, GateError, Rule, Series, Verdict
from fusible.gate.readers import usually_better
from fusible.gate.session import PerformanceRegression, Session, Undecided

Function = Callable[[], Any]

_SHORTEST = 1e-3  # seconds of a sample: a shorter one measures the clock
_MOST_CALLS = 1 << 24
_BATCHES = 6  # that a breach is measured again in
_LOOKS = (0.25, 0.5, 0.75, 1.0)


class Gate:
    """The fixture: measures what a test asks for, under the test's name.

    Attributes:
        scenario: stands before `#` in the names of all its metrics; the test's id, unless the test
            gives it another.
    """

    def __init__(self, session: Session, scenario: str) -> None:
        self.scenario = scenario
        self._session = session
        self._stages: list[str] = []
        self._open: dict[str, Series] = {}
        self._looked: dict[str, Series] = {}

    def time(self, name: str, fn: Function, *, samples: int = 20) -> Series:
        """Times a function and compares it with the baseline, if there is one.

        A breach is measured again in batches, and all samples decide. A batch counts as one value
        then: what came over the machine for a moment came over a batch, not over each sample.

        Args:
            name: of the metric; stages that are open stand before it.
            fn: is called once before, then as often as a sample of a millisecond takes. What it
                starts elsewhere (on a GPU) it must wait for.
            samples: how many; a sample is the mean time of its calls.

        Returns:
            The samples, in ms a call.

        Raises:
            PerformanceRegression: it is slower than the baseline's tolerance bears.
        """
        name = self._name(name)
        calls = calls_for(fn)

        def measure(batches: int) -> Series:
            values = tuple(_timed(fn, calls) for _ in range(batches * samples))
            return self._record(Series(name, values))

        series = measure(1)
        again = name in self._session.earlier
        findings = () if again else self._look(series)
        if again or any(finding.verdict is Verdict.REGRESSED for finding in findings):
            series = _joined(series, measure(_BATCHES))
            rounds = tuple(number // samples for number in range(len(series.values)))
            findings = self._look(replace(series, rounds=rounds))
        self._say(findings)
        return series

    def value(
        self,
        name: str,
        value: float | Sequence[float],
        unit: str = "ms",
        better: str | Better | None = None,
    ) -> None:
        """Takes one or more values of a metric; they are compared when the test has ended.

        A rate (its unit ends in `/s`) is better when it is higher, all else when it is lower,
        unless `better` says otherwise.
        """
        values = tuple(value) if isinstance(value, Sequence) else (value,)
        better = usually_better(unit) if better is None else better
        if better not in ("lower", "higher"):
            raise GateError(f"{name}: better: expected lower or higher, got {better!r:.80}")
        self._keep(Series(self._name(name), values, unit, Better(better)))

    def count(self, name: str, count: int) -> None:
        """Compares a count with the baseline's, exactly.

        Raises:
            PerformanceRegression: it is another.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise GateError(f"{name}: expected a whole number from 0 on, got {count!r:.80}")
        name = self._name(name)
        self._session.counts[name] = count
        self._say(self._look(counts={name: count}))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a block, as often as it is entered; compared when the test has ended.

        Stages nest: what is measured inside stands below it.
        """
        self._stages.append(name)
        start = time.perf_counter_ns()
        try:
            yield
            ended = time.perf_counter_ns()
            path = "/".join(self._stages)
            self._keep(Series(f"{self.scenario}#stages_ms/{path}", ((ended - start) / 1e6,)))
        finally:
            self._stages.pop()

    def faster(
        self,
        candidate: Function,
        baseline: Function,
        at_least: float = 1.0,
        *,
        name: str = "faster",
        rounds: int = 32,
    ) -> Finding:
        """Shows that one function is faster than another, by turns in this process.

        A round is base, candidate, candidate, base. After each quarter of the rounds it is looked
        whether they decide; the looks share 1 % of error.

        Args:
            candidate: the faster one.
            baseline: the other.
            at_least: how many times as fast the candidate has to be.
            name: of the finding.
            rounds: the most there are.

        Raises:
            PerformanceRegression: surely it isn't, or (Undecided) it isn't shown.
        """
        if not 0 < at_least < math.inf:
            raise GateError(f"{name}: at_least: expected a number above 0, got {at_least}")
        finding = _duel(self._name(name), candidate, baseline, at_least, rounds)
        if finding.verdict is Verdict.INCONCLUSIVE and not self._session.allow_inconclusive:
            self._session.findings.append(finding)
            raise Undecided(finding)
        return self._session.said(finding)

    def close(self) -> None:
        """Compares what was kept to the end. Raises the first breach; all are in the session."""
        self._say(self._look(*self._open.values()))

    def _name(self, name: str) -> str:
        return names.settled(f"{self.scenario}#{'/'.join([*self._stages, name])}")

    def _keep(self, series: Series) -> None:
        name = series.name
        self._open[name] = _joined(self._open.get(name), series)
        self._record(series)

    def _record(self, series: Series) -> Series:
        held = self._session.series
        held[series.name] = _joined(held.get(series.name), series)
        return series

    def _look(self, *series: Series, counts: dict[str, int] | None = None) -> Sequence[Finding]:
        """What the baselines, if there are any, have to say of samples or counts."""
        if not self._session.baselines:
            return ()
        from fusible.gate import check, readers

        before = self._session.earlier
        series = tuple(
            readers.pooled([before[one.name], one]) if one.name in before else one for one in series
        )
        self._looked.update((one.name, one) for one in series)
        samples = self._session.samples(*series, counts=counts)
        held = self._session.loaded()
        # Each metric is looked at alone: what the family may err is split over all there are.
        family = sum(1 for one in held for _ in one.metrics())
        rule = Rule(alpha=Rule().alpha / max(family, 1))
        found: list[Finding] = []
        for name in (*(one.name for one in series), *samples.counts):
            request = check.Request(rule, only=glob.escape(name))
            found += check.check(held, samples, request).findings
        return found

    def _say(self, findings: Sequence[Finding]) -> None:
        """Keeps all findings; raises for the first that calls for it."""
        errors = []
        for finding in findings:
            try:
                self._session.said(finding)
            except PerformanceRegression as error:
                errors.append(error)
        if errors:
            self._keep_samples(errors[0].measurement)
            raise errors[0]

    def _keep_samples(self, measurement: dict[str, Any]) -> None:
        """Adds what this test has measured, where more samples may tell: not of exact counts."""
        open_ = (Verdict.REGRESSED.value, Verdict.INCONCLUSIVE.value)
        if measurement["name"] in self._looked and measurement["verdict"] in open_:
            measurement["gate_samples"] = earlier.dump(self._looked.values())


def _joined(first: Series | None, second: Series) -> Series:
    """All samples of both."""
    if first is None:
        return second
    if (first.unit, first.better) != (second.unit, second.better):
        got = f"{first.unit} and {second.unit}"
        raise GateError(f"{first.name}: expected one unit and direction, got {got}")
    return replace(first, values=first.values + second.values)


def calls_for(fn: Function) -> int:
    """How many calls make a sample; the function is warm then."""
    fn()
    calls = 1
    while calls < _MOST_CALLS and _timed(fn, calls) * calls < _SHORTEST * 1e3:
        calls *= 2
    return calls


def _timed(fn: Function, calls: int) -> float:
    """Mean milliseconds of a call. The collector of garbage, whose time is nobody's, waits."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter_ns()
        for _ in range(calls):
            fn()
        took = time.perf_counter_ns() - start
    finally:
        if enabled:
            gc.enable()
    return max(took, 1) / 1e6 / calls


def _duel(
    name: str, candidate: Function, baseline: Function, at_least: float, rounds: int
) -> Finding:
    """Rounds of base, candidate, candidate, base until a look at them decides."""
    from fusible.gate import decide, statistics

    rule = Rule(floor=0.0, margin=1e-9)
    sides = (baseline, candidate)
    calls = [calls_for(fn) for fn in sides]
    taken: tuple[list[float], list[float]] = ([], [])
    shares = statistics.shares(_LOOKS, rule.alpha / 2)
    finding = None
    for look, share in zip(_LOOKS, shares, strict=True):
        until = max(2, math.ceil(look * rounds))
        while len(taken[0]) < 2 * until:
            for side in (0, 1, 1, 0):
                taken[side].append(_timed(sides[side], calls[side]))
        numbers = tuple(i // 2 for i in range(len(taken[0])))
        # The candidate must win with this handicap.
        handicapped = tuple(value * at_least for value in taken[1])
        base = Series(name, tuple(taken[0]), rounds=numbers)
        other = Series(name, handicapped, rounds=numbers)
        finding = decide.decide([base], [other], rule, share=share).findings[0]
        if finding.verdict in (Verdict.IMPROVED, Verdict.REGRESSED):
            break
    assert finding is not None
    if finding.verdict is Verdict.UNCHANGED:  # not a hair's breadth apart: not faster
        finding = replace(finding, verdict=Verdict.INCONCLUSIVE)
    return _as_speed(finding, at_least)


def _as_speed(finding: Finding, at_least: float) -> Finding:
    """The finding without the handicap, and the speed in words."""
    low, ratio, high = (r / at_least for r in (finding.low, finding.ratio, finding.high))
    fast = [f"{1 / r:.2f}" if r else "any number of" for r in (ratio, high, low)]
    words = f"{fast[0]} times as fast ({fast[1]} to {fast[2]}), at least {at_least:g} expected"
    reason = "; ".join(part for part in (words, finding.reason) if part)
    return replace(finding, ratio=ratio, low=low, high=high, reason=reason)
