"""The history of metrics: an append-only file of JSON lines, and where it changed.

Changes are found by seeded binary segmentation (arXiv 2002.06633), whose intervals of all lengths
see a level that came and went, with a t test as Hunter has it (arXiv 2301.03034): the permutation
test of E-divisive (arXiv 2003.00584) answers otherwise on the same data each time it runs.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fusible.gate import document
from fusible.gate.model import Better, GateError

# Points of a level: two would make a level of a pair of runs on one busy afternoon.
LEAST = 3
_LARGEST = 1e150  # its square is a number, too
_TEXTS = ("unit", "commit", "when", "machine")
_KEYS = ("name", "values", "better", *_TEXTS)


@dataclass(frozen=True)
class Point:
    """One metric as one run measured it.

    Attributes:
        name: the metric; stages are joined by slashes.
        values: the raw samples.
        unit: of the samples.
        better: which direction is.
        commit: what was measured.
        when: ISO 8601.
        machine: names the machine's hard keys; points of different machines are never joined.
    """

    name: str
    values: tuple[float, ...]
    unit: str = "ms"
    better: Better = Better.LOWER
    commit: str = ""
    when: str = ""
    machine: str = ""


@dataclass(frozen=True)
class Change:
    """A change of a metric's level; `at` is the first point of the new level.

    Attributes:
        name: the metric.
        at: the point from which on the level is another.
        previous: the point before it: the cause is a commit after this one, up to that of `at`.
        before: the level before: the geometric mean since the change before.
        after: the level after, up to the next change.
        ratio: after / before.
        p: of the t test, times the places where the change could have been found.
        worse: whether the change is for the worse.
    """

    name: str
    at: Point
    previous: Point
    before: float
    after: float
    ratio: float
    p: float
    worse: bool


def append(path: Path, points: Iterable[Point]) -> None:
    """Appends points to the file, all of them or none; several processes may do so at once.

    Raises:
        GateError: a point is none, or the file ends in half a line.
    """
    text = "".join(json.dumps(asdict(point), allow_nan=False) + "\n" for point in points)
    for line in text.splitlines():
        _point(line, "history")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                raise GateError(f"{path}: expected whole lines, got a last line without an end")
        file.write(text.encode())


def points(path: Path) -> list[Point]:
    """The points of a file, oldest first; GateError names the line that is none."""
    lines = document.read_text(path).split("\n")
    if lines.pop():
        raise GateError(f"{path}:{len(lines) + 1}: expected a whole line, got one without an end")
    return [_point(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def _point(line: str, where: str) -> Point:
    fields = document.parse(line, where)
    if not isinstance(fields, dict) or not {"name", "values"} <= fields.keys() <= set(_KEYS):
        raise GateError(f"{where}: expected an object with {', '.join(_KEYS)}, got {line[:80]!r}")
    for key in ("name", *_TEXTS):
        if not isinstance(fields.get(key, ""), str):
            raise GateError(f"{where}: {key}: expected text, got {fields[key]!r:.80}")
    if fields.get("better", "lower") not in ("lower", "higher"):
        raise GateError(f"{where}: better: expected lower or higher, got {fields['better']!r:.80}")
    values, better = _values(fields["values"], where), Better(fields.get("better", "lower"))
    return Point(**{**fields, "values": values, "better": better})


def _values(values: Any, where: str) -> tuple[float, ...]:
    good = isinstance(values, list) and values and all(type(one) in (int, float) for one in values)
    if not good or not all(abs(one) <= _LARGEST for one in values):
        raise GateError(f"{where}: values: expected finite numbers, got {values!r:.80}")
    return tuple(float(one) for one in values)


def detect(points: Sequence[Point], *, alpha: float = 0.001, floor: float = 0.02) -> list[Change]:
    """The changes of all metrics, by metric and time; the same points give the same changes.

    Args:
        points: of any metrics and machines, each oldest first.
        alpha: the chance that a history without a change shows one. It is split evenly over all
            places that are looked at (Bonferroni), so the true one is smaller.
        floor: smallest change that is told, relative.
    """
    found = sorted(series(points).items())
    return [change for _, members in found for change in _changes(members, alpha, abs(floor))]


def series(points: Iterable[Point]) -> dict[tuple[str, str, str], list[Point]]:
    """(name, machine, unit) -> the points that may be compared with each other, in their order."""
    found: dict[tuple[str, str, str], list[Point]] = {}
    for point in points:
        found.setdefault((point.name, point.machine, point.unit), []).append(point)
    return found


def _changes(points: list[Point], alpha: float, floor: float) -> Iterator[Change]:
    import numpy as np

    # One run is one observation: the samples within it share its machine, its heat and its luck.
    logs = all(value > 0 for point in points for value in point.values)
    x = np.array([np.mean(np.log(p.values) if logs else p.values) for p in points])
    tests = sum(stop - start - 2 * LEAST + 1 for start, stop in _intervals(0, len(x)))
    cuts = sorted(_split(x, 0, len(x), alpha / max(tests, 1)))
    while cuts:
        found = [
            _change(points, x, logs, bounds)
            for bounds in zip([0, *cuts[:-1]], cuts, [*cuts[1:], len(x)], strict=True)
        ]
        # Found between two ends of an interval, a cut must also hold between its neighbours.
        bad = [i for i, one in enumerate(found) if one.p > alpha or not _matters(one, floor)]
        if not bad:
            yield from found
            return
        del cuts[max(bad, key=lambda i: (found[i].p, -abs(found[i].after - found[i].before)))]


def _matters(change: Change, floor: float) -> bool:
    return abs(change.after - change.before) > floor * abs(change.before)


def _change(points: list[Point], x: Any, logs: bool, bounds: tuple[int, int, int]) -> Change:
    start, cut, stop = bounds
    before, after = float(x[start:cut].mean()), float(x[cut:stop].mean())
    if logs:
        before, after = math.exp(before), math.exp(after)
    ratio = after / before if before else math.inf
    places = stop - start - 2 * LEAST + 1
    p = min(1.0, _p(x[start:stop], cut - start) * places)
    worse = (after > before) == (points[cut].better is Better.LOWER)
    return Change(points[cut].name, points[cut], points[cut - 1], before, after, ratio, p, worse)


def _intervals(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Seeded intervals: the whole, and halves of each length so far, overlapping by a half."""
    length = stop - start
    while length >= 2 * LEAST:
        count = max(1, math.ceil((stop - start) / length) * 2 - 1)
        step = (stop - start - length) / max(count - 1, 1)
        for number in range(count):
            begin = start + round(number * step)
            yield begin, begin + length
        length = math.ceil(length / 2)


