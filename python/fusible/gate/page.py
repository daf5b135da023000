"""`fusible gate report --html`: one page that needs nothing from outside, and no server."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from fusible.gate import document, history, plots
from fusible.gate.history import Change, Point
from fusible.gate.model import Finding, Report, Series, Verdict
from fusible.gate.plots import percent
from fusible.page import page, text

_ORDER = (
    *(Verdict.REGRESSED, Verdict.MISSING, Verdict.INCONCLUSIVE),
    *(Verdict.ADVISORY, Verdict.IMPROVED, Verdict.UNCHANGED),
)
# A sign beside each colour, for those who don't see the colour.
_SIGNS = dict(zip(_ORDER, "▲∅?i▼=", strict=True))
_COLUMNS = (
    ("Metric", "text", "first"),
    ("Verdict", "number", ""),
    ("Change", "number", "number"),
    ("n", "number", "number"),
    ("p", "number", "number"),
)
_KEY = (
    "Changes are of slowness: above zero is worse for every metric, whichever way is better. A line"
    " is the interval that decided, an arrow its end beyond the axis. n counts pairs of rounds, or"
    " samples where there are none; p is one-sided, adjusted for all metrics. In histories a bar"
    " spans a run's samples, the dot is their geometric mean, the dashed line the baseline's"
    " median in the band of its samples."
)


def write(
    path: Path,
    report: Report,
    history: Sequence[Point] = (),
    baseline: Sequence[Series] = (),
    samples: Sequence[Series] = (),
    *,
    title: str = "fusible gate",
) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: of the page.
        report: what was decided.
        history: earlier points of the metrics, oldest first, plotted with their changes.
        baseline: the raw samples of the baseline, by the names of the findings.
        samples: the raw samples that were compared with it.
        title: what stands above.
    """
    document.write(path, render(report, history, baseline, samples, title=title))


def render(
    report: Report,
    history: Sequence[Point] = (),
    baseline: Sequence[Series] = (),
    samples: Sequence[Series] = (),
    *,
    title: str = "fusible gate",
) -> str:
    """The page's text; see `write`."""
    findings = sorted(report.findings, key=lambda one: (_ORDER.index(one.verdict), one.name))
    sides = [{one.name: one for one in side if one.values} for side in (baseline, samples)]
    details = _Details(sides[0], sides[1], history)
    cards = [details.card(one, index) for index, one in enumerate(findings)]
    body = [
        _header(report, title),
        _tools(findings),
        _table(findings, [bool(card) for card in cards], report.geometric_mean),
        f'<p class="key">{text(_KEY)}</p>',
        f'<h2>Metrics</h2>\n<div class="cards">{"".join(cards)}</div>' if any(cards) else "",
    ]
    return page(title, "\n".join(body), _asset("page.css"), _asset("page.js"))


def _asset(name: str) -> str:
    return files("fusible.gate").joinpath(name).read_text(encoding="utf-8")


def _header(report: Report, title: str) -> str:
    counts = Counter(one.verdict for one in report.findings if not one.control)
    parts = [f"{counts[verdict]} {verdict.value}" for verdict in _ORDER if counts[verdict]]
    words = f"{sum(counts.values())} metrics: {', '.join(parts)}" if parts else "no metrics"
    controls = sum(one.control for one in report.findings)
    words += f"; controls: {controls}" if controls else ""
    notes = "".join(f"<li>{text(note)}</li>" for note in report.notes)
    return (
        f'<header>\n<h1>{text(title)}</h1>\n<div class="headline">{_pill(report.verdict)}'
        f"<span>{text(words)}; exit status {report.exit}</span></div>\n"
        + (f'<ul class="notes">{notes}</ul>\n' if notes else "")
        + "</header>"
    )


def _pill(verdict: Verdict) -> str:
    sign = f'<span aria-hidden="true">{_SIGNS[verdict]}</span>'
    return f'<span class="pill {verdict.value}">{sign} {verdict.value}</span>'


def _tools(findings: Sequence[Finding]) -> str:
    counts = Counter(one.verdict for one in findings)
    chips = "".join(
        f'<button type="button" class="{v.value}" value="{v.value}" aria-pressed="true">'
        f"{v.value} {counts[v]}</button>"
        for v in _ORDER
        if counts[v]
    )
    search = '<input type="search" placeholder="Filter by name" aria-label="Filter by name">'
    return f'<div class="tools" role="group" aria-label="Filters">{chips}{search}</div>'


