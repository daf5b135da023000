"""Quantizing with a reciprocal and a correction gives the codes of IEEE division.

csrc/kernels/simd/quotient-inl.h proves it; here are all bf16 elements with all scales that a bf16
maximum can have, with scales of any mantissa, and the one case that the proof leaves open. NumPy's
division of f32 is the reference.
"""

import ml_dtypes
import numpy as np
import pytest

from fusible import ops
from support.case import LARGEST, numpy_dtype, stored
from support.contract import ISAS, machine

MAXIMA = {"e4m3fn": 448.0, "e4m3fnuz": 224.0, "e5m2": 57344.0, "i8": 127.0}
GROUP = 128


def codes_by_division(x, scales, name):
    """Codes of x / scale in f32, group by group; the casts are tested in test_codes.py."""
    quotients = x.astype(np.float32) / np.repeat(scales, GROUP, axis=1)
    if name == "i8":
        return stored(quotients, "i8")
    return np.clip(quotients, -MAXIMA[name], MAXIMA[name]).astype(numpy_dtype(name))


def quantize(x, name, **attrs):
    if name == "i8":
        return ops.per_token_group_quant_int8(x, **attrs)
    return ops.per_token_group_quant_fp8(x, dtype=name, **attrs)


def magnitudes(dtype, octaves):
    """Every mantissa of a 16-bit format below 2, over so many powers of two down from there."""
    bits = {"bf16": 7, "f16": 10}[dtype]
    mantissas = 1 + np.arange(1 << bits) / (1 << bits)
    values = np.ldexp(mantissas, -np.arange(octaves)[:, None]).ravel()
    return stored(values, dtype)


def groups_below(amax, values):
    """Rows of one group: `amax`, and the values that are not above it, with either sign."""
    below = values[values.astype(np.float32) <= np.float32(amax)]
    rest = np.zeros(-len(below) % (GROUP - 1), values.dtype)
    rows = np.concatenate([below, rest]).reshape(-1, GROUP - 1)
    signs = np.where(np.arange(GROUP - 1) % 2, -1, 1).astype(values.dtype)
    first = np.full((len(rows), 1), amax, values.dtype)
    return np.concatenate([first, rows * signs], axis=1)


@pytest.mark.parametrize("name", MAXIMA)
@pytest.mark.parametrize("isa", ISAS)
def test_all_bf16_with_all_scales_of_bf16_maxima(name, isa):
    # Below 2^-34 of the maximum every code is zero, in e5m2 too.
    values = magnitudes("bf16", 36)
    x = np.concatenate([groups_below(amax, values) for amax in magnitudes("bf16", 1)])
    with machine(isa, 1):
        codes, scales = quantize(x, name)
    np.testing.assert_array_equal(
        codes.view(np.uint8), codes_by_division(x, scales, name).view(np.uint8)
    )


# A floor above the maximum makes any f32 a scale.
@pytest.mark.parametrize("dtype", ["bf16", "f16"])
@pytest.mark.parametrize("name", MAXIMA)
@pytest.mark.parametrize("isa", ISAS)
def test_scales_of_any_mantissa(name, dtype, isa):
    rng = np.random.default_rng(4)
    values = magnitudes(dtype, 12 if dtype == "bf16" else 3)
    x = groups_below(values.astype(np.float32).max(), values)
    for floor in 2.0 + 2.0 * rng.random(100):
        with machine(isa, 1):
            codes, scales = quantize(x, name, amax_floor=float(floor))
        np.testing.assert_array_equal(
            codes.view(np.uint8), codes_by_division(x, scales, name).view(np.uint8)
        )


@pytest.mark.parametrize("name", MAXIMA)
@pytest.mark.parametrize("isa", ISAS)
def test_powers_of_two_by_a_scale_of_all_ones(name, isa):
    ones = np.nextafter(np.float32(2), np.float32(0))
    floors = np.nextafter(np.float32(MAXIMA[name]) * ones, np.float32([0, np.inf]))
    floors = [*floors, np.float32(MAXIMA[name]) * ones]
    floor = next(f for f in floors if np.float32(f) / np.float32(MAXIMA[name]) == ones)
    x = np.ldexp(np.float32(1), 7 - np.arange(GROUP)).astype(ml_dtypes.bfloat16)[None]
    assert x.astype(np.float32).max() <= floor
    with machine(isa, 1):
        codes, scales = quantize(x, name, amax_floor=float(floor))
    assert scales[0, 0] == ones
    np.testing.assert_array_equal(
        codes.view(np.uint8), codes_by_division(x, scales, name).view(np.uint8)
    )


@pytest.mark.parametrize("scale", [2.0**-70, 2.0**-60, 2.0**100, 2.0**110])
@pytest.mark.parametrize("name", LARGEST)
@pytest.mark.parametrize("isa", ISAS)
def test_scales_at_and_beyond_the_range_of_the_correction(name, scale, isa):
    mantissas = 1 + np.random.default_rng(2).random((5, 2 * GROUP))
    x = stored(mantissas * scale * np.exp2(-(np.arange(2 * GROUP) % 20)) * 300, "bf16")
    with machine(isa, 1):
        codes, scales = quantize(x, name, amax_floor=1e-30)
    np.testing.assert_array_equal(
        codes.view(np.uint8), codes_by_division(x, scales, name).view(np.uint8)
    )


def static_quantize(x, scale, name):
    if name == "i8":
        return ops.static_quant_int8(x, scale)
    return ops.static_quant_fp8(x, scale, dtype=name)


RNG = np.random.default_rng(6)
ALL_ONES = np.nextafter(np.float32(1), np.float32(0))
STATIC_SCALES = np.float32(
    [
        *(1 + RNG.random(20)),  # any mantissa
        *np.exp2(RNG.integers(-60, 100, 8)) * (1 + RNG.random(8)),  # any power that may multiply
        *(2.0**-60, 2.0**100, ALL_ONES, ALL_ONES / 8),
        *(2.0**-61, 2.0**101, 1e-40, 0.0, -0.0, -0.02, np.inf, -np.inf, np.nan),  # must divide
    ]
)


# Where the reciprocal's rest is of the other sign than the reciprocal, or zero, an infinite
# element has no quotient by multiplication.
@pytest.mark.parametrize("dtype", ["bf16", "f16"])
@pytest.mark.parametrize("name", MAXIMA)
@pytest.mark.parametrize("isa", ISAS)
def test_all_elements_by_a_given_scale(name, dtype, isa):
    x = np.arange(1 << 16, dtype=np.uint16).view(numpy_dtype(dtype)).reshape(64, -1)
    for scale in STATIC_SCALES:
        with np.errstate(all="ignore"):
            quotients = x.astype(np.float32) / scale
            if name != "i8":
                quotients = np.clip(quotients, -MAXIMA[name], MAXIMA[name])
            expected = stored(quotients, name)
        with machine(isa, 1):
            codes = static_quantize(x, np.array([scale]), name)
        np.testing.assert_array_equal(
            canonical(codes, name), canonical(expected, name), err_msg=f"scale {scale!r}"
        )


def canonical(codes, name):
    """Bits of codes, with one NaN where the format has several."""
    bits = codes.view(np.uint8)
    if name == "i8":
        return bits
    return np.where(np.isnan(codes.astype(np.float32)), 255, bits)
