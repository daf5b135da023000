"""Weights of executables: packed when it is made, let go where nobody reads them, taken packed."""

import gc
import weakref

import numpy as np
import pytest

import fusible
from fusible import _core, ops
from support.graphs import bits, normal

LINEAR = "input x: bf16[T, 48]\nconstant w: bf16[64, 48]\ny = matmul(x, w)\nreturn y\n"
TIED = (
    "input ids: i64[T]\nconstant w: bf16[64, 48]\n"
    "x = embedding(ids, w)\ny = matmul(x, w)\nreturn y\n"
)


def test_packing_is_done_before_the_first_call():
    w = normal(1, (64, 48))
    run = fusible.compile(fusible.Graph.parse(LINEAR), weights={"w": w})
    assert run.copied_bytes == _core.packed_bytes("bf16", (64, 48))
    for count in (1, 3, 600):
        x = normal(count, (count, 48))
        assert bits(run(x=x)) == bits(ops.matmul(x, w))
        assert run.copied_bytes == _core.packed_bytes("bf16", (64, 48))


def test_views_of_weights_are_packed_too():
    text = (
        "input x: f32[T, 48]\nconstant w: f32[2, 48, 64]\n"
        "half = slice(w, dim=0, start=1, stop=2)\nflat = reshape(half, shape=[48, 64])\n"
        "turned = transpose(flat, dims=[1, 0])\ny = matmul(x, turned)\nreturn y\n"
    )
    w, x = normal(1, (2, 48, 64), "f32"), normal(2, (5, 48), "f32")
    run = fusible.compile(fusible.Graph.parse(text), weights={"w": w})
    assert run.copied_bytes == _core.packed_bytes("f32", (64, 48))
    assert bits(run(x=x)) == bits(ops.matmul(x, np.ascontiguousarray(w[1].T)))
    assert run.copied_bytes == _core.packed_bytes("f32", (64, 48))


VIEWS = {
    "a view that needs a copy": (
        "constant w: f32[4, 8, 32]\nt = transpose(w, dims=[1, 0, 2])\n"
        "r = reshape(t, shape=[32, 32])\ny = matmul(x, r)\nreturn y\n",
        lambda x, w: (ops.matmul(x, w.transpose(1, 0, 2).reshape(32, 32)),),
    ),
    "there and back": (
        "constant w: f32[32, 32]\nt = transpose(w, dims=[1, 0])\nr = reshape(t, shape=[1024])\n"
        "u = reshape(r, shape=[32, 32])\ny = matmul(x, u)\nreturn y\n",
        lambda x, w: (ops.matmul(x, np.ascontiguousarray(w.T)),),
    ),
    "nobody reads that view": (
        "constant w: f32[32, 32]\nt = transpose(w, dims=[1, 0])\nr = reshape(t, shape=[1024])\n"
        "u = reshape(r, shape=[64, 16])\ny = matmul(x, w)\nreturn y\n",
        lambda x, w: (ops.matmul(x, w),),
    ),
    "another view needs the copy": (
        "constant w: f32[32, 32]\nt = transpose(w, dims=[1, 0])\nr = reshape(t, shape=[1024])\n"
        "y = matmul(x, t)\nreturn y, r\n",
        lambda x, w: (ops.matmul(x, np.ascontiguousarray(w.T)), w.T.reshape(-1)),
    ),
}


@pytest.mark.parametrize("pipeline", [None, "share-common", "drop-dead"])
@pytest.mark.parametrize("name", VIEWS)
def test_views_that_cannot_show_the_weight_as_it_lies(name, pipeline):
    """Products find them packed before the first call, and nothing reads the weight any more."""
    text, function = VIEWS[name]
    graph = fusible.Graph.parse("input x: f32[T, 32]\n" + text)
    w = normal(1, tuple(graph.inputs[1].shape), "f32")
    run = fusible.compile(graph, weights={"w": w}, pipeline=pipeline)
    copied, kept = run.copied_bytes, w.copy()
    w[:] = np.nan
    for count in (1, 5, 600):
        x = normal(count, (count, 32), "f32")
        results = run(x=x)
        results = results if isinstance(results, tuple) else (results,)
        for result, want in zip(results, function(x, kept), strict=True):
            assert bits(result) == bits(want)
        assert run.copied_bytes == copied >= _core.packed_bytes("f32", (32, 32))


def test_one_copy_serves_several_products():
    text = LINEAR.replace("return y", "z = matmul(x, w)\nreturn y, z")
    graph = fusible.optimize(fusible.Graph.parse(text), pipeline="drop-dead")
    run = fusible.compile(graph, weights={"w": normal(1, (64, 48))})
    assert run.copied_bytes == _core.packed_bytes("bf16", (64, 48))


