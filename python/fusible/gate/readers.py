"""Samples from the files that people have.

pytest-benchmark, hyperfine, Google Benchmark and asv JSON, baselines of our own, and JSON lines
`{"name", "value", "unit", "better"?: "lower"|"higher", "round"?}`; rates (`/s`) are better when
they are higher, all else when it is lower, unless a line says otherwise. Times are given in
milliseconds whatever the file has, so that two tools' files can be compared. A line whose unit is
`count` is a count, which is compared exactly and may be 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusible.gate import document, names, outside
from fusible.gate.model import Better, GateError, Series

if TYPE_CHECKING:
    from fusible.gate.baseline import Machine

COUNT = "count"
_LINE_KEYS = {"name", "value", "unit", "better", "round"}
_PER_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Samples:
    """What a file says was measured.

    Attributes:
        series: the samples of each metric, by their flat names (`names`).
        counts: what was counted, by flat name.
        machine: where, if the file says so.
        calibration_ms: what the calibration took beside them, if the file says so.
        commit: of what was measured, if the file says so.
        one_process: the samples of a metric are of one process: they say nothing of the spread
            between processes, which is most of it.
    """

    series: tuple[Series, ...]
    counts: dict[str, int] = field(default_factory=dict)
    machine: Machine | None = None
    calibration_ms: float | None = None
    commit: str | None = None
    one_process: bool = False


Reader = Callable[[dict[str, Any], str], Samples]


@dataclass
class _Gathered:
    """The samples of one name while lines come in."""

    unit: str
    better: Better
    values: list[float] = field(default_factory=list)
    rounds: list[int | None] = field(default_factory=list)

    def series(self, name: str, where: str) -> Series:
        given = [number for number in self.rounds if number is not None]
        if given and len(given) != len(self.rounds):
            raise GateError(f"{where}: {name}: expected a round in each line or in none")
        return Series(name, tuple(self.values), self.unit, self.better, tuple(given) or None)


def read(path: Path) -> Samples:
    """The samples of a file of any of the formats; GateError names file and key of what is wrong.

    A file of nothing but NaN for skipped benchmarks (asv) has no samples of these.
    """
    text = document.read_text(path)
    if is_lines(text):
        return lines(text.split("\n"), str(path))
    value = document.parse(text, str(path), constants=True)
    return _of_value(value, str(path))


def read_all(paths: Iterable[Path]) -> Samples:
    """The samples of several files as one; see `joined`."""
    return joined([read(path) for path in paths])


def joined(found: Sequence[Samples]) -> Samples:
    """Several samples as one; a metric that stands in several has all its samples.

    What is said once of all of them (machine, commit) must be the same everywhere.
    """
    together: dict[str, list[Series]] = {}
    counts: dict[str, int] = {}
    for samples in found:
        for series in samples.series:
            together.setdefault(series.name, []).append(series)
        _add_counts(counts, samples.counts)
    return Samples(
        tuple(pooled(parts) for parts in together.values()),
        counts,
        _agreed("machine", [samples.machine for samples in found]),
        _middle([s.calibration_ms for s in found if s.calibration_ms is not None]),
        _agreed("commit", [samples.commit for samples in found]),
        any(samples.one_process for samples in found),
    )


def _agreed(what: str, values: list[Any]) -> Any:
    given = [value for value in values if value is not None]
    if what == "machine":
        differ = any(machine.hard != given[0].hard for machine in given)
    else:
        differ = any(value != given[0] for value in given)
    if differ:
        raise GateError(f"samples: expected files of one {what}, got several")
    return given[0] if given else None


def _middle(values: list[float]) -> float | None:
    import statistics

    return statistics.median(values) if values else None


def _add_counts(counts: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        if counts.setdefault(name, count) != count:
            raise GateError(f"{name}: expected one count, got {counts[name]} and {count}")


def pooled(parts: list[Series]) -> Series:
    """All samples of one metric; a round of a later part is none of an earlier part's.

    Parts without rounds that are joined with parts that have some are rounds of their own.
    """
    first = parts[0]
    for part in parts[1:]:
        if (part.unit, part.better) != (first.unit, first.better):
            got = f"{first.unit}, {first.better.value} and {part.unit}, {part.better.value}"
            raise GateError(f"{first.name}: expected one unit and direction, got {got}")
    if len(parts) == 1:
        return first
    values = tuple(value for part in parts for value in part.values)
    if all(part.rounds is None for part in parts):
        return Series(first.name, values, first.unit, first.better)
    rounds: list[int] = []
    for part in parts:
        own = part.rounds or tuple(range(len(part.values)))
        start = max(rounds, default=-1) + 1 - min(own, default=0)
        rounds += [start + number for number in own]
    return Series(first.name, values, first.unit, first.better, tuple(rounds))


def is_lines(text: str) -> bool:
    """Whether the first line is a whole object with a name and a value."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool({"name", "value"} & value.keys())


def lines(rows: Iterable[str], where: str) -> Samples:
    """The samples of JSON lines; `where` names their file in errors."""
    gathered: dict[str, _Gathered] = {}
    counts: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if row.strip():
            place = f"{where}:{number}"
            _take(_line(document.parse(row, place), place), place, gathered, counts)
    if not gathered and not counts:
        raise GateError(f"{where}: expected samples, got none")
    series = tuple(held.series(name, where) for name, held in gathered.items())
    return Samples(series, counts)


