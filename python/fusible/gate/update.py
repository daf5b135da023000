"""New numbers for a baseline, as a table to be reviewed.

A number is replaced by all samples of a result, and only where they show that it changed: taking
the better one each time would make of a baseline the best luck ever had (sgl-project/sglang#28123
lowered 1,304 numbers and raised none). To loosen one takes an option and a reason, which is kept.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fusible.gate import check, decide, machine
from fusible.gate.baseline import Baseline, Metric, Tolerance, assemble, measured
from fusible.gate.model import Finding, GateError, Rule, Series, Verdict
from fusible.gate.readers import Samples, in_unit, is_speed

KEPT, ADDED, TIGHTENED, LOOSENED = "kept", "added", "tightened", "loosened"
REMOVED, REFUSED, REPLACED = "removed", "refused", "replaced"


@dataclass(frozen=True)
class Wishes:
    """What is asked of an update.

    Attributes:
        rule: when a number has changed.
        only: glob of the metrics that may change.
        remove: names of metrics that no longer exist.
        tolerance: in place of the present one of every metric that may change.
        allow_looser: whether numbers may get worse, tolerances wider, metrics fewer.
        reason: why; it is kept with what was loosened.
        moment: when the samples were taken, as the file has it.
    """

    rule: Rule = field(default_factory=Rule)
    only: str = "*"
    remove: tuple[str, ...] = ()
    tolerance: Tolerance | None = None
    allow_looser: bool = False
    reason: str = ""
    moment: str | None = None


@dataclass(frozen=True)
class Row:
    """One metric of the table.

    Attributes:
        name: of the metric.
        action: what happens to it.
        old: the present median or count.
        new: of the result.
        low: lower end of the interval of new / old, as slowness.
        high: its upper end.
        n: samples of the result.
        unit: of both.
        reason: of the action.
    """

    name: str
    action: str
    old: float | None
    new: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        from dataclasses import asdict

        return asdict(self)


@dataclass(frozen=True)
class Proposal:
    """A table, and the baseline that it comes to."""

    rows: tuple[Row, ...]
    baseline: Baseline

    @property
    def refused(self) -> bool:
        """Whether something would have to be loosened that may not."""
        return any(row.action == REFUSED for row in self.rows)

    @property
    def changed(self) -> bool:
        """Whether the baseline differs from the present one."""
        return any(row.action not in (KEPT, REFUSED) for row in self.rows)


def propose(old: Baseline, samples: Samples, wishes: Wishes) -> Proposal:
    """What a baseline becomes with new samples.

    Args:
        old: the present one.
        samples: with their machine.
        wishes: what may be done.

    Raises:
        GateError: looser numbers are allowed without a reason, or a name to remove is not there.
    """
    if wishes.allow_looser and not wishes.reason.strip():
        raise GateError("--allow-looser: expected a --reason beside it, got none")
    if samples.machine is None:
        raise GateError("samples: expected the machine they were taken on, got none")
    present = dict(old.metrics())
    for name in wishes.remove:
        if name not in present and name not in old.counts():
            raise GateError(f"--remove: expected the name of a metric, got {name!r}")
    rows, metrics = _Metrics(old, present, samples, wishes).judged()
    count_rows, counted = _counts(old.counts(), samples.counts, wishes)
    machines = {**old.machines, samples.machine.key: samples.machine}
    used = {metric.machine for metric in metrics.values()}
    kept = [held for key, held in machines.items() if key in used]
    notes = {name: held.notes for name, held in old.scenarios.items() if held.notes}
    return Proposal((*rows, *count_rows), assemble(metrics, counted, kept, notes))


@dataclass(frozen=True)
class _Metrics:
    """The metrics of an update: the present ones, and what was measured now."""

    baseline: Baseline
    present: Mapping[str, Metric]
    samples: Samples
    wishes: Wishes

    def judged(self) -> tuple[list[Row], dict[str, Metric]]:
        """A row of each, and what they become."""
        taken = {s.name: s for s in self.samples.series if self._may_change(s.name)}
        found = self._findings(taken)
        rows, metrics = [], {}
        for name in {**self.present, **taken}:
            row, metric = self._one(name, taken.get(name), found.get(name))
            rows.append(row)
            if metric is not None:
                metrics[name] = metric
        return rows, metrics

    def _may_change(self, name: str) -> bool:
        return fnmatch.fnmatchcase(name, self.wishes.only)

    def _findings(self, taken: Mapping[str, Series]) -> dict[str, Finding]:
        both = {name: metric for name, metric in self.present.items() if name in taken}
        if not both:
            return {}
        base = [check.by_process(metric.series(name)) for name, metric in both.items()]
        new = [check.by_process(in_unit(taken[name], both[name].unit)) for name in both]
        rule = self.wishes.rule
        rules = {name: metric.tolerance.rule(rule) for name, metric in both.items()}
        return {f.name: f for f in decide.decide(base, new, rule, rules=rules).findings}

    def _one(
        self, name: str, series: Series | None, finding: Finding | None
    ) -> tuple[Row, Metric | None]:
        old = self.present.get(name)
        shown = None if series is None else self._measured(series, old)
        if old is None:
            return _row(name, ADDED, (None, shown), None, "no baseline yet"), shown
        action, reason = self._action(name, old, finding)
        if action in (LOOSENED, REPLACED, REMOVED) and not self.wishes.allow_looser:
            action, reason = REFUSED, _refusal(reason)
        becomes = None if action == REMOVED else self._becomes(old, shown, action, finding)
        return _row(name, action, (old, shown), finding, reason), becomes

    def _action(self, name: str, old: Metric, finding: Finding | None) -> tuple[str, str]:
        """What should happen to a metric that is there, and why, whether or not it may."""
        if name in self.wishes.remove:
            return REMOVED, self.wishes.reason or "asked for"
        tolerance = self._tolerance(name, old)
        if tolerance is not None and tolerance[0] == LOOSENED:
            return tolerance
        if finding is None:
            return tolerance or (KEPT, "no samples in the result")
        elsewhere, moved = self._elsewhere(old), self._moved(old)
        if elsewhere or (moved and finding.verdict in (Verdict.IMPROVED, Verdict.REGRESSED)):
            return REPLACED, elsewhere or moved
        if finding.verdict is Verdict.IMPROVED:
            return TIGHTENED, "improved"
        if finding.verdict is Verdict.REGRESSED:
            return LOOSENED, self.wishes.reason or "regressed"
        return tolerance or (KEPT, finding.verdict.value)

    def _tolerance(self, name: str, old: Metric) -> tuple[str, str] | None:
        new, borne = self.wishes.tolerance, old.tolerance
        if new is None or new == borne or not self._may_change(name):
            return None
        told = f"tolerance {borne.relative:.3g} and {borne.absolute:.3g}"
        told += f" -> {new.relative:.3g} and {new.absolute:.3g}"
        wider = new.relative > borne.relative or new.absolute > borne.absolute
        return (LOOSENED if wider else TIGHTENED), told

    def _elsewhere(self, old: Metric) -> str:
        """Why a metric's number can't be compared with the result's; empty if it can."""
        assert self.samples.machine is not None
        theirs = self.baseline.machine_of(old)
        if theirs is None:
            return "the present number is of no known machine"
        differs = machine.differing(self.samples.machine, theirs)[0]
        return f"another machine ({'; '.join(differs)})" if differs else ""

    def _moved(self, old: Metric) -> str:
        """Why a change of a metric may be the machine's; empty if it is as fast as it was."""
        if old.calibration_ms and self.samples.calibration_ms and is_speed(old.unit):
            drift = self.samples.calibration_ms / old.calibration_ms
            if machine.moved(drift):
                return f"the calibration moved by {drift - 1:+.1%}"
        return ""

    def _becomes(
        self, old: Metric, shown: Metric | None, action: str, finding: Finding | None
    ) -> Metric:
        """The metric after an action: with all samples of the result, if they moved it."""
        if action in (KEPT, REFUSED):
            return old
        reason = old.reason if action == TIGHTENED else self.wishes.reason
        tolerance = self.wishes.tolerance or old.tolerance
        moved = finding is not None and finding.verdict in (Verdict.IMPROVED, Verdict.REGRESSED)
        held = shown if shown is not None and (moved or action == REPLACED) else old
        return held.model_copy(update={"tolerance": tolerance, "reason": reason})

    def _measured(self, series: Series, old: Metric | None) -> Metric:
        assert self.samples.machine is not None
        return measured(
            series if old is None else in_unit(series, old.unit),
            tolerance=self.wishes.tolerance or (Tolerance() if old is None else old.tolerance),
            recorded=self.wishes.moment,
            commit=self.samples.commit,
            machine=self.samples.machine.key,
            calibration_ms=self.samples.calibration_ms,
        )


