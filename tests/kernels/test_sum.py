"""The canonical sum over a row, against a model that adds one pair of floats at a time."""

import numpy as np
import pytest

from fusible import ops
from support.case import stored
from support.contract import FMA_ISAS, ISAS, machine
from support.sums import canonical_sum
from support.tolerance import assert_same_bits

SIZES = [
    1,
    2,
    3,
    15,
    31,
    32,
    33,
    64,
    95,
    127,
    255,
    256,
    257,
    288,
    576,
    1000,
    2049,
    4095,
    7168,
    20000,
]


def model_of_norm(row, eps):
    squares = row.astype(np.float32) ** 2
    mean = canonical_sum(squares) / np.float32(len(row))
    return row.astype(np.float32) * (np.float32(1) / np.sqrt(mean + np.float32(eps)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
def test_norm_sums_in_the_canonical_order(dtype, size, isa):
    row = stored(np.random.default_rng(size).standard_normal(size) * 3, dtype)
    expected = model_of_norm(row, 1e-6).astype(row.dtype)
    with machine(isa, 1):
        result = ops.rms_norm(row[None], eps=1e-6)[0]
    assert_same_bits(result, expected, f"{dtype} of {size}")


@pytest.mark.parametrize("isa", FMA_ISAS)
@pytest.mark.parametrize("size", SIZES)
def test_softmax_sums_in_the_canonical_order(size, isa):
    # Terms so much smaller than the largest that each of them, in a row of two with it, is its own
    # result: 1 + a term is 1. Together they are not, and in what order they are added shows.
    row = np.random.default_rng(size).uniform(-20, -17.5, size).astype(np.float32)
    row[size // 2] = 0
    with machine(isa, 1):
        terms = ops.softmax(np.stack([np.zeros_like(row), row], axis=1))[:, 1]
        largest = ops.softmax(row[None])[0].max()
    terms[size // 2] = 1
    assert largest == np.float32(1) / canonical_sum(terms)
    if size >= 33:
        assert largest != np.float32(1) / np.cumsum(terms, dtype=np.float32)[-1]
