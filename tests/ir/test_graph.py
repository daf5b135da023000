"""Graphs as they are traced: names, order, numbering and symbols."""

from __future__ import annotations

import numpy as np
import pytest

import fusible
from fusible import _core, ops


def norm_twice(x, w):
    return ops.rms_norm(ops.rms_norm(x, w), w)


def test_a_trace_names_its_values_after_the_results() -> None:
    graph = fusible.trace(norm_twice, x=fusible.spec("f32[T, 64]"), w=fusible.spec("f32[64]"))
    assert str(graph) == (
        "input x: f32[T, 64]\ninput w: f32[64]\n"
        "y = rms_norm(x, w)\ny_1 = rms_norm(y, w)\nreturn y_1\n"
    )


def test_fresh_names_step_over_those_that_are_taken() -> None:
    builder = _core.GraphBuilder()
    x = builder.add_input("y_1", "f32[4]", "plain")
    for _ in range(3):
        (x,) = builder.add_call("softmax", [x], {})
    assert str(builder.finish([x])).splitlines()[-2:] == ["y_3 = softmax(y_2)", "return y_3"]


def test_a_name_that_the_text_cannot_hold_is_mended() -> None:
    builder = _core.GraphBuilder()
    for name in ("torch.ops::flash attn", "none", "1st"):
        builder.add_opaque(name, [], ["f32[4]"], True)
    text = str(builder.finish([]))
    assert [line.partition(":")[0] for line in text.splitlines()[:3]] == [
        "torch.ops__flash_attn",
        "none_",
        "_1st",
    ]


@pytest.mark.parametrize("name", ["none", "", "a b", "1", "a\n"])
def test_an_input_keeps_its_name_or_is_refused(name: str) -> None:
    with pytest.raises(fusible.GraphError, match="expected the name of an input"):
        _core.GraphBuilder().add_input(name, "f32[4]", "plain")


def test_an_input_has_a_name_of_its_own() -> None:
    builder = _core.GraphBuilder()
    builder.add_input("x", "f32[4]", "plain")
    with pytest.raises(fusible.GraphError, match="expected a new name, got `x` again"):
        builder.add_input("x", "f32[4]", "plain")


def test_equality_sees_names_types_attributes_and_order() -> None:
    text = "input x: f32[T, 64]\na = softmax(x)\nb = mul(x, by=2.0)\nreturn a, b\n"
    graph = fusible.Graph.parse(text)
    assert graph == fusible.Graph.parse(text)
    for other in (
        text.replace("x:", "v:").replace("(x", "(v"),
        text.replace("f32", "f16"),
        text.replace("2.0", "3.0"),
        text.replace("input", "constant"),
        text.replace("return a, b", "return b, a"),
        text.replace("[T", "[S"),
        "input x: f32[T, 64]\nb = mul(x, by=2.0)\na = softmax(x)\nreturn a, b\n",
    ):
        assert fusible.Graph.parse(other) != graph


def test_a_region_prints_inputs_in_the_order_of_use() -> None:
    graph = fusible.Graph.parse(
        "input x: f32[T, 64]\ninput w: f32[64]\ninput r: f32[T, 64]\n"
        "y = rows rms_norm {\n  s = add(r, x)\n  y = rms_norm(s, w)\n  return y\n}\nreturn y\n"
    )
    (node,) = graph.nodes
    assert node.inputs == ["r", "x", "w"]
    assert [value.name for value in node.body.inputs] == ["r", "x", "w"]


def test_symbols_are_bound_when_the_graph_is_called() -> None:
    graph = fusible.Graph.parse(
        "input x: f32[T, 4]\ny = reshape(x, shape=[-1, 2])\nz = softmax(y)\nreturn z\n"
    )
    assert graph.outputs[0].shape == ("2*T", 2)
    exe = fusible.compile(graph)
    for rows in (0, 1, 5):
        assert exe(x=np.zeros((rows, 4), np.float32)).shape == (2 * rows, 2)


def test_sizes_that_do_not_fit_are_named() -> None:
    graph = fusible.Graph.parse(
        "input x: f32[T, 6]\ninput y: f32[S, 6]\nz = softmax(x)\nw = softmax(y)\nreturn z, w\n"
    )
    exe = fusible.compile(graph)
    with pytest.raises(fusible.ShapeError, match="y"):
        exe(x=np.zeros((2, 6), np.float32), y=np.zeros((2, 5), np.float32))
