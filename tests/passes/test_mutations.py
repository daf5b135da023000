"""A mutation is a barrier: no pass moves a call, or another opaque node, from one side to another.

Graphs are run on terms in place of arrays: of each result, the operator, its attributes, its
operands' terms, and how many mutations came before it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusible
from fusible import _core
from support.random_graphs import mutating

PASSES = [name for name, _ in _core.pass_names()]
TARGETS = ("cpu", "cuda-sm90", "rocm-gfx950", "musa-s5000")
COLUMNS = 256
QUANT = "per_token_group_quant_fp8"
# A value: the term of its elements, row by row, and how long a row is. How many rows there are, and
# in how many dimensions, is all the same to row operators.
Elements = tuple[int, int]


class Run:
    """What can be observed of a graph: its results, and the mutations in order."""

    def __init__(self, numbers: dict[Hashable, int]) -> None:
        self._numbers = numbers
        self.mutations: list[int] = []

    def results(self, graph: fusible.Graph) -> list[Elements]:
        """The results of a graph whose fused calls and regions are taken apart first."""
        plain = fusible.PassManager("lower-fused").run(graph).graph
        values = {value.name: self._made(value.name) for value in plain.inputs}
        for node in plain.nodes:
            made = self._view(node, values) if node.name == "reshape" else self._call(node, values)
            values |= dict(zip(node.outputs, made, strict=True))
        return [values[value.name] for value in plain.outputs]

    def _made(self, *of: Hashable, columns: int = COLUMNS) -> Elements:
        return self._numbers.setdefault(of, len(self._numbers)), columns

    def _view(self, node: Any, values: dict[str, Elements]) -> list[Elements]:
        return [(values[node.inputs[0]][0], node.attrs["shape"][-1])]

    def _call(self, node: Any, values: dict[str, Elements]) -> list[Elements]:
        operands = [values[name] for name in node.inputs if name is not None]
        if node.name == "add":
            operands.sort()
        attrs = tuple(sorted((name, repr(value)) for name, value in node.attrs.items()))
        of = (node.name, attrs, tuple(operands), len(self.mutations))
        if node.name.startswith("opaque(writes"):
            self.mutations.append(self._made(*of)[0])
        columns = [COLUMNS if node.is_opaque else operands[0][1]] * len(node.outputs)
        if node.name == QUANT:
            columns[1] //= node.attrs["group_size"]  # the scales
        return [self._made(*of, i, columns=width) for i, width in enumerate(columns)]


def observe(graph: fusible.Graph, numbers: dict[Hashable, int]) -> tuple[list[Elements], list[int]]:
    run = Run(numbers)
    return run.results(graph), run.mutations


@given(mutating(), st.sampled_from(PASSES), st.sampled_from(TARGETS))
def test_no_pass_crosses_a_mutation(text: str, name: str, target: str) -> None:
    graph = fusible.Graph.parse(text)
    numbers: dict[Hashable, int] = {}
    result = fusible.PassManager(name, target).run(graph)
    assert observe(result.graph, numbers) == observe(graph, numbers)


@given(mutating(), st.sampled_from(TARGETS))
def test_no_pipeline_crosses_a_mutation(text: str, target: str) -> None:
    graph = fusible.Graph.parse(text)
    numbers: dict[Hashable, int] = {}
    once = fusible.optimize(graph, target)
    again = fusible.optimize(once.graph, target)
    assert observe(graph, numbers) == observe(once.graph, numbers) == observe(again.graph, numbers)


@given(mutating(), st.data())
def test_pieces_keep_mutations_in_order(text: str, data: st.DataObject) -> None:
    graph = fusible.Graph.parse(text)
    names = sorted({node.name.removeprefix("opaque(").rstrip(")") for node in graph.nodes})
    at = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    pieces = fusible.split_at(graph, at)
    numbers: dict[Hashable, int] = {}
    assert pieces.join() == graph
    joined = pieces.join([result.graph for result in pieces.optimize("cpu")])
    assert observe(joined, numbers) == observe(graph, numbers)


HEAD = "input x: bf16[T, 256]\ninput r: bf16[T, 256]\nconstant w: bf16[256]\n"


@pytest.mark.parametrize("target", ["cpu", "cuda-sm90"])
@pytest.mark.parametrize(
    "body",
    [
        'a = add(x, r)\nopaque(r, name="m", mutates=true)\ny = rms_norm(a, w)\nreturn y\n',
        f'y = rms_norm(x, w)\nopaque(r, name="m", mutates=true)\nq, s = {QUANT}(y)\nreturn q, s\n',
        'a = add(x, r)\nopaque(r, name="m", mutates=true)\nb = add(x, r)\nreturn a, b\n',
    ],
)
def test_nothing_fuses_or_is_shared_over_one(body: str, target: str) -> None:
    graph = fusible.Graph.parse(HEAD + body)
    result = fusible.optimize(graph, target)
    assert result.graph == graph
    without = fusible.Graph.parse(HEAD + body.replace('opaque(r, name="m", mutates=true)\n', ""))
    assert fusible.optimize(without, target).graph != without


def test_calls_that_become_equal_stay_on_their_sides() -> None:
    body = (
        'a, b = fused_add_rms_norm(x, r, w)\nopaque(r, name="m", mutates=true)\n'
        "c, d = fused_add_rms_norm(x, r, w)\nreturn a, b, c, d\n"
    )
    graph = fusible.Graph.parse(HEAD + body)
    assert fusible.optimize(graph, "cuda-sm90").graph == graph


WATCHED = f"""{HEAD}y = rms_norm(x, w)
q, s = {QUANT}(y)
opaque(y, name="watch", mutates=true)
return q, s
"""


@pytest.mark.parametrize("target", ["cuda-sm90", "rocm-gfx950"])
def test_a_reader_without_results_is_named_in_the_reason(target: str) -> None:
    [miss] = fusible.optimize(fusible.Graph.parse(WATCHED), target).misses
    assert (miss.reason, miss.node) == ("extra_user", "y")
    assert miss.hint == "let only what is fused read y, not opaque(watch)"


def test_a_node_without_results_cannot_be_compiled() -> None:
    weights = {"w": np.ones(256, ml_dtypes.bfloat16)}
    with pytest.raises(fusible.UnsupportedError, match=r"opaque\(watch\): expected an operator"):
        fusible.compile(fusible.Graph.parse(WATCHED), weights=weights)