def _refusal(reason: str) -> str:
    return f"{reason}; it takes --allow-looser and a --reason"


def _row(
    name: str,
    action: str,
    sides: tuple[Metric | None, Metric | None],
    finding: Finding | None,
    reason: str,
) -> Row:
    old, new = sides
    unit = next((metric.unit for metric in sides if metric is not None), "")
    low, high = (finding.low, finding.high) if finding else (None, None)
    medians = None if old is None else old.median, None if new is None else new.median
    return Row(name, action, *medians, low, high, new.n if new else 0, unit, reason)


def _counts(
    old: Mapping[str, int], new: Mapping[str, int], wishes: Wishes
) -> tuple[list[Row], dict[str, int]]:
    """Counts don't say which way is better, so any other number takes a reason."""
    rows: list[Row] = []
    counted: dict[str, int] = {}
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        action, reason = _count_action(name, before, after, wishes)
        if action in (REPLACED, REMOVED) and not wishes.allow_looser:
            action, reason = REFUSED, _refusal(reason)
        result = after if action in (ADDED, REPLACED) else before
        if result is not None and action != REMOVED:
            counted[name] = result
        rows.append(Row(name, action, before, after, None, None, 1, "count", reason))
    return rows, counted


def _count_action(
    name: str, before: int | None, after: int | None, wishes: Wishes
) -> tuple[str, str]:
    if name in wishes.remove:
        return REMOVED, wishes.reason or "asked for"
    if after is None or before == after or not fnmatch.fnmatchcase(name, wishes.only):
        return KEPT, "no count in the result" if after is None else "equal"
    if before is None:
        return ADDED, "no baseline yet"
    return REPLACED, wishes.reason or "another count"


def table(rows: Iterable[Row]) -> list[str]:
    """The table as text: what happens to each metric, from which number to which, and why."""
    head = ("action", "metric", "old", "new", "interval", "n", "reason")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _cells(row: Row) -> tuple[str, ...]:
    interval = ""
    if row.low is not None and row.high is not None:
        interval = f"{row.low - 1:+.1%} to {row.high - 1:+.1%}"
    old, new = (_shown(value, row.unit) for value in (row.old, row.new))
    return row.action, row.name, old, new, interval, str(row.n or ""), row.reason


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if unit == "count" else f"{value:.5g} {unit}"
