"""Conversions between storage formats: every code, every midpoint, every kind of special value."""

import ml_dtypes
import numpy as np
import pytest

from fusible import ops
from support.case import LARGEST
from support.contract import ISAS, machine
from support.tolerance import assert_same_bits

FORMATS = {
    "f32": np.float32,
    "bf16": ml_dtypes.bfloat16,
    "f16": np.float16,
    "e4m3fn": ml_dtypes.float8_e4m3fn,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2": ml_dtypes.float8_e5m2,
}
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32}
CANONICAL_NAN = {
    "f32": 0x7FC00000,
    "bf16": 0x7FC0,
    "f16": 0x7E00,
    "e4m3fn": 0x7F,
    "e4m3fnuz": 0x80,
    "e5m2": 0x7E,
}
CODED = [name for name in FORMATS if name != "f32"]


def unsigned(name):
    return UNSIGNED[np.dtype(FORMATS[name]).itemsize]


def every_code(name):
    """All values of a format of at most 16 bits, NaNs and infinities included."""
    count = 1 << (8 * np.dtype(FORMATS[name]).itemsize)
    return np.arange(count, dtype=unsigned(name)).view(FORMATS[name])


def midpoints(name):
    """The values of a format, halfway between neighbours, and the next f32 on either side."""
    with np.errstate(invalid="ignore"):
        codes = every_code(name).astype(np.float64)
    values = np.unique(codes[np.isfinite(codes)])
    middle = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    down, up = (np.nextafter(middle, np.float32(end)) for end in (-np.inf, np.inf))
    return np.concatenate([values.astype(np.float32), middle, down, up])


def hard_floats(name):
    """f32 values at which rounding to a format can go wrong; vectors mix their kinds."""
    rng = np.random.default_rng(5)
    anything = rng.integers(0, 1 << 32, 100_000, dtype=np.uint32).view(np.float32)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 448, 464, 465, 240, 248, 65504, 65519.996, 65520]
    hard = np.concatenate([midpoints(name), anything, np.array(special * 100, np.float32)])
    return rng.permutation(hard)


def expected_cast(values, name):
    """Nearest even by ml_dtypes or NumPy, saturating to fp8, with the canonical NaN."""
    with np.errstate(all="ignore"):
        exact = values.astype(np.float32)
        bound = LARGEST.get(name, np.inf)
        result = np.clip(exact, -bound, bound).astype(FORMATS[name])
    codes = result.view(unsigned(name)).copy()
    codes[np.isnan(exact)] = CANONICAL_NAN[name]
    return codes.view(FORMATS[name])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("source", CODED)
def test_casts_every_code(source, to, isa):
    codes = every_code(source)
    with machine(isa, 1):
        result = ops.cast(codes, dtype=to)
    assert_same_bits(result, expected_cast(codes, to), f"{source} to {to}")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("to", CODED)
def test_rounds_hard_floats(to, isa):
    values = hard_floats(to)
    with machine(isa, 1):
        result = ops.cast(values, dtype=to)
    assert_same_bits(result, expected_cast(values, to), f"f32 to {to}")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", CODED)
def test_casts_there_and_back(name, isa):
    codes = every_code(name)
    with machine(isa, 1):
        back = ops.cast(ops.cast(codes, dtype="f32"), dtype=name)
    assert_same_bits(back, expected_cast(codes, name), name)
