"""A large sum that a program keeps and reads: its rows stand in a block's memory and in the result.

The result gets them past the caches, so what is tested is that these are all of them, in any place.
"""

import numpy as np
import pytest

from fusible import ops, spec
from support.calls import numpy_dtype
from support.contract import ISAS, machine
from support.graphs import bits, check, normal

LARGE = 4 << 20  # bytes; smaller results stay in the caches


def rows_of(width, dtype):
    return LARGE // (width * np.dtype(numpy_dtype(dtype)).itemsize) + 3


def placed(shape, dtype, offset, columns):
    """Memory that begins `offset` elements behind a line, with so many columns between rows."""
    wide = (shape[0], shape[1] + columns)
    dtype = np.dtype(numpy_dtype(dtype))
    room = np.full((np.prod(wide) + offset) * dtype.itemsize + 64, 0x55, np.uint8)
    begin = -room.ctypes.data % 64 + offset * dtype.itemsize
    whole = room[begin : begin + np.prod(wide) * dtype.itemsize].view(dtype).reshape(wide)
    return whole, whole[:, : shape[1]]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("width", "dtype", "place", "threads"),
    [
        (512, "bf16", (0, 0), 1),
        (512, "f16", (0, 32), 2),
        (577, "bf16", (0, 0), 3),
        (640, "f32", (1, 0), 1),
        (95, "f32", (0, 1), 2),
        (4096, "bf16", (7, 5), 2),
        (31, "f16", (0, 1), 1),
    ],
)
def test_wherever_it_lies(isa, width, dtype, place, threads):
    shape = (rows_of(width, dtype), width)
    x, r, w = normal(1, shape, dtype), normal(2, shape, dtype), normal(3, (width,), dtype)
    whole, total = placed(shape, dtype, *place)
    y = np.empty(shape, x.dtype)
    with machine(isa, threads):
        ops.fused_add_rms_norm(x, r, w, out=(y, total))
        expected = ops.add(x, r)
        assert bits(total) == bits(expected)
        assert bits(y) == bits(ops.rms_norm(expected, w))
    assert (np.ascontiguousarray(whole[:, width:]).view(np.uint8) == 0x55).all()


def test_sums_of_heads():
    """Several rows of the operator in each row of the program."""

    def body(x, r, w):
        total = ops.add(ops.reshape(x, shape=[0, 4, 128]), ops.reshape(r, shape=[0, 4, 128]))
        return ops.rms_norm(total, w), total, ops.rms_norm(x)

    n = rows_of(512, "bf16")
    types = {"x": spec("bf16[T, 512]"), "r": spec("bf16[T, 512]")}
    types["w"] = spec("bf16[128]", constant=True)
    arrays = {"x": normal(1, (n, 512)), "r": normal(2, (n, 512)), "w": normal(3, (128,))}
    _, results = check(body, types, arrays)
    assert results[1].nbytes >= LARGE


@pytest.mark.parametrize(
    "kept",
    [
        lambda total: (total, ops.reshape(total, shape=[0, 8, 64])),
        lambda total: (ops.reshape(total, shape=[0, 8, 64]),),
        lambda total: (total, total),
        lambda total: (total, ops.add(total, total)),
    ],
)
def test_sums_that_are_seen_in_more_than_one_way(kept):
    def body(x, r, w):
        total = ops.add(x, r)
        return (ops.softmax(ops.rms_norm(total, w)), *kept(total))

    n = rows_of(512, "bf16")
    types = {"x": spec("bf16[T, 512]"), "r": spec("bf16[T, 512]")}
    types["w"] = spec("bf16[512]", constant=True)
    check(body, types, {"x": normal(1, (n, 512)), "r": normal(2, (n, 512)), "w": normal(3, (512,))})


def test_a_block_is_as_good_as_another():
    """Values that the conversion of whole vectors cannot take are in some rows alone."""
    shape = (rows_of(4096, "bf16"), 4096)
    x, r, w = normal(1, shape), normal(2, shape), normal(3, (4096,))
    x[::5, ::3] = np.nan
    x[1::5, ::7] = 1e-40
    x[2::5, 1::2] = np.inf
    q, s, total = ops.fused_add_rms_norm_group_quant_fp8(x, r, w, group_size=128)
    assert bits(total) == bits(ops.add(x, r))
    parts = ops.per_token_group_quant_fp8(ops.rms_norm(total, w), group_size=128)
    assert [bits(q), bits(s)] == [bits(part) for part in parts]
