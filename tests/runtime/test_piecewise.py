"""Pieces run one after the other: the bits of the whole graph, with opaque nodes as functions."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusible
from fusible.checks import random_inputs
from fusible.models.generate import Session
from support.graphs import as_tuple, bits
from support.random_graphs import graphs
from support.tiny_models import tiny

OPERATORS = ("add", "rms_norm", "softmax", "reshape", "fused_add_rms_norm", "static_quant_fp8")


def call(executable: Any, graph: fusible.Graph) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Results for random inputs, and these inputs behind the call."""
    kinds = {value.name: value.kind for value in graph.inputs}
    given = {n: array for n, array in random_inputs(graph).items() if kinds[n] != "constant"}
    return as_tuple(executable(**given)), given


def weights_of(graph: fusible.Graph) -> dict[str, Any]:
    kinds = {value.name: value.kind for value in graph.inputs}
    return {n: array for n, array in random_inputs(graph).items() if kinds[n] == "constant"}


@given(graphs(), st.sets(st.sampled_from(OPERATORS), min_size=1))
def test_pieces_give_the_bits_of_the_whole(text: str, at: set[str]) -> None:
    graph = fusible.Graph.parse(text)
    weights = weights_of(graph)
    expected, after = call(fusible.compile(graph, weights=weights), graph)
    pieces = fusible.split_at(graph, sorted(at))
    results, given = call(pieces.compile(weights=weights), graph)
    assert [bits(result) for result in results] == [bits(result) for result in expected]
    for name, array in given.items():  # only a new value is ever written into an input
        written = any(result is array for result in results)
        assert written or bits(array) == bits(random_inputs(graph)[name])
        assert not written or bits(array) == bits(after[name]) or after[name] is not array


@pytest.mark.parametrize("form", ["bf16", "fp8"])
def test_a_model_gives_the_same_bits_and_writes_its_caches(form: str) -> None:
    model, weights = tiny("qwen3", form)
    graph = model.trace()
    pieces = fusible.split_at(graph, ["attention"])
    runs = (fusible.compile(graph, weights=weights), pieces.compile(weights=weights))
    whole, piecewise = (Session(model, run, 32) for run in runs)  # type: ignore[arg-type]
    caches = dict(piecewise.caches)
    for ids in ([3, 1, 4, 1, 5], [9], [2, 6]):
        assert bits(whole.step(ids)) == bits(piecewise.step(ids))
    assert len(caches) == 4
    for name, array in caches.items():
        assert piecewise.caches[name] is array
        assert bits(array) == bits(whole.caches[name])


SCALED = """
input x: f32[T, 8]
constant bias: f32[8]
a = softmax(x)
b: f32[T, 8], rows: i64[T] = opaque(a, bias, a, name="mine", mutates=true)
c = add(b, a)
opaque(c, name="watch", mutates=true)
d = softmax(c)
opaque(d, name="watch", mutates=true)
return d, rows, x
"""


def test_functions_run_opaque_nodes_in_order() -> None:
    graph = fusible.Graph.parse(SCALED)
    log: list[tuple[str, bytes]] = []

    def mine(a: Any, bias: Any, again: Any) -> tuple[Any, Any]:
        assert again is a
        log.append(("mine", bits(a)))
        return a * 2 + bias, np.arange(len(a))

    def watch(value: Any) -> None:
        log.append(("watch", bits(value)))

    x, bias = np.random.default_rng(0).standard_normal((2, 8)), np.arange(8)
    x, bias = x.astype(np.float32), bias.astype(np.float32)
    run = fusible.split_at(graph, ["mine", "watch"]).compile(
        weights={"bias": bias}, calls={"mine": mine, "watch": watch}
    )
    d, rows, same = run(x=x)
    a = fusible.ops.softmax(x)
    c = fusible.ops.add(a * 2 + bias, a)
    assert log == [("mine", bits(a)), ("watch", bits(c)), ("watch", bits(d))]
    assert bits(d) == bits(fusible.ops.softmax(c))
    assert rows.tolist() == [0, 1]
    assert same is not x
    assert bits(same) == bits(x)


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (None, fusible.ArgumentError, "mine: expected 2 results, got 0"),
        (np.ones((2, 8), "f4"), fusible.ArgumentError, "mine: expected 2 results, got 1"),
        (([1], np.arange(2)), fusible.ArgumentError, "mine: b: expected an array, got list"),
        ((np.ones((2, 8)), np.arange(2)), fusible.DTypeError, "mine: b: expected f32, got float64"),
        (
            (np.ones((2, 8), ml_dtypes.bfloat16), np.arange(2)),
            fusible.DTypeError,
            "mine: b: expected f32, got bfloat16",
        ),
        (
            (np.ones((3, 8), "f4"), np.arange(2)),
            fusible.ShapeError,
            "mine: b: expected [T, 8], got [3, 8]",
        ),
        (
            (np.ones((2, 8, 1), "f4"), np.arange(2)),
            fusible.ShapeError,
            "mine: b: expected [T, 8], got [2, 8, 1]",
        ),
    ],
)
def test_what_a_function_gives_is_checked(
    made: Any, error: type[fusible.Error], message: str
) -> None:
    pieces = fusible.split_at(fusible.Graph.parse(SCALED), ["mine", "watch"])
    run = pieces.compile(
        weights={"bias": np.zeros(8, "f4")},
        calls={"mine": lambda *_: made, "watch": lambda _: None},
    )
    with pytest.raises(error) as refused:
        run(x=np.ones((2, 8), "f4"))
    assert str(refused.value) == message


def test_names_are_checked() -> None:
    pieces = fusible.split_at(fusible.Graph.parse(SCALED), ["mine", "watch"])
    weights = {"bias": np.zeros(8, "f4")}
    calls = {"mine": lambda *_: None, "watch": lambda _: None}
    for wrong, message in (
        ({"weights": {}}, "weights: expected bias, got none"),
        ({"weights": weights | {"b": 1}}, "weights: expected only bias, got b"),
        ({"calls": {"mine": print}}, "calls: expected watch, got none"),
        ({"calls": calls | {"other": print}}, "calls: expected only mine, watch, got other"),
    ):
        options: dict[str, Any] = {"weights": weights, "calls": calls, **wrong}
        with pytest.raises(fusible.ArgumentError, match=message):
            pieces.compile(**options)
    run = pieces.compile(weights=weights, calls=calls)
    with pytest.raises(fusible.ArgumentError, match="inputs: expected x, got none"):
        run()
    with pytest.raises(fusible.ArgumentError, match="inputs: expected only x, got y"):
        run(x=np.ones((2, 8), "f4"), y=1)


def test_an_opaque_node_that_is_not_cut_at_is_refused() -> None:
    pieces = fusible.split_at(fusible.Graph.parse(SCALED), ["mine"])
    with pytest.raises(fusible.UnsupportedError, match="watch"):
        pieces.compile(weights={"bias": np.zeros(8, "f4")}, calls={"mine": print})
