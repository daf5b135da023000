"""Plots of metrics as SVG: intervals, samples, histories. Colours are classes of `page.css`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from fusible.gate.history import Change, Point
from fusible.gate.model import Finding, Series
from fusible.page import text

MOST_DOTS = 300  # of a row of samples: more can't be told apart, and a page is to stay small
_FOREST = (240, 26)
_WIDTH = 560
_LEFT, _RIGHT = 70, 14

Scale = Callable[[float], float]


def number(value: float) -> str:
    """Four digits, with thin spaces between thousands."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "\u2013"
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3g}"
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}".replace(",", "\u202f")


def _tick(value: float) -> str:
    """A round number; multiples of a step end in a few wrong digits."""
    return f"{value:,.6g}".replace(",", "\u202f")


def percent(ratio: float, digits: int = 1) -> str:
    """A ratio as a signed change."""
    if math.isnan(ratio):
        return "\u2013"
    if math.isinf(ratio):
        return "+∞"
    return f"{100 * (ratio - 1):+.{digits}f} %".replace("-", "\u2212")


def linear(low: float, high: float, start: float, stop: float) -> Scale:
    """A scale from numbers to pixels; of an empty range everything is in the middle."""
    if high <= low:
        return lambda value: (start + stop) / 2
    return lambda value: start + (value - low) / (high - low) * (stop - start)


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers between two ends, about so many."""
    if high <= low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
    return f'{head} aria-label="{text(label)}">{"".join(parts)}</svg>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="{kind}" {ends}/>'


def _dot(kind: str, x: float, y: float, radius: float, title: str = "") -> str:
    inside = f"<title>{text(title)}</title>" if title else ""
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{inside}</circle>'


def _label(kind: str, x: float, y: float, words: str, anchor: str = "middle") -> str:
    at = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {at}>{text(words)}</text>'


def reach(findings: Sequence[Finding]) -> float:
    """The logarithm at which the common axis of the intervals ends: 5 % to a factor of two.

    One metric in ten may go far beyond it, so that a wild one doesn't make dots of all others.
    """
    ends = [max(abs(_log(one.low)), abs(_log(one.high))) for one in findings]
    finite = sorted(end for end in ends if math.isfinite(end)) or [0.0]
    usual = finite[(len(finite) - 1) * 9 // 10]
    return min(max(math.log(1.05), usual * 1.35), math.log(2))


def _log(ratio: float) -> float:
    if math.isnan(ratio):
        return math.nan
    return math.log(ratio) if 0 < ratio < math.inf else math.copysign(math.inf, ratio - 1)


def forest(finding: Finding, end: float) -> str:
    """A finding's interval on the axis of all findings; an arrow where it goes on beyond it."""
    width, height = _FOREST
    x, middle = linear(-end, end, 8, width - 8), height / 2
    parts = [_line("zero", x(0), 2, x(0), height - 2)]
    low, ratio, high = (_log(value) for value in (finding.low, finding.ratio, finding.high))
    if not math.isnan(ratio):
        ends = [x(min(max(value, -end), end)) for value in (low, high)]
        parts.append(_line("interval", ends[0], middle, ends[1], middle))
        parts += [
            _arrow(at, middle, value) if abs(value) > end else _line("interval", at, 8, at, 18)
            for at, value in zip(ends, (low, high), strict=True)
        ]
        if abs(ratio) <= end:
            parts.append(_dot("estimate", x(ratio), middle, 4))
    label = f"{percent(finding.low)} to {percent(finding.high)}"
    return _svg(width, height, label, parts)


def _arrow(x: float, y: float, value: float) -> str:
    side = 1 if value > 0 else -1
    points = f"{x + 5 * side:.1f},{y:.1f} {x - 2 * side:.1f},{y - 5} {x - 2 * side:.1f},{y + 5}"
    return f'<polygon class="estimate" points="{points}"/>'


def forest_axis(end: float) -> str:
    """The axis above the intervals: round percentages."""
    width, _ = _FOREST
    x = linear(-end, end, 8, width - 8)
    span = 0.8 * (math.exp(end) - 1)
    places = {mark: x(math.log1p(mark)) for mark in ticks(-span, span, 4)}
    parts = [
        _label("tick", place, 11, percent(1 + mark, 0) if mark else "0 %")
        for mark, place in places.items()
        if 24 <= place <= width - 24  # a label has its width
    ]
    return _svg(width, 14, "axis of the intervals", parts)


def _axis(scale: Scale, marks: Sequence[float], bottom: float) -> list[str]:
    """A horizontal axis with its grid."""
    parts = []
    for mark in marks:
        parts.append(_line("grid", scale(mark), 6, scale(mark), bottom))
        parts.append(_label("tick", scale(mark), bottom + 14, _tick(mark)))
    return parts


