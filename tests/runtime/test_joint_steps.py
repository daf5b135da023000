"""An addition and the norm of its sum are one step of a row program, which adds as it reads.

A large sum goes past the caches while its rows are read in a core's own memory, so what is tested
is that these are all of them, in any place; smaller ones are read where they are stored.
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


MIB = 1 << 20


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["bf16", "f16", "f32"])
@pytest.mark.parametrize("width", [33, 576, 2048, 40_000])
@pytest.mark.parametrize("bytes_apart", [0, 16, 64, 240, 1024])
def test_however_far_arrays_lie_from_each_other(isa, dtype, width, bytes_apart):
    """Where loads would wait for stores to the same place of another MiB, rows are kept apart."""
    element = np.dtype(numpy_dtype(dtype)).itemsize
    rows = min(9, MIB // (2 * width * element))
    memory = np.zeros(5 * MIB, np.uint8)
    begin = -memory.ctypes.data % MIB

    def lay(k, values):
        at = begin + k * (MIB + bytes_apart)
        array = memory[at : at + values.nbytes].view(values.dtype).reshape(values.shape)
        array[...] = values
        return array

    x, r = (lay(k, normal(k, (rows, width), dtype)) for k in (0, 1))
    x[3::7, width // 2] = np.nan
    y, total = (lay(k, np.zeros_like(x)) for k in (2, 3))
    w = normal(3, (width,), dtype)
    with machine(isa, 1):
        added = ops.add(x, r)
        normed = ops.rms_norm(added, w)
        ops.fused_add_rms_norm(x, r, w, out=(y, total))
        assert (bits(total), bits(y)) == (bits(added), bits(normed))
        assert bits(ops.rms_norm(total, w, out=y)) == bits(normed)
        assert bits(ops.layer_norm(total, w, w, out=y)) == bits(ops.layer_norm(added, w, w))
        ops.fused_add_rms_norm(x, r, w, out=(x, r))
    assert (bits(r), bits(x)) == (bits(added), bits(normed))


def test_rows_that_are_added_in_another_order_than_they_lie():
    """The norm's rows go where others of them are still to be read."""

    def body(x, r, w):
        return ops.rms_norm(ops.add(ops.transpose(x, dims=[0, 2, 1, 3]), r), w)

    types = {"x": spec("bf16[T, 2, 2, 32]", updated=True), "r": spec("bf16[T, 2, 2, 32]")}
    types["w"] = spec("bf16[32]", constant=True)
    shape = (5, 2, 2, 32)
    check(body, types, {"x": normal(1, shape), "r": normal(2, shape), "w": normal(3, (32,))})


@pytest.mark.parametrize("norm", ["rms_norm", "gemma_rms_norm", "layer_norm"])
@pytest.mark.parametrize("scratch", [False, True])
def test_what_is_added_may_be_made_just_before(norm, scratch):
    """What is added and what is normed have scratch of their own, row by row."""

    def body(x, r, w):
        total = ops.add(ops.mul(x, by=2.0), ops.mul(r, by=0.5))
        y = getattr(ops, norm)(total, w)
        return ops.mul(y, by=3.0) if scratch else y

    types = {"x": spec("bf16[T, 64]"), "r": spec("bf16[T, 64]")}
    types["w"] = spec("bf16[64]", constant=True)
    check(body, types, {"x": normal(1, (37, 64)), "r": normal(2, (37, 64)), "w": normal(3, (64,))})


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
