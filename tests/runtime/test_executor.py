"""Executables: plans by size, views and strides at the edges, inputs that do not fit."""

import numpy as np
import pytest

import fusible
from fusible import ops, spec
from support.graphs import bits, check, normal, packed, padded, unfused

NORM = "input x: f32[T, 32]\nconstant w: f32[32]\ny = rms_norm(x, w)\nreturn y\n"


def norm():
    graph = fusible.Graph.parse(NORM)
    return fusible.compile(graph, weights={"w": normal(1, (32,), "f32")})


def test_a_plan_serves_equal_sizes_and_strides():
    run = norm()
    x = normal(2, (8, 32), "f32")
    assert run.plans_made == 0
    first = run(x=x)
    assert bits(run(x=x.copy())) == bits(first)
    assert run.plans_made == 1
    assert bits(run(x=padded(x))) == bits(first)
    assert run.plans_made == 2
    run(x=x[:4])
    assert run.plans_made == 3
    run(x=x)
    assert run.plans_made == 3


def test_the_least_used_plan_goes_first():
    run = norm()
    x = normal(2, (64, 32), "f32")
    for n in range(1, 33):
        run(x=x[:n])
    run(x=x[:1])
    run(x=x[:40])
    assert run.plans_made == 33
    run(x=x[:1])
    assert run.plans_made == 33
    run(x=x[:2])
    assert run.plans_made == 34


@pytest.mark.parametrize(
    ("inputs", "error", "match"),
    [
        (
            {"x": np.zeros((2, 31), np.float32)},
            fusible.ShapeError,
            r"inputs: x: .*32.* got f32\[2, 31\]",
        ),
        ({"x": np.zeros(32, np.float32)}, fusible.ShapeError, r"inputs: x: expected f32\[T, 32\]"),
        (
            {"x": np.zeros((2, 32), np.float16)},
            fusible.DTypeError,
            r"inputs: x: .* got f16\[2, 32\]",
        ),
        ({}, fusible.ArgumentError, r"inputs: expected x, got none"),
        ({"x": np.zeros((2, 32), np.float32), "z": np.zeros(1)}, fusible.Error, "z"),
    ],
)
def test_wrong_inputs_are_named(inputs, error, match):
    with pytest.raises(error, match=match):
        norm()(**inputs)


def test_inputs_that_disagree_on_a_symbol():
    graph = fusible.Graph.parse("input x: f32[T, 4]\ninput y: f32[T, 4]\nz = add(x, y)\nreturn z\n")
    with pytest.raises(fusible.ShapeError, match=r"inputs: y: .*T = 2.* got f32\[3, 4\]"):
        fusible.compile(graph)(x=np.zeros((2, 4), np.float32), y=np.zeros((3, 4), np.float32))


def test_a_symbol_inside_an_expression():
    graph = fusible.Graph.parse(
        "input x: f32[2*T+1, 4]\ninput y: f32[T, 4]\nz = softmax(x)\nv = softmax(y)\nreturn z, v\n"
    )
    run = fusible.compile(graph)
    z, v = run(x=np.zeros((7, 4), np.float32), y=np.zeros((3, 4), np.float32))
    assert (z.shape, v.shape) == ((7, 4), (3, 4))
    with pytest.raises(fusible.ShapeError, match="x"):
        run(x=np.zeros((6, 4), np.float32), y=np.zeros((3, 4), np.float32))


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ({}, r"weights: w: expected f32\[32\], got none"),
        ({"w": np.zeros(31, np.float32)}, r"weights: w: .* got f32\[31\]"),
        ({"w": np.zeros(32, np.float32), "v": np.zeros(1, np.float32)}, r"weights: .* got v"),
    ],
)
def test_wrong_weights_are_named(weights, match):
    with pytest.raises(fusible.Error, match=match):
        fusible.compile(fusible.Graph.parse(NORM), weights=weights)


def test_an_opaque_node_does_not_run():
    text = 'input x: f32[T, 4]\ny: f32[T, 4] = opaque(x, name="flash")\nreturn y\n'
    with pytest.raises(fusible.UnsupportedError, match="flash"):
        unfused(fusible.Graph.parse(text))