def _table(findings: Sequence[Finding], linked: Sequence[bool], mean: Finding | None) -> str:
    end = plots.reach([*findings, *([mean] if mean else [])])
    heads = [
        f'<th scope="col" data-kind="{kind}" class="{css}">'
        f'<button type="button">{name}</button></th>'
        for name, kind, css in _COLUMNS
    ]
    heads.insert(3, f'<th scope="col" class="plot">{plots.forest_axis(end)}</th>')
    rows = "\n".join(
        _row(one, end, _filters(one), f"#metric-{index}" if linked[index] else "")
        for index, one in enumerate(findings)
    )
    foot = f"<tfoot>{_row(mean, end)}</tfoot>" if mean else ""
    return (
        f'<div class="scroll"><table>\n<thead><tr>{"".join(heads)}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>{foot}</table></div>"
    )


def _row(one: Finding, end: float, filters: str = "", link: str = "") -> str:
    """A row; that of the geometric mean has no card, and no filter hides it."""
    name = f'<a href="{link}">{text(one.name)}</a>' if link else text(one.name)
    if one.control and filters:
        name += " <small>control</small>"
    reason = f'<span class="reason">{text(one.reason)}</span>' if one.reason else ""
    cells = (
        f'<td class="name" data-sort="{text(one.name)}">{name}{reason}</td>',
        f'<td data-sort="{_ORDER.index(one.verdict)}">{_pill(one.verdict)}</td>',
        f'<td class="number change" data-sort="{_key(one.ratio)}">{percent(one.ratio)}</td>',
        f'<td class="plot">{plots.forest(one, end)}</td>',
        f'<td class="number" data-sort="{one.n}">{one.n}</td>',
        f'<td class="number" data-sort="{_key(one.p)}">{_p(one.p)}</td>',
    )
    return f'<tr class="{one.verdict.value}" {filters}>{"".join(cells)}</tr>'


def _filters(one: Finding) -> str:
    return f'data-verdict="{one.verdict.value}" data-name="{text(one.name.lower())}"'


def _key(value: float) -> str:
    """What the script sorts by."""
    if math.isnan(value):
        return ""
    return repr(value) if math.isfinite(value) else "Infinity"


def _p(value: float) -> str:
    if math.isnan(value):
        return "\u2013"
    return "&lt; 0.0001" if 0 < value < 1e-4 else f"{value:.4f}" if 0 < value < 1 else f"{value:g}"


def _many(things: Sequence[object], one: str) -> str:
    return f"{len(things)} {one}" + ("" if len(things) == 1 else "s")


class _Details:
    """What is known of each metric beside its finding."""

    def __init__(
        self,
        baseline: Mapping[str, Series],
        samples: Mapping[str, Series],
        points: Sequence[Point],
    ) -> None:
        self.baseline = baseline
        self.samples = samples
        self.points: dict[str, list[list[Point]]] = {}
        for (name, _, _), members in history.series(points).items():
            self.points.setdefault(name, []).append(members)
        self.changes: dict[tuple[str, str], list[Change]] = {}
        for change in history.detect(points) if points else ():
            key = change.name, change.at.machine
            self.changes.setdefault(key, []).append(change)

    def card(self, one: Finding, index: int) -> str:
        """All about a metric; nothing where the table says it all."""
        parts = [f"<p>{self._words(one)}</p>"]
        rows = [
            (side, series[one.name])
            for side, series in (("base", self.baseline), ("now", self.samples))
            if one.name in series
        ]
        if rows:
            parts.append(f"<h4>Samples</h4>{plots.samples(rows)}")
        parts += [self._course(one.name, points) for points in self.points.get(one.name, ())]
        if len(parts) == 1:
            return ""
        top = f'<div class="top"><h3>{text(one.name)}</h3>{_pill(one.verdict)}</div>'
        head = f'<article class="card {one.verdict.value}" id="metric-{index}" {_filters(one)}>'
        return f"{head}{top}{''.join(parts)}</article>\n"

    def _words(self, one: Finding) -> str:
        if math.isnan(one.ratio):
            return text(one.reason)
        way = "worse" if one.ratio > 1 else "better" if one.ratio < 1 else "no change"
        size = percent(one.ratio).lstrip("+\u2212") + " " if one.ratio != 1 else ""
        interval = f"{percent(one.low)} to {percent(one.high)}"
        better = f"{one.better.value} is better"
        if one.bootstrap is not None:
            ends = " to ".join(percent(end) for end in one.bootstrap)
            better += f"; by bootstrap over rounds, which decides nothing, {ends}"
        first = f"<b>{text(size + way)}</b> (interval {interval}); {text(better)}"
        return f"{first}. {text(one.reason)}" if one.reason else f"{first}."

    def _course(self, name: str, points: Sequence[Point]) -> str:
        machine = points[0].machine
        where = f" on {machine}" if machine else ""
        base = self.baseline.get(name)
        fits = base if base is not None and base.unit == points[0].unit else None
        changes = self.changes.get((name, machine), [])
        changes = [change for change in changes if change.at.unit == points[0].unit]
        words = f"History{where}: {_many(points, 'run')}, {_many(changes, 'change')}"
        return f"<h4>{text(words)}</h4>{plots.course(points, changes, fits)}"