def _split(x: Any, start: int, stop: int, alpha: float) -> list[int]:
    """Cuts of x[start:stop]: the surest one, and those on both sides of it."""
    surest = (alpha, 0)
    for begin, end in _intervals(start, stop):
        k, p = _best(x[begin:end])
        # Where the best cut leaves too few runs on one side, more runs have to tell.
        if LEAST <= k <= end - begin - LEAST:
            surest = min(surest, (p, begin + k))
    cut = surest[1]
    if not cut:
        return []
    return [cut, *_split(x, start, cut, alpha), *_split(x, cut, stop, alpha)]


def _best(x: Any) -> tuple[int, float]:
    """The cut with the largest difference between its sides, and its p."""
    import numpy as np

    n = len(x)
    k = np.arange(1, n)
    between = np.cumsum(x - x.mean())[:-1] ** 2 * n / (k * (n - k))
    cut = int(between.argmax()) + 1
    return cut, _p(x, cut)


def _p(x: Any, cut: int) -> float:
    """Two-sided p of Student's t test (equal variances) of x[:cut] against x[cut:]."""
    from scipy.special import stdtr

    n = len(x)
    centred = x - x.mean()
    total = float((centred**2).sum())
    between = float(centred[:cut].sum()) ** 2 * n / (cut * (n - cut))
    # Constant levels leave nothing within but rounding: then any difference is a sure one.
    within = max(total - between, 1e-12 * total + 1e-300)
    return 2 * float(stdtr(n - 2, -math.sqrt(between / within * (n - 2))))