def test_views_at_the_edges():
    def views(x):
        y = ops.transpose(x, dims=[1, 0, 2])
        late = ops.slice(ops.add(packed(x), packed(x)), dim=0, start=1, stop=2)
        return y, ops.reshape(packed(y), shape=[-1]), late, x

    x = normal(1, (3, 5, 8), "f32")
    check(views, {"x": spec("f32[3, 5, 8]")}, {"x": x})
    check(views, {"x": spec("f32[3, 5, 8]")}, {"x": padded(x)})
    check(views, {"x": spec("f32[3, 5, 8]")}, {"x": x[::-1]})


def test_reshape_of_all_of_a_value_is_returned_without_a_copy():
    graph = fusible.Graph.parse(
        "input x: f32[T, 4, 8]\ny = add(x, x)\nz = reshape(y, shape=[0, 32])\nreturn z\n"
    )
    run = unfused(graph)
    run(x=normal(1, (3, 4, 8), "f32"))
    assert run.arena_bytes == 0
    assert [step.name for step in run.profile(x=normal(1, (3, 4, 8), "f32")).steps] == ["add"]


def test_matmul_between_rows_and_transposed_weights():
    def layer(x, w, a, b):
        y = ops.matmul(ops.rms_norm(x, w), ops.transpose(a, dims=[1, 0]))
        return ops.add(ops.matmul(ops.silu_and_mul(y), b), x)

    types = {
        "x": spec("f32[T, 32]"),
        "w": spec("f32[32]", constant=True),
        "a": spec("f32[32, 48]", constant=True),
        "b": spec("f32[32, 24]", constant=True),
    }
    shapes = {"x": (7, 32), "w": (32,), "a": (32, 48), "b": (32, 24)}
    arrays = {name: normal(i, shape, "f32") for i, (name, shape) in enumerate(shapes.items())}
    arrays["at"] = np.ascontiguousarray(arrays["a"].T)

    graph = fusible.trace(layer, **types)
    weights = {name: arrays[name] for name in "wab"}
    y = ops.matmul(ops.rms_norm(arrays["x"], arrays["w"]), arrays["at"])
    expected = ops.add(ops.matmul(ops.silu_and_mul(y), arrays["b"]), arrays["x"])
    run = fusible.compile(graph, weights=weights)
    assert bits(run(x=arrays["x"])) == bits(expected)
    # The transposed weight was laid out once, not in every call.
    assert "copy" not in {step.name for step in run.profile(x=arrays["x"]).steps}


def test_scales_reach_a_matmul_in_either_layout():
    def linear(x, wq, ws, layout):
        q, s = ops.per_token_group_quant_fp8(x, layout=layout)
        return ops.block_scaled_matmul(q, wq, s, ws)

    wq, ws = ops.per_token_group_quant_fp8(normal(1, (64, 256)))
    arrays = {"x": normal(2, (5, 256)), "wq": wq, "ws": np.ones((1, 2), np.float32)}
    types = {
        "x": spec("bf16[T, 256]"),
        "wq": spec("e4m3fn[64, 256]", constant=True),
        "ws": spec("f32[1, 2]", constant=True),
    }
    results = [
        check(lambda layout=layout, **a: linear(**a, layout=layout), types, arrays)[1][0]
        for layout in ("row", "col")
    ]
    assert bits(results[0]) == bits(results[1])
    assert ws.dtype == np.float32


def test_empty_arrays():
    run = norm()
    assert run(x=np.zeros((0, 32), np.float32)).shape == (0, 32)


def test_inputs_may_be_called_self():
    graph = fusible.Graph.parse("input self: f32[8]\ny = softmax(self)\nreturn y\n")
    exe = fusible.compile(graph)
    x = np.ones(8, np.float32)
    assert exe(self=x).tolist() == [0.125] * 8
    assert len(exe.profile(self=x).steps) == 1


def test_weights_have_names():
    graph = fusible.Graph.parse("constant w: f32[8]\ny = softmax(w)\nreturn y\n")
    w = np.ones(8, np.float32)
    with pytest.raises(fusible.ArgumentError, match="weights: expected names of constants, got 3"):
        fusible.compile(graph, weights={"w": w, 3: w})