def samples(rows: Sequence[tuple[str, Series]]) -> str:
    """All samples of each side in a row, with the medians."""
    values = [value for _, series in rows for value in series.values]
    pad = (max(values) - min(values)) * 0.04
    low, high = min(values) - pad, max(values) + pad
    bottom = 10 + 38 * len(rows)
    scale = linear(low, high, _LEFT, _WIDTH - _RIGHT)
    parts = _axis(scale, ticks(low, high, 5), bottom)
    for row, (side, series) in enumerate(rows):
        parts += _row(side, series, scale, 29 + 38 * row)
    parts.append(_label("tick", 4, bottom + 14, rows[0][1].unit, "start"))
    return _svg(_WIDTH, bottom + 20, f"samples of {rows[0][1].name}", parts)


def _row(side: str, series: Series, scale: Scale, y: float) -> list[str]:
    values, count = series.values, len(series.values)
    shown = [values[i * count // MOST_DOTS] for i in range(MOST_DOTS)]
    shown = list(values) if count <= MOST_DOTS else shown
    # The golden ratio spreads any number of dots evenly over the row's height.
    dots = [
        _dot(f"sample {side}", scale(v), y + ((i * 0.618034) % 1 - 0.5) * 20, 2.5)
        for i, v in enumerate(shown)
    ]
    median = scale(statistics.median(values))
    about = [_label("side", 4, y, side, "start"), _label("tick", 4, y + 13, f"n {count}", "start")]
    return [*about, *dots, _line(f"median {side}", median, y - 15, median, y + 15)]


def course(points: Sequence[Point], changes: Sequence[Change], base: Series | None) -> str:
    """A metric's history: each run with all its samples, the levels, where they changed."""
    height, bottom = 170, 146
    values = [v for point in points for v in point.values] + list(base.values if base else ())
    pad = (max(values) - min(values) or abs(values[0]) or 1.0) * 0.08
    low, high = min(values) - pad, max(values) + pad
    x = linear(-0.5, len(points) - 0.5, _LEFT, _WIDTH - _RIGHT)
    y = linear(low, high, bottom, 8)
    parts = []
    for mark in ticks(low, high, 4):
        parts.append(_line("grid", _LEFT, y(mark), _WIDTH - _RIGHT, y(mark)))
        parts.append(_label("tick", _LEFT - 6, y(mark) + 4, _tick(mark), "end"))
    if base is not None:
        parts.append(_band(base, y))
    parts += [part for i, point in enumerate(points) for part in _run(point, x(i), y)]
    parts += _levels(points, changes, x, y)
    last = len(points) - 1
    parts.append(_label("tick", x(0), bottom + 18, _when(points[0]), "start"))
    if last:
        parts.append(_label("tick", x(last), bottom + 18, _when(points[last]), "end"))
    parts.append(_label("tick", 4, bottom + 18, points[0].unit, "start"))
    return _svg(_WIDTH, height, f"history of {points[0].name}", parts)


def _band(base: Series, y: Scale) -> str:
    """The baseline: its median, and a band from its least to its largest sample."""
    top, bottom = y(max(base.values)), y(min(base.values))
    box = f'x="{_LEFT}" y="{top:.1f}" width="{_WIDTH - _LEFT - _RIGHT}"'
    middle = y(statistics.median(base.values))
    line = _line("baseline", _LEFT, middle, _WIDTH - _RIGHT, middle)
    return f'<rect class="band" {box} height="{max(bottom - top, 1):.1f}"/>{line}'


def level(values: Sequence[float]) -> float:
    """The geometric mean of positive samples, the mean of others."""
    if min(values) > 0:
        return math.exp(math.fsum(math.log(value) for value in values) / len(values))
    return math.fsum(values) / len(values)


def _run(point: Point, x: float, y: Scale) -> list[str]:
    title = f"{_when(point)}: {number(level(point.values))} {point.unit}, n {len(point.values)}"
    span = _line("span", x, y(min(point.values)), x, y(max(point.values)))
    return [span, _dot("run", x, y(level(point.values)), 3, title)]


def _when(point: Point) -> str:
    return " ".join(part for part in (point.commit[:10], point.when[:10]) if part) or "run"


def _levels(points: Sequence[Point], changes: Sequence[Change], x: Scale, y: Scale) -> list[str]:
    """The level between changes, and at each change how large it is."""
    if not changes:
        return []
    parts = []
    places = {id(point): index for index, point in enumerate(points)}
    cuts = [0, *(places[id(one.at)] for one in changes), len(points)]
    heights = [changes[0].before, *(one.after for one in changes)]
    for start, stop, height in zip(cuts, cuts[1:], heights, strict=False):
        parts.append(_line("level", x(start - 0.5), y(height), x(stop - 0.5), y(height)))
    for one, at in zip(changes, cuts[1:], strict=False):
        kind = "worse" if one.worse else "better"
        parts.append(_line(f"change {kind}", x(at - 0.5), 8, x(at - 0.5), 146))
        parts.append(_label(f"change {kind}", x(at - 0.5) + 5, 18, percent(one.ratio), "start"))
    return parts
