"""View operators: they share memory with their operand, and refuse what is no view of it."""

import numpy as np
import pytest

import fusible
from fusible import ops

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (lambda x: ops.reshape(x, shape=[6, 4]), X.reshape(6, 4)),
        (lambda x: ops.reshape(x, shape=[0, -1]), X.reshape(2, 12)),
        (lambda x: ops.reshape(x, shape=[2, 3, 2, 2]), X.reshape(2, 3, 2, 2)),
        (lambda x: ops.slice(x, start=1, stop=3), X[..., 1:3]),
        (lambda x: ops.slice(x, dim=1, stop=2), X[:, :2]),
        (lambda x: ops.transpose(x, dims=[2, 0, 1]), X.transpose(2, 0, 1)),
    ],
)
def test_views_share_memory(view, expected):
    result = view(X)
    assert np.shares_memory(result, X)
    assert result.strides == expected.strides
    np.testing.assert_array_equal(result, expected)


def test_reshape_of_a_strided_operand_is_a_view_where_it_can_be():
    wide = np.arange(60, dtype=np.float32).reshape(2, 3, 10)
    part = wide[..., :4]
    split = ops.reshape(part, shape=[6, 2, 2])
    assert np.shares_memory(split, wide)
    np.testing.assert_array_equal(split, part.reshape(6, 2, 2))
    with pytest.raises(fusible.ShapeError, match=r"reshape: x: expected a layout that can be seen"):
        ops.reshape(part, shape=[2, 12])


def test_reshape_of_an_empty_operand():
    assert ops.reshape(np.zeros((0, 6), np.float32), shape=[0, 2, 3]).shape == (0, 2, 3)


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ([5, 5], fusible.ShapeError, "shape: expected as many elements as"),
        ([5, -1], fusible.ShapeError, "shape: expected as many elements as"),
        ([-1, -1], fusible.ArgumentError, "shape: expected at most one -1"),
        ([-2, 12], fusible.ArgumentError, "shape: expected sizes, 0 or -1, got -2"),
        ([2, 3, 4, 0], fusible.ShapeError, "shape: expected as many elements as"),
        ([1 << 62, 1 << 62], fusible.ShapeError, "shape: expected as many elements as"),
    ],
)
def test_reshape_refuses(shape, error, message):
    with pytest.raises(error, match=f"^reshape: {message}"):
        ops.reshape(X, shape=shape)


@pytest.mark.parametrize("dims", [[0, 1], [0, 1, 1], [0, 1, 3], [-1, 0, 1], [0, 1, 2, 3]])
def test_transpose_refuses(dims):
    with pytest.raises(fusible.ArgumentError, match=r"^transpose: dims: expected each dimension"):
        ops.transpose(X, dims=dims)


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"stop": 5}, "stop: expected 0 <= start <= stop <= 4"),
        ({"start": 3, "stop": 2}, "stop: expected 0 <= start <= stop <= 4"),
        ({"start": -1, "stop": 2}, "stop: expected 0 <= start <= stop <= 4"),
        ({"dim": 3, "stop": 2}, "dim: expected a dimension of"),
        ({"dim": -4, "stop": 2}, "dim: expected a dimension of"),
    ],
)
def test_slice_refuses(attrs, message):
    with pytest.raises(fusible.ArgumentError, match=f"^slice: {message}"):
        ops.slice(X, **attrs)


ROTARY_TABLES = {3: r"a last dimension of 2\*R, got \[4, 3\]", 66: r"2\*R <= D, got 66 and 64"}


@pytest.mark.parametrize("columns", ROTARY_TABLES)
def test_rotary_embedding_refuses_a_table_that_does_not_fit(columns):
    specs = {"x": "f32[T, 1, 64]", "positions": "i64[T]", "cos_sin": f"f32[4, {columns}]"}
    message = f"^rotary_embedding: cos_sin: expected {ROTARY_TABLES[columns]}"
    with pytest.raises(fusible.ShapeError, match=message):
        fusible.trace(ops.rotary_embedding, **{name: fusible.spec(s) for name, s in specs.items()})


def test_what_symbols_leave_open_is_checked_when_they_have_sizes():
    specs = {"x": "f32[2, 1, D]", "positions": "i64[2]", "cos_sin": "f32[4, 2*R]"}
    graph = fusible.trace(
        ops.rotary_embedding, **{name: fusible.spec(s) for name, s in specs.items()}
    )
    rotate = fusible.compile(graph)
    x, positions = np.ones((2, 1, 64), np.float32), np.zeros(2, np.int64)
    rotate(x=x, positions=positions, cos_sin=np.zeros((4, 64), np.float32))
    with pytest.raises(fusible.ShapeError, match=ROTARY_TABLES[66]):
        rotate(x=x, positions=positions, cos_sin=np.zeros((4, 66), np.float32))