def test_many_copies_lie_apart():
    """Of sizes that share memory, and of one that does not: more than is allocated at once."""
    sizes = [(33 + 61 * i % 700, 1000 + 37 * i) for i in range(24)] + [(2300, 2000)]
    lines = [f"constant w{i}: f32[{n}, {k}]\n" for i, (n, k) in enumerate(sizes)]
    lines += [f"input x{i}: f32[T, {k}]\n" for i, (_, k) in enumerate(sizes)]
    lines += [f"y{i} = matmul(x{i}, w{i})\n" for i in range(len(sizes))]
    text = "".join(lines) + "return " + ", ".join(f"y{i}" for i in range(len(sizes))) + "\n"
    weights = {f"w{i}": normal(i, size, "f32") for i, size in enumerate(sizes)}
    inputs = {f"x{i}": normal(100 + i, (3, k), "f32") for i, (_, k) in enumerate(sizes)}
    run = fusible.compile(fusible.Graph.parse(text), weights=weights)
    assert run.copied_bytes == sum(_core.packed_bytes("f32", size) for size in sizes)
    for i, y in enumerate(run(**inputs)):
        assert bits(y) == bits(ops.matmul(inputs[f"x{i}"], weights[f"w{i}"]))


def array_after_compiling(text):
    """The executable, the weight's values, and a reference that dies with its array."""
    w = normal(1, (64, 48))
    alive, values = weakref.ref(w), w.copy()
    run = fusible.compile(fusible.Graph.parse(text), weights={"w": w})
    del w
    gc.collect()
    return run, values, alive


def test_a_weight_that_only_products_read_is_let_go():
    run, values, alive = array_after_compiling(LINEAR)
    assert alive() is None
    x = normal(2, (3, 48))
    assert bits(run(x=x)) == bits(ops.matmul(x, values))


def test_a_weight_that_others_read_is_kept():
    run, values, alive = array_after_compiling(TIED)
    assert alive() is not None
    ids = np.array([3, 60])
    assert bits(run(ids=ids)) == bits(ops.matmul(ops.embedding(ids, values), values))


def test_memory_of_a_weight_that_was_let_go_may_be_an_updated_input():
    text = (
        "input x: f32[T, 48]\nconstant w: f32[64, 48]\nupdated s: f32[64, 48]\n"
        "input t: f32[64, 48]\ny = matmul(x, w)\nn = add(s, t)\nreturn y, n\n"
    )
    w, x = normal(1, (64, 48), "f32"), normal(2, (3, 48), "f32")
    run = fusible.compile(fusible.Graph.parse(text), weights={"w": w})
    want, doubled = ops.matmul(x, w), 2 * w
    y, new = run(x=x, s=w, t=w.copy())
    assert new is w
    assert bits(y) == bits(want)
    assert bits(w) == bits(doubled)
    assert bits(run(x=x, s=w, t=x[:1].repeat(64, axis=0))[0]) == bits(want)


def test_packed_weights_are_used_where_they_lie(tmp_path):
    w, x = normal(1, (64, 48)), normal(2, (3, 48))
    fusible.pack_weight(w).save(tmp_path / "w.packed")
    packed = fusible.PackedWeight.load(tmp_path / "w.packed")
    runs = [fusible.compile(fusible.Graph.parse(LINEAR), weights={"w": packed}) for _ in range(2)]
    del packed
    gc.collect()
    for run in runs:
        assert run.copied_bytes == 0
        assert bits(run(x=x)) == bits(ops.matmul(x, w))


@pytest.mark.parametrize(
    ("text", "reader"),
    [
        (TIED, "embedding"),
        (
            LINEAR.replace("matmul(x, w)", "matmul(x, v)").replace(
                "y =", "v = slice(w, stop=48)\ny ="
            ),
            "slice",
        ),
        ("constant w: bf16[64, 48]\nreturn w\n", "the caller"),
    ],
)
def test_a_packed_weight_that_others_read_is_refused(text, reader):
    packed = fusible.pack_weight(normal(1, (64, 48)))
    graph = fusible.optimize(fusible.Graph.parse(text), pipeline="drop-dead")
    with pytest.raises(fusible.ArgumentError) as error:
        fusible.compile(graph, weights={"w": packed})
    assert str(error.value) == (
        f"weights: w: expected an array, since {reader} reads it, got a packed weight"
    )


def test_a_packed_weight_has_to_fit():
    packed = fusible.pack_weight(normal(1, (48, 64)))
    with pytest.raises(fusible.ShapeError, match=r"weights: w: .* got bf16\[48, 64\]"):
        fusible.compile(fusible.Graph.parse(LINEAR), weights={"w": packed})
