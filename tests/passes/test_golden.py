"""Graphs before and after pipelines, as text files.

A file is a graph, then any number of expectations: a line ``=> <pipeline> <target>``, the graph
that comes out, and lines ``fusions: a=1`` and ``miss: <rule> <reason> at <node>`` for all of them.
``FUSIBLE_UPDATE_GOLDEN=1`` writes what comes out into the files: read the diff before committing.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest

import fusible
from fusible import _core

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.ir"))


def parts(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The graph, and each expectation's heading and body."""
    graph, *sections = text.split("\n=> ")
    expectations = [section.partition("\n") for section in sections]
    return graph + "\n", [(heading, body.strip("\n")) for heading, _, body in expectations]


def outcome(graph: str, heading: str) -> str:
    """What the pipeline of a heading makes of the graph, as the text of an expectation."""
    pipeline, target = heading.split(" ")
    result = fusible.PassManager(pipeline, target).run(fusible.Graph.parse(graph))
    lines = [str(result.graph).rstrip("\n")]
    if result.fusions:
        counts = (f"{name}={count}" for name, count in sorted(result.fusions.items()))
        lines.append("fusions: " + " ".join(counts))
    lines += [f"miss: {miss.rule} {miss.reason} at {miss.node}" for miss in result.misses]
    return "\n".join(lines)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    graph, expectations = parts(path.read_text())
    assert expectations, "a golden file needs a line `=> <pipeline> <target>`"
    made = [(heading, outcome(graph, heading)) for heading, _ in expectations]
    if os.environ.get("FUSIBLE_UPDATE_GOLDEN"):
        sections = [f"=> {heading}\n{body}\n" for heading, body in made]
        path.write_text("\n".join([graph.rstrip("\n") + "\n", *sections]))
        return
    for (heading, want), (_, got) in zip(expectations, made, strict=True):
        diff = difflib.unified_diff(want.splitlines(), got.splitlines(), "expected", "got", "", "")
        assert want == got, f"=> {heading}\n" + "\n".join(diff)


def test_every_fused_operator_and_pass_has_one() -> None:
    names = {path.stem for path in GOLDEN}
    fused = {name for name in _core.op_names() if _core.find_op(name).describe()["equals"]}
    passes = {name.replace("-", "_") for name, _ in _core.pass_names()}
    assert fused | passes <= names
