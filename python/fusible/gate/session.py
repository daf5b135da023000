"""What all tests with the fixture `gate` share, and how a finding is raised to one of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusible.gate import names
from fusible.gate.model import Finding, Series, Verdict

if TYPE_CHECKING:
    from fusible.gate.baseline import Baseline, Machine
    from fusible.gate.readers import Samples


class PerformanceRegression(AssertionError):
    """A measured breach, which `fusible suite` never retries.

    Where more samples may tell, the suite runs the test once more, in a fresh process, and what is
    measured there is decided together with what was measured before.

    Attributes:
        measurement: what was measured: name, verdict, ratio, low, high, n, p, unit, better, reason;
            where more samples may tell, `gate_samples`, all that the test has measured, as JSON.
    """

    def __init__(self, finding: Finding) -> None:
        self.measurement: dict[str, Any] = {
            **finding.to_json(),
            "unit": finding.unit,
            "better": finding.better.value,
            "reason": finding.reason,
        }
        super().__init__(sentence(finding))


class Undecided(PerformanceRegression):
    """Neither a breach nor none is shown, where the test asks for a decision."""


def sentence(finding: Finding) -> str:
    """A finding in one line."""
    parts = [f"{finding.name}: {finding.verdict.value}"]
    if math.isfinite(finding.ratio):
        low, ratio, high = (f"{r:.3f}" for r in (finding.low, finding.ratio, finding.high))
        parts.append(f"slowness {ratio} ({low} to {high}), n {finding.n}")
    return "; ".join([*parts, *([finding.reason] if finding.reason else [])])


@dataclass
class Session:
    """What all tests of a session share.

    Attributes:
        baselines: files to compare with; of none, samples are only recorded.
        require_decision: whether what can't be decided fails.
        allow_inconclusive: whether `faster` passes where it isn't shown, nor refuted.
        findings: all there are.
        series: all samples by name.
        counts: all counts by name.
        whole: whether all tests of the collected files run.
        earlier: what a process before this one measured, by name: it counts in every decision.
    """

    baselines: Sequence[Path] = ()
    require_decision: bool = False
    allow_inconclusive: bool = False
    findings: list[Finding] = field(default_factory=list)
    series: dict[str, Series] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    whole: bool = True
    earlier: dict[str, Series] = field(default_factory=dict)
    _loaded: list[Baseline] | None = None
    _here: tuple[Machine, float] | None = None

    def loaded(self) -> list[Baseline]:
        """The baselines, read once."""
        if self._loaded is None and self.baselines:
            from fusible.gate import baseline

            self._loaded = [baseline.load(path) for path in self.baselines]
        return self._loaded or []

    def samples(self, *series: Series, counts: dict[str, int] | None = None) -> Samples:
        """Samples of this process, with its machine, and its calibration of now."""
        from fusible.gate import machine
        from fusible.gate.readers import Samples

        if self._here is None:
            self._here = machine.fingerprint(), machine.calibrate()
        return Samples(series, counts or {}, *self._here, one_process=True)

    def said(self, finding: Finding) -> Finding:
        """Keeps a finding; raises what it is to the test."""
        self.findings.append(finding)
        if finding.verdict is Verdict.REGRESSED:
            raise PerformanceRegression(finding)
        if self.require_decision and not finding.verdict.passed:
            raise Undecided(finding)
        return finding

    def unmeasured(self, files: Collection[str]) -> list[Finding]:
        """What the baselines expect and no test of these files has measured; it is a finding each.

        A metric whose scenario is the id of a test in another file is that file's.
        """
        from fusible.gate import counts

        expected: dict[str, None] = {}
        for held in self.loaded():
            expected |= dict.fromkeys((*(name for name, _ in held.metrics()), *held.counts()))
        found = []
        for name in expected:
            file, is_test, _ = names.place(name).scenario.partition("::")
            if name in self.series or name in self.counts or (is_test and file not in files):
                continue
            reason = "the baseline expects it, no test has measured it"
            found.append(counts.exact(name, Verdict.MISSING, math.nan, reason=reason, n=0))
        self.findings += found
        return found

    def lines(self) -> Iterator[dict[str, Any]]:
        """All samples as `fusible gate check --samples` reads them."""
        for one in self.series.values():
            about = {"unit": one.unit, "better": one.better.value}
            yield from ({"name": one.name, "value": value, **about} for value in one.values)
        for name, count in self.counts.items():
            yield {"name": name, "value": count, "unit": "count"}
