"""What other tools' JSON says: pytest-benchmark, hyperfine, Google Benchmark, asv.

Only raw samples are taken. A mean or a minimum that a tool made of them can't be judged.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from fusible.gate.model import GateError

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
# asv's results don't name their unit, its benchmarks' names do.
_ASV_UNITS = {"time": "s", "timeraw": "s", "mem": "bytes", "peakmem": "bytes"}


class Row(NamedTuple):
    """Samples of one benchmark."""

    name: str
    values: tuple[float, ...]
    unit: str


@dataclass(frozen=True)
class Found:
    """What a tool's file holds."""

    rows: tuple[Row, ...]
    commit: str | None = None
    one_process: bool = True


def finite(value: Any, where: str, expected: str = "a finite number") -> float:
    """A finite number; an integer that no float can hold is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and abs(value) <= sys.float_info.max):
        raise GateError(f"{where}: expected {expected}, got {_shown(value)}")
    return float(value)


def _shown(value: Any) -> str:
    """A value in an error; Python refuses to write integers of thousands of digits."""
    huge = isinstance(value, int) and value.bit_length() > 1024
    return "an integer of hundreds of digits" if huge else f"{value!r:.60}"


def positive(value: Any, where: str) -> float:
    """A positive finite number."""
    expected = "a positive finite number"
    number = finite(value, where, expected)
    if number <= 0:
        raise GateError(f"{where}: expected {expected}, got {number:g}")
    return number


def _items(value: Any, where: str) -> Iterator[tuple[Any, str]]:
    if not isinstance(value, list):
        raise GateError(f"{where}: expected a list, got {value!r:.60}")
    for number, item in enumerate(value):
        yield item, f"{where}[{number}]"


def _get(table: Any, key: str, where: str, kind: type[Any]) -> Any:
    value = table.get(key) if isinstance(table, dict) else None
    if not isinstance(value, kind):
        raise GateError(f"{where}: {key}: expected a {kind.__name__}, got {value!r:.60}")
    return value


def _has(item: Any, key: str) -> bool:
    return isinstance(item, dict) and item.get(key) is not None


def _first_name(item: Any, keys: tuple[str, ...], where: str) -> str:
    """The first of several names that is given."""
    key = next((k for k in keys if isinstance(item, dict) and item.get(k)), keys[-1])
    name: str = _get(item, key, where, str)
    return name


def _values(value: Any, where: str) -> tuple[float, ...]:
    return tuple(positive(item, place) for item, place in _items(value, where))


def _commit(value: Any) -> str | None:
    return value if isinstance(value, str) and _COMMIT.fullmatch(value) else None


def pytest_benchmark(value: dict[str, Any], where: str) -> Found:
    """`pytest --benchmark-json FILE`: seconds a call, of one process."""
    rows = []
    for item, place in _items(value["benchmarks"], f"{where}: benchmarks"):
        name = _first_name(item, ("fullname", "name"), place)
        stats = _get(item, "stats", place, dict)
        if "data" not in stats:
            raise GateError(
                f"{place}: stats.data: expected samples, got none"
                " (save with --benchmark-json or --benchmark-save-data)"
            )
        data = _values(stats["data"], f"{place}: stats.data")
        rows.append(Row(name, data, "s"))
    about = value.get("commit_info")
    return Found(tuple(rows), _commit(about.get("id")) if isinstance(about, dict) else None)


def hyperfine(value: dict[str, Any], where: str) -> Found:
    """`hyperfine --export-json FILE`: seconds a run, a process each."""
    rows = []
    for item, place in _items(value["results"], f"{where}: results"):
        codes = _get(item, "exit_codes", place, list) if _has(item, "exit_codes") else []
        failed = [code for code in codes if code != 0]
        if failed:
            raise GateError(f"{place}: exit_codes: expected 0, got {failed[0]}")
        times = _values(_get(item, "times", place, list), f"{place}: times")
        rows.append(Row(_get(item, "command", place, str), times, "s"))
    return Found(tuple(rows), one_process=False)


def google_benchmark(value: dict[str, Any], where: str) -> Found:
    """`--benchmark_format=json`: the real time of each repetition; aggregates are left out."""
    rows = []
    for item, place in _items(value["benchmarks"], f"{where}: benchmarks"):
        name = _get(item, "name", place, str)
        if item.get("run_type") == "aggregate":
            continue
        if item.get("error_occurred"):
            raise GateError(f"{place}: {name}: expected samples, got its error")
        time = positive(item.get("real_time"), f"{place}: {name}: real_time")
        unit = item.get("time_unit", "ns")
        if unit not in ("ns", "us", "ms", "s"):
            raise GateError(f"{place}: {name}: time_unit: expected ns, us, ms or s, got {unit!r}")
        rows.append(Row(_first_name(item, ("run_name", "name"), place), (time,), unit))
    if not rows:
        raise GateError(
            f"{where}: expected repetitions, got aggregates only"
            " (run without --benchmark_report_aggregates_only)"
        )
    return Found(tuple(rows))


def asv(value: dict[str, Any], where: str) -> Found:
    """A file of asv's results: the samples if they were recorded, else its one number.

    Skipped benchmarks (NaN) have no samples; one that failed (null) is refused.
    """
    columns = _get(value, "result_columns", where, list)
    rows: list[Row] = []
    for name, cells in value["results"].items():
        place = f"{where}: results: {name}"
        if not isinstance(cells, list) or len(cells) > len(columns):
            raise GateError(f"{place}: expected a list as of result_columns, got {cells!r:.60}")
        if not all(isinstance(column, str) for column in columns):
            raise GateError(f"{where}: result_columns: expected names, got {columns!r:.60}")
        rows += _asv_rows(name, dict(zip(columns, cells, strict=False)), place)
    return Found(tuple(rows), _commit(value.get("commit_hash")))


def _asv_rows(name: str, row: dict[str, Any], place: str) -> Iterator[Row]:
    prefix = name.rpartition(".")[2].partition("_")[0]
    unit = _ASV_UNITS.get(prefix, "unit")
    results, samples = row.get("result"), row.get("samples")
    if not isinstance(results, list):
        raise GateError(f"{place}: expected results, got {results!r:.60} (did it fail?)")
    params = row.get("params") or []
    if not (isinstance(params, list) and all(isinstance(values, list) for values in params)):
        raise GateError(f"{place}: params: expected lists of values, got {params!r:.60}")
    # The file says how many combinations it means by its results: a product has no bounds.
    combinations = list(itertools.islice(itertools.product(*params), len(results)))
    for number, result in enumerate(results):
        taken = samples[number] if isinstance(samples, list) and number < len(samples) else None
        if isinstance(result, float) and math.isnan(result):
            continue
        chosen = combinations[number] if number < len(combinations) else ()
        full = f"{name}({', '.join(map(str, chosen))})" if chosen else name
        values = _values(taken if taken is not None else [result], f"{place}[{number}]")
        yield Row(full, values, unit)