def _line(value: Any, place: str) -> dict[str, Any]:
    """A line's object, its keys checked."""
    if not isinstance(value, dict):
        raise GateError(f"{place}: expected an object, got {value!r:.60}")
    for key in value:
        if key not in _LINE_KEYS:
            raise GateError(f"{place}: {key}: expected one of {', '.join(sorted(_LINE_KEYS))}")
    for key, kind, expected in (("name", str, "a name"), ("unit", str, "a unit such as ms")):
        given = value.get(key)
        if not isinstance(given, kind) or not given:
            raise GateError(f"{place}: {key}: expected {expected}, got {given!r:.60}")
    if value.get("better", "lower") not in ("lower", "higher"):
        raise GateError(f"{place}: better: expected lower or higher, got {value['better']!r:.60}")
    round_ = value.get("round")
    if round_ is not None and (isinstance(round_, bool) or not isinstance(round_, int)):
        raise GateError(f"{place}: round: expected a whole number, got {round_!r:.60}")
    return value


def _take(
    line: dict[str, Any], place: str, gathered: dict[str, _Gathered], counts: dict[str, int]
) -> None:
    name, unit = names.settled(line["name"], f"{place}: name"), line["unit"]
    if unit == COUNT:
        _add_counts(counts, {name: _count(line.get("value"), place)})
        return
    value, unit = in_ms(outside.positive(line.get("value"), f"{place}: value"), unit)
    better = Better(line["better"]) if "better" in line else usually_better(unit)
    held = gathered.setdefault(name, _Gathered(unit, better))
    if (held.unit, held.better) != (unit, better):
        expected = f"{held.unit} and {held.better.value} as before"
        raise GateError(f"{place}: {name}: expected {expected}, got {unit} and {better.value}")
    held.values.append(value)
    held.rounds.append(line.get("round"))


def _count(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise GateError(f"{place}: value: expected a whole number, got {value!r:.60}")
    if not 0 <= value < 2**63:
        raise GateError(f"{place}: value: expected a count of 0 or more, got {value!r:.60}")
    return int(value)


def in_ms(value: float, unit: str) -> tuple[float, str]:
    """A time in milliseconds; a value of another unit as it is."""
    return (value * _PER_MS[unit], "ms") if unit in _PER_MS else (value, unit)


def is_time(unit: str) -> bool:
    """Whether a unit is one of time."""
    return unit in _PER_MS


def usually_better(unit: str) -> Better:
    """Which way is the good one where nobody says so: of a rate the higher, else the lower."""
    return Better.HIGHER if unit.endswith("/s") else Better.LOWER


def is_speed(unit: str) -> bool:
    """Whether a slower machine changes values of a unit: times and rates, not ratios or bytes."""
    return is_time(unit) or unit.endswith("/s")


def in_unit(series: Series, unit: str) -> Series:
    """A series of times in another unit of time; any other as it is."""
    if series.unit == unit or not (is_time(series.unit) and is_time(unit)):
        return series
    factor = _PER_MS[series.unit] / _PER_MS[unit]
    return replace(series, values=tuple(v * factor for v in series.values), unit=unit)


def _of_value(value: Any, where: str) -> Samples:
    if isinstance(value, dict):
        for recognised, reader in _FORMATS:
            if recognised(value):
                return reader(value, where)
    raise GateError(
        f"{where}: expected JSON of pytest-benchmark, hyperfine, Google Benchmark, asv or"
        ' fusible gate, or JSON lines {"name", "value", …}, got none of them'
    )


def _of_baseline(value: dict[str, Any], where: str) -> Samples:
    from fusible.gate import baseline

    held = baseline.from_value(value, where)
    metrics = dict(held.metrics())
    machines = [held.machine_of(metric) for metric in metrics.values()]
    commits = {metric.commit for metric in metrics.values()}
    return Samples(
        tuple(metric.series(name) for name, metric in metrics.items()),
        held.counts(),
        _agreed("machine", machines),
        _middle([m.calibration_ms for m in metrics.values() if m.calibration_ms is not None]),
        commits.pop() if len(commits) == 1 else None,
    )


def _timed(rows: Iterator[outside.Row], where: str) -> tuple[Series, ...]:
    """Series of rows of another tool, times in milliseconds."""
    gathered: dict[str, _Gathered] = {}
    for row in rows:
        name = names.settled(row.name, where)
        unit = in_ms(1.0, row.unit)[1]
        held = gathered.setdefault(name, _Gathered(unit, Better.LOWER))
        held.values += [in_ms(value, row.unit)[0] for value in row.values]
        held.rounds += [None] * len(row.values)
    if not gathered:
        raise GateError(f"{where}: expected samples, got none")
    return tuple(held.series(name, where) for name, held in gathered.items())


def _of_tool(tool: Callable[[dict[str, Any], str], outside.Found]) -> Reader:
    def reader(value: dict[str, Any], where: str) -> Samples:
        found = tool(value, where)
        series = _timed(iter(found.rows), where)
        return Samples(series, commit=found.commit, one_process=found.one_process)

    return reader


_FORMATS: tuple[tuple[Callable[[dict[str, Any]], bool], Reader], ...] = (
    (lambda v: "format" in v and "scenarios" in v, _of_baseline),
    (lambda v: "benchmarks" in v and "machine_info" in v, _of_tool(outside.pytest_benchmark)),
    (lambda v: "benchmarks" in v, _of_tool(outside.google_benchmark)),
    (lambda v: isinstance(v.get("results"), list), _of_tool(outside.hyperfine)),
    (lambda v: isinstance(v.get("results"), dict), _of_tool(outside.asv)),
)
