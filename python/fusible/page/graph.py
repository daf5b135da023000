"""`fusible graph --html`: a graph before and after each pass, and what nearly fused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from fusible import _core
from fusible.page import page, text
from fusible.passes import Miss, PassManager, Result

_KEY = (
    "Click a line to see what it reads (left bar) and what reads it (right bar). Filled lines are"
    " fused. Of a pass, lines that it takes away are marked before it, those that it makes behind"
    " it. A near miss is one change away from fusing; bytes a row are what fusing there would"
    " neither write nor read, with every symbolic size as one."
)


@dataclass(frozen=True)
class Stage:
    """One pass of a run: the graph before and after it, and what it nearly did."""

    name: str
    rewrites: int
    before: _core.Graph
    after: _core.Graph
    misses: list[Miss]


class Steps:
    """What a run calls behind each pass; a near miss belongs to the first pass that says it."""

    def __init__(self, graph: _core.Graph) -> None:
        self.made: list[Stage] = []
        self._before, self._known = graph, set[tuple[str, str, str]]()

    def __call__(self, stats: _core.PassStats, graph: _core.Graph, misses: list[Miss]) -> None:
        """Keeps what a pass did."""
        new = [miss for miss in misses if _identity(miss) not in self._known]
        self._known.update(map(_identity, new))
        self.made.append(Stage(stats.name, stats.rewrites, self._before, graph, new))
        self._before = graph


def _identity(miss: Miss) -> tuple[str, str, str]:
    return miss.rule, miss.node, miss.reason


def render(
    manager: PassManager, graph: _core.Graph, title: str, sizes: tuple[int, int] | None = None
) -> str:
    """The page of a graph that goes through a pipeline, for some sizes or for any."""
    run = Steps(graph)
    result, steps = manager.run(graph, range=sizes, watch=run), run.made
    misses = {_identity(miss): number for number, miss in enumerate(result.misses)}
    columns = _Columns(misses)
    body = [
        _header(result, title),
        _tabs(steps),
        "<main>",
        '<div class="stages">',
        *(_stage(number, step, columns) for number, step in enumerate(steps)),
        "</div>",
        _aside(result, steps),
        "</main>",
    ]
    return page(title, "\n".join(body), _asset("graph.css"), _asset("graph.js"))


def _asset(name: str) -> str:
    return files("fusible.page").joinpath(name).read_text(encoding="utf-8")


def _header(result: Result, title: str) -> str:
    before, after = result.operators
    counts = f"{before} operators before, {after} after; key {result.key}"
    lines = f'<p>{text(counts)}</p><p class="key">{text(_KEY)}</p>'
    return f"<header><h1>{text(title)}</h1>{lines}</header>"


def _tabs(steps: Sequence[Stage]) -> str:
    tabs = "".join(
        f'<button type="button" data-stage="{number}" aria-pressed="false">{text(step.name)}'
        f" <small>{step.rewrites}</small></button>"
        for number, step in enumerate(steps)
    )
    return f'<nav class="tabs" aria-label="Passes, with their rewrites">{tabs}</nav>'


def _stage(number: int, step: Stage, columns: _Columns) -> str:
    before, after = statements(step.before), statements(step.after)
    sides = (
        ("before", columns.column(step.before, before, set(after), "gone", step.misses)),
        ("after", columns.column(step.after, after, set(before), "new", step.misses)),
    )
    listed = "".join(f'<div class="side"><h3>{side}</h3>{rows}</div>' for side, rows in sides)
    plural = "" if step.rewrites == 1 else "s"
    heading = f"{number + 1}. {step.name}: {step.rewrites} rewrite{plural}"
    return (
        f'<section class="stage" data-stage="{number}" hidden><h2>{text(heading)}</h2>'
        f'<div class="sides">{listed}</div></section>'
    )


def statements(graph: _core.Graph) -> list[str]:
    """The text of a graph, statement by statement: inputs, nodes (a region is one), the return."""
    found: list[str] = []
    for line in str(graph).splitlines():
        if line.startswith((" ", "}")):
            found[-1] += f"\n{line}"
        else:
            found.append(line)
    return found


class _Columns:
    """Lists of statements, in which near misses are buttons."""

    def __init__(self, numbers: dict[tuple[str, str, str], int]) -> None:
        self.numbers = numbers

    def column(
        self,
        graph: _core.Graph,
        lines: Sequence[str],
        other: set[str],
        mark: str,
        misses: Sequence[Miss],
    ) -> str:
        """One side of a pass; lines that the `other` side lacks get the mark."""
        inputs = len(graph.inputs)
        rows = [
            self._row(line, mark if line not in other else "", [], [one.name], [])
            for line, one in zip(lines[:inputs], graph.inputs, strict=True)
        ]
        for line, node in zip(lines[inputs:-1], graph.nodes, strict=True):
            here = [miss for miss in misses if miss.node in node.outputs]
            marks = [mark] if line not in other else []
            marks += ["fused"] if is_fused(node) else []
            reads = [name for name in node.inputs if name is not None]
            rows.append(self._row(line, " ".join(marks), reads, node.outputs, here))
        returned = [one.name for one in graph.outputs]
        rows.append(self._row(lines[-1], mark if lines[-1] not in other else "", returned, [], []))
        return f"<ol>{''.join(rows)}</ol>"

    def _row(
        self,
        line: str,
        marks: str,
        reads: Sequence[str],
        makes: Sequence[str],
        misses: Sequence[Miss],
    ) -> str:
        buttons = "".join(
            f'<button type="button" class="miss" data-miss="{self.numbers[_identity(miss)]}">'
            f"{text(miss.reason)}</button>"
            for miss in misses
        )
        return (
            f'<li class="{marks}" data-reads="{text(" ".join(reads))}"'
            f' data-makes="{text(" ".join(makes))}"><code tabindex="0">{text(line)}</code>'
            f"{buttons}</li>\n"
        )


def is_fused(node: _core.NodeInfo) -> bool:
    """Whether a node stands for several: a region, or a call of an operator that equals others."""
    if node.is_region or node.is_opaque:
        return node.is_region
    return bool(_core.find_op(node.name).describe()["equals"])


def _aside(result: Result, steps: Sequence[Stage]) -> str:
    fusions = "".join(
        f'<tr><td>{text(name)}</td><td class="number">{count}</td></tr>'
        for name, count in result.fusions.items()
    )
    table = f"<table>{fusions}</table>" if fusions else "<p>none</p>"
    stage_of = {_identity(m): number for number, step in enumerate(steps) for m in step.misses}
    items = "".join(
        _miss(number, miss, stage_of[_identity(miss)]) for number, miss in enumerate(result.misses)
    )
    misses = f'<ol class="misses">{items}</ol>' if items else "<p>none</p>"
    return f"<aside><h2>Fusions</h2>{table}<h2>Near misses</h2>{misses}</aside>"


def _miss(number: int, miss: Miss, stage: int) -> str:
    facts = (
        ("rule", miss.rule),
        ("node", miss.node),
        ("reason", miss.reason),
        ("would match", miss.hint),
        ("bytes a row", miss.saves),
    )
    terms = "".join(f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in facts)
    return (
        f'<li><button type="button" class="choose" data-miss="{number}" data-stage="{stage}"'
        f' aria-expanded="false">{text(miss.rule)} at {text(miss.node)}'
        f" <small>{text(miss.reason)}</small></button>"
        f'<dl id="miss-{number}" hidden>{terms}</dl></li>'
    )
