"""Rows with NaNs, infinities and zeros among others: norms look at each element only in those."""

from __future__ import annotations

import numpy as np
import pytest

from fusible import ops, spec
from support.contract import ISAS, machine
from support.graphs import bits, check, normal

DTYPES = ["bf16", "f16", "f32"]
# Quiet and signalling, of both signs, first and last of their kind.
NANS = {
    "bf16": np.array([0x7F81, 0x7FFF, 0xFF81, 0xFFC1, 0x7FC0], np.uint16),
    "f16": np.array([0x7C01, 0x7FFF, 0xFC01, 0xFE01, 0x7E00], np.uint16),
    "f32": np.array([0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFC00001, 0x7FC00000], np.uint32),
}
LARGEST = {"bf16": 3.3e38, "f16": 65504, "f32": 3.4e38}
SMALLEST = {"bf16": 9.2e-41, "f16": 6e-8, "f32": 1.4e-45}


def unusual(seed, width, dtype):
    """Eleven rows: usual ones, and of each other kind one."""
    x = normal(seed, (11, width), dtype)
    x[1] = 0
    x[2] = LARGEST[dtype]  # its squares overflow in f32
    x[3] = SMALLEST[dtype]
    x[4, ::3] = -np.inf
    x[5, -1] = np.inf
    nans = NANS[dtype].view(x.dtype)
    for row, nan in enumerate(nans, 6):
        x[row, (width - 1) // (row - 5)] = nan
    return x


def of_norm(name, width, dtype, edit=lambda _: None):
    """The weights of a norm, and its bias if it has one; `edit` changes the weights."""
    weight = normal(7, (width,), dtype)
    edit(weight)
    return (weight, normal(8, (width,), dtype)) if name == "layer_norm" else (weight,)


def set_nan(weight):
    weight[len(weight) // 2] = np.nan


def set_infinite(weight):
    weight[-1] = -np.inf


def set_zero(weight):
    weight[:] = -0.0


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["rms_norm", "gemma_rms_norm", "layer_norm"])
@pytest.mark.parametrize("width", [7, 576, 4095, 8193])
def test_a_batch_gives_the_bits_of_its_rows(name, width, dtype, isa):
    x = unusual(1, width, dtype)
    norm = getattr(ops, name)
    with machine(isa, 1):
        for edit in (lambda _: None, set_nan, set_infinite, set_zero):
            weights = of_norm(name, width, dtype, edit)
            for eps in (1e-6, 0.0):
                batch = norm(x, *weights, eps=eps)
                rows = [norm(x[r : r + 1], *weights, eps=eps) for r in range(len(x))]
                assert bits(batch) == bits(np.concatenate(rows)), (edit, eps)
                nans = batch[np.isnan(batch)]
                assert bits(nans) == bits(np.full(nans.shape, np.nan, x.dtype))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["rms_norm", "gemma_rms_norm"])
@pytest.mark.parametrize("width", [7, 576, 4095])
def test_sums_in_place_have_the_bits_of_sums(name, width, dtype, isa):
    x, residual = unusual(1, width, dtype), unusual(2, width, dtype)[::-1].copy()
    weight = normal(7, (width,), dtype)
    with machine(isa, 1):
        total = ops.add(x, residual)
        expected = getattr(ops, name)(total, weight)
        fused = getattr(ops, name.replace("rms", "fused_add_rms"))
        fused(x, residual, weight, out=(x, residual))
    assert (bits(x), bits(residual)) == (bits(expected), bits(total))


def read_twice(total, w):
    return ops.rms_norm(total, w), ops.mul(total, by=2.0), total


def read_by_another_first(total, w):
    return ops.mul(total, by=2.0), ops.rms_norm(total, w)


def kept_nowhere(total, w):
    return (ops.rms_norm(total, w),)


def of_layers(total, w):
    return ops.layer_norm(total, w, w), total


def of_heads(total, w):
    heads = ops.reshape(total, shape=[0, 4, 16])
    return ops.rms_norm(heads), total, ops.rms_norm(total, w)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "body", [read_twice, read_by_another_first, kept_nowhere, of_layers, of_heads]
)
def test_a_sum_with_nans_is_the_same_for_all_who_read_it(body, dtype, isa):
    def fn(x, r, w):
        return body(ops.add(x, r), w)

    types = {"x": spec(f"{dtype}[T, 64]"), "r": spec(f"{dtype}[T, 64]")}
    types["w"] = spec(f"{dtype}[64]", constant=True)
    x, r = unusual(1, 64, dtype), unusual(2, 64, dtype)[::-1].copy()
    with machine(isa, 1):
        check(fn, types, {"x": x, "r": r, "w": normal(3, (64,), dtype)})
