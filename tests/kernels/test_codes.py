"""8-bit codes against exact arithmetic: formats from their definitions, rounding in integers.

The models here use no floating point: a value is an integer number of units of 2^-150, of which
every f32 and every midpoint of two 8-bit floats is a whole number.
"""

import functools
import itertools
from bisect import bisect_left
from fractions import Fraction

import numpy as np
import pytest

import fusible
from fusible import ops
from support.case import numpy_dtype, stored
from support.contract import ISAS, machine

UNIT = Fraction(1, 2**150)
# Bits of exponent and mantissa, bias, the largest finite code, and the canonical NaN.
FORMATS = {
    "e4m3fn": (4, 3, 7, 0x7E, 0x7F),
    "e4m3fnuz": (4, 3, 8, 0x7F, 0x80),
    "e5m2": (5, 2, 15, 0x7B, 0x7E),
}


def magnitude_of(code, name):
    """The value of a finite code without its sign."""
    _, mantissa, bias, _, _ = FORMATS[name]
    exponent, fraction = code >> mantissa, code & ((1 << mantissa) - 1)
    if exponent == 0:
        return Fraction(fraction, 2 ** (mantissa + bias - 1))
    return Fraction(2**mantissa + fraction, 2**mantissa) * Fraction(2) ** (exponent - bias)


@functools.cache
def boundaries(name):
    """Midpoints of neighbouring finite magnitudes, in units."""
    values = [magnitude_of(code, name) / UNIT for code in range(FORMATS[name][3] + 1)]
    return [int((a + b) / 2) for a, b in itertools.pairwise(values)]


def units_of(bits):
    """The magnitude of an f32 in units, from its bits."""
    exponent, fraction = bits >> 23 & 0xFF, bits & 0x7FFFFF
    return fraction << 1 if exponent == 0 else (fraction | 1 << 23) << exponent


def exact_code(bits, name):
    """The code of an f32, given by its bits: nearest even, saturating."""
    _, _, _, largest, nan = FORMATS[name]
    if bits & 0x7FFFFFFF > 0x7F800000:
        return nan
    edges, units = boundaries(name), units_of(bits & 0x7FFFFFFF)
    code = largest if bits & 0x7FFFFFFF == 0x7F800000 else bisect_left(edges, units)
    # At a boundary, the code below it has been found: the one above if that is even.
    if code < len(edges) and edges[code] == units and code % 2:
        code += 1
    negative = bits >> 31 and (code or name != "e4m3fnuz")
    return code | (0x80 if negative else 0)


def f32_at(units):
    """The bits of the largest f32 up to so many units."""
    shift = max(units.bit_length() - 24, 1)
    fraction = units >> shift
    return fraction if shift == 1 and fraction < 1 << 23 else (shift << 23) + (fraction & 0x7FFFFF)


def hard_bits(name):
    """All bf16, and f32 at every boundary and one unit in the last place on either side."""
    edges = [f32_at(units) + step for units in boundaries(name) for step in (-1, 0, 1)]
    largest = f32_at(int(magnitude_of(FORMATS[name][3], name) / UNIT))
    edges += [largest + step for step in range(-2, 3)] + [0x7F7FFFFF, 0x7F800000, 0x7FC00000, 1]
    bf16 = [code << 16 for code in range(1 << 16)]
    return [*bf16, *edges, *(bits | 1 << 31 for bits in edges)]


@functools.cache
def hard_cases(name):
    bits = hard_bits(name)
    codes = [exact_code(one, name) for one in bits]
    return np.array(bits, np.uint32).view(np.float32), np.array(codes, np.uint8)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("isa", ISAS)
def test_encodes_exactly(name, isa):
    values, codes = hard_cases(name)
    one = np.ones(1, np.float32)
    with machine(isa, 1):
        cast = ops.cast(values, dtype=name)
        bound = 240.0 if name == "e4m3fnuz" else None
        quantized = ops.static_quant_fp8(values, one, dtype=name, fp8_max=bound)
    np.testing.assert_array_equal(cast.view(np.uint8), codes)
    np.testing.assert_array_equal(quantized.view(np.uint8), codes)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("isa", ISAS)
def test_decodes_every_code(name, isa):
    _, _, _, largest, _ = FORMATS[name]
    codes = np.arange(256, dtype=np.uint8)
    with machine(isa, 1):
        values = ops.cast(codes.view(numpy_dtype(name)), dtype="f32")
    for code, value in zip(codes.tolist(), values.tolist(), strict=True):
        magnitude, sign = code & 0x7F, -1 if code & 0x80 else 1
        if code == 0x80 and name == "e4m3fnuz":
            assert np.isnan(value)
        elif magnitude <= largest:
            assert Fraction(value) == sign * magnitude_of(magnitude, name), code
            assert np.signbit(value) == (sign < 0), code
        elif name == "e5m2" and magnitude == 0x7C:
            assert value == sign * np.inf
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("isa", ISAS)
def test_int8_rounds_halves_to_even(isa):
    halves = np.arange(-300, 301, dtype=np.float32) / 2
    beside = [np.nextafter(halves, np.float32(end)) for end in (-np.inf, np.inf)]
    values = np.concatenate([halves, *beside])
    with machine(isa, 1):
        codes = ops.static_quant_int8(values, np.ones(1, np.float32))
    exact = [min(max(round(Fraction(v)), -128), 127) for v in values.tolist()]
    np.testing.assert_array_equal(codes, exact)


def maxima_around_powers(largest):
    """f32 maxima whose quotient by `largest` is a power of two, and those beside them."""
    powers = np.ldexp(np.float32(largest), np.arange(-80, 90)).astype(np.float32)
    beside = [np.nextafter(powers, np.float32(end)) for end in (0, np.inf)]
    return np.concatenate([powers, *beside])


@pytest.mark.parametrize(
    ("dtype", "largest"),
    [("e4m3fn", 448.0), ("e4m3fnuz", 224.0), ("e5m2", 57344.0), ("e4m3fn", 100.3), ("e4m3fn", 1.0)],
)
@pytest.mark.parametrize("isa", ISAS)
def test_ue8m0_scales_are_the_powers_of_two_at_or_above(dtype, largest, isa):
    maxima = maxima_around_powers(largest)
    x = np.zeros((len(maxima), 16), np.float32)
    x[:, 3] = -maxima
    attrs = {"group_size": 16, "dtype": dtype, "fp8_max": largest, "amax_floor": 1e-30}
    with machine(isa, 1):
        _, scales = ops.per_token_group_quant_fp8(x, scale_format="ue8m0", **attrs)
        _, packed = ops.per_token_group_quant_fp8_packed(x, layout="row", **attrs)
    exact = Fraction(float(np.float32(largest)))
    for amax, scale, word in zip(maxima.tolist(), scales[:, 0], packed[:, 0], strict=True):
        quotient = Fraction(amax) / exact
        assert Fraction(float(scale)) / 2 < quotient <= Fraction(float(scale))
        assert np.frexp(scale)[0] == 0.5
        assert word == np.frexp(scale)[1] + 126


# Q = x / scale is rounded to q, |q - Q| <= u |Q| with u = 2^-24, and q to the code c. With m bits
# of mantissa |c - q| <= 2^-(m+1) |q|, or half the smallest subnormal; for int8 it is 1/2. Clamping
# moves q by at most 2u |q|, as scale = amax / max was rounded once. So
#     |x - c * scale| <= scale * max(2^-(m+1) |Q|, half the smallest) + 4u |x|.
HALF_STEPS = {
    "e4m3fn": (2.0**-4, 2.0**-10),
    "e4m3fnuz": (2.0**-4, 2.0**-11),
    "e5m2": (2.0**-3, 2.0**-17),
    "i8": (0.0, 0.5),
}


@pytest.mark.parametrize("scale_format", ["float", "ue8m0"])
@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
@pytest.mark.parametrize("name", HALF_STEPS)
@pytest.mark.parametrize("isa", ISAS)
def test_dequantizing_gives_x_within_the_bound(name, dtype, scale_format, isa):
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((64, 256)) * 10.0 ** rng.integers(-4, 2, (64, 1))
    x = stored(rows * rng.standard_normal((64, 256)) ** 4, dtype)
    with machine(isa, 1):
        if name == "i8":
            codes, scales = ops.per_token_group_quant_int8(x, group_size=64)
        else:
            codes, scales = ops.per_token_group_quant_fp8(
                x, group_size=64, dtype=name, scale_format=scale_format
            )
    scale = np.repeat(scales.astype(np.float64), 64, axis=1)
    exact = x.astype(np.float64)
    relative, smallest = HALF_STEPS[name]
    bound = scale * np.maximum(relative * np.abs(exact / scale), smallest)
    bound += 2.0**-22 * np.abs(exact)
    assert np.all(np.abs(exact - codes.astype(np.float64) * scale) <= bound)


# Products decode codes in ways of their own, four that lie in one word at once.
@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("isa", ISAS)
def test_products_decode_every_code(name, dtype, at, isa):
    codes = np.zeros((256, 128), np.uint8)
    codes[:, at] = np.arange(256)
    w = codes.view(numpy_dtype(name))
    x = np.zeros((1, 128), np.float32)
    x[0, at] = 1.0
    with machine(isa, 1):
        for weight in (w, fusible.pack_weight(w)):
            y = ops.w8a16_block_fp8_matmul(stored(x, dtype), weight, np.ones((2, 1), np.float32))
            np.testing.assert_array_equal(y[0].astype(np.float32), w[:, at].astype(np.float32))
