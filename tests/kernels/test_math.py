"""exp, sigmoid, the gates and 1 / sqrt against float64: every 257th f32 and every bf16.

Bounds are in units in the last place (ulp) of the exact result, for instruction sets with FMA and
for those without; below `tiny` a result may be flushed to zero.
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np
import pytest
from scipy.special import erfc

from fusible import ops
from support.case import stored
from support.contract import FMA_ISAS, ISAS, machine
from support.tolerance import assert_same_bits

STEP = 257  # odd, so that the low bits of the mantissas differ
CHUNK = 1 << 20


def floats():
    """Every STEP-th f32, NaNs and infinities among them, a chunk at a time."""
    for first in range(0, 1 << 32, STEP * CHUNK):
        codes = np.arange(first, min(first + STEP * CHUNK, 1 << 32), STEP, dtype=np.int64)
        yield codes.astype(np.uint32).view(np.float32)


def every_bf16():
    return np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16)


def gated(op, x, **attrs):
    """The gate alone: its factor is one."""
    return op(np.concatenate([x, np.ones_like(x)]), **attrs)


ALPHA, LIMIT = (float(np.float32(value)) for value in (1.702, 3e38))


def swiglu_oai(x):
    """The other factor is 0 + 1."""
    return ops.swiglu_oai_and_mul(np.stack([x, np.zeros_like(x)], axis=-1).ravel(), limit=LIMIT)


def sigmoid(x):
    """Softmax of (x, 0) for x <= 0; below -18 it is e^x to the last bit, or 0 if not normal."""
    with np.errstate(invalid="ignore"):
        below = np.minimum(x, x.dtype.type(0))
    return ops.softmax(np.stack([below, np.zeros_like(x)], axis=-1))[:, 0].copy()


def exact_gate(x, exponent):
    """X / (1 + e^-exponent), -0 at minus infinity."""
    return np.where(x == -np.inf, -0.0, x / (1 + np.exp(-exponent)))


def exact_sigmoid(x):
    e = np.exp(np.minimum(x, 0))
    return e / (1 + e)


def slope(x):
    """The exponent of gelu's tanh formula."""
    return np.sqrt(8 / np.pi) * (x + 0.044715 * x**3)


def exact_gelu(x):
    return np.where(x == -np.inf, -0.0, x / 2 * erfc(-x / np.sqrt(2)))


@dataclass(frozen=True)
class Function:
    """How a function of f32 is reached, what it is, and how far it may be off."""

    run: object
    exact: object
    bound: object  # ulp at x with FMA
    plain_bound: object  # and without
    tiny: float = 0.0


# An exponent's own rounding counts as often as it is large.
FUNCTIONS = {
    "sigmoid": Function(sigmoid, exact_sigmoid, lambda x: 6, lambda x: 6, 2.0**-125),
    "silu": Function(
        lambda x: gated(ops.silu_and_mul, x),
        lambda x: exact_gate(x, x),
        lambda x: 7,
        lambda x: 7,
        2.0**-120,
    ),
    "silu-limit": Function(
        lambda x: gated(ops.silu_and_mul, x, limit=7.0),
        lambda x: exact_gate(np.minimum(x, 7), np.minimum(x, 7)),
        lambda x: 7,
        lambda x: 7,
        2.0**-120,
    ),
    "swiglu-oai": Function(
        swiglu_oai,
        lambda x: exact_gate(np.minimum(x, LIMIT), ALPHA * np.minimum(x, LIMIT)),
        lambda x: 7 + ALPHA * np.abs(np.clip(x, -60, 0)),
        lambda x: 7 + ALPHA * np.abs(np.clip(x, -60, 0)),
        2.0**-120,
    ),
    "gelu-tanh": Function(
        lambda x: gated(ops.gelu_tanh_and_mul, x),
        lambda x: exact_gate(x, slope(x)),
        lambda x: 4 + 2.5 * np.abs(slope(np.clip(x, -11, 0))),
        lambda x: 4 + 2.5 * np.abs(slope(np.clip(x, -11, 0))),
        2.0**-120,
    ),
    "gelu": Function(
        lambda x: gated(ops.gelu_and_mul, x),
        exact_gelu,
        lambda x: 10,
        lambda x: 12 + np.minimum(x * x, 176) / 2,
        2.0**-120,
    ),
}


def assert_within(got, exact, bound, tiny, what):
    np.testing.assert_array_equal(np.isnan(got), np.isnan(exact), err_msg=what)
    known = np.isfinite(exact) & (np.abs(exact) <= np.finfo(np.float32).max)
    flushed = (np.abs(exact) < tiny) & (np.abs(got) <= tiny)
    # The spacing of a value and of its rounding differ where that is a power of two.
    unit = np.spacing(np.nextafter(np.abs(exact).astype(np.float32), np.float32(0)))
    off = np.abs(got - exact) / unit
    with np.errstate(invalid="ignore"):
        bad = known & ~flushed & ~(off <= bound)
    assert not bad.any(), f"{what}: {off[bad].max()} ulp"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_257th_float(name):
    function = FUNCTIONS[name]
    for x in floats():
        with np.errstate(all="ignore"):
            wide = x.astype(np.float64)
            exact = function.exact(wide)
        fma = None
        for isa in ISAS:
            with machine(isa, 1):
                got = function.run(x)
            what = f"{name} on {isa}, from {x[0]} on"
            if fma is not None and isa in FMA_ISAS:
                assert_same_bits(got, fma, what)
                continue
            bound = function.bound if isa in FMA_ISAS else function.plain_bound
            with np.errstate(all="ignore"):
                assert_within(got.astype(np.float64), exact, bound(wide), function.tiny, what)
            fma = got if isa in FMA_ISAS else fma


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_bf16_is_the_f32_result_rounded(name, isa):
    run, x = FUNCTIONS[name].run, every_bf16()
    with machine(isa, 1):
        got, wide = run(x), run(x.astype(np.float32))
        rounded = ops.cast(wide, dtype="bf16")
    assert_same_bits(got, rounded, name)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["silu", "silu-limit", "swiglu-oai", "gelu-tanh", "gelu"])
def test_minus_infinity_gives_minus_zero(name, isa):
    with machine(isa, 1):
        got = FUNCTIONS[name].run(np.full(3, -np.inf, np.float32))
    assert_same_bits(got, np.full(3, -0.0, np.float32), name)


@pytest.mark.parametrize("isa", ISAS)
def test_reciprocal_root_is_that_of_two_ieee_operations(isa):
    """rms_norm of (2^-60, s): the mean of squares is s^2 / 2, and scaling by a power exact."""
    codes = np.arange(0x30000000, 0x5D000000, STEP, dtype=np.uint32)  # 4.7e-10 to 5.8e17
    s = codes.view(np.float32)
    small = np.float32(2.0**-60)
    x = np.stack([np.full_like(s, small), s], axis=-1)
    with machine(isa, 1):
        got = ops.rms_norm(x, eps=0.0)[:, 0] / small
    mean = (small * small + s * s) / np.float32(2)
    assert_same_bits(got, np.float32(1) / np.sqrt(mean), isa)
    exact = 1 / np.sqrt(mean.astype(np.float64))
    assert_within(got.astype(np.float64), exact, 1.5, 0.0, isa)


def test_results_that_are_no_numbers_are_stored_as_the_one_code():
    x = np.array([np.nan, -np.nan, np.inf, -np.inf], np.float32)
    for dtype, code in (("bf16", 0x7FC0), ("f16", 0x7E00)):
        for isa in ISAS:
            with machine(isa, 1):
                got = ops.add(stored(x, dtype), stored(-x, dtype))
            assert_same_bits(got.view(np.uint16), np.full(4, code, np.uint16), isa)


def capped(x, cap, values=(0, 1)):
    """Attention with one head an element: keys 0 and 1, their values the same, softcap `cap`.

    It gives the sigmoid of cap * tanh(x), in which an error of tanh counts cap * tanh(x) times.
    """
    q = (x * np.float32(cap)).reshape(1, -1, 1)
    keys, of_keys = (np.array(of, np.float32).reshape(1, 2, 1, 1) for of in ((0, 1), values))
    integers = (np.array(numbers, np.int32) for numbers in ([[0]], [0, 1], [2]))
    return ops.attention(q, keys, of_keys, *integers, scale=1.0, softcap=float(cap)).ravel()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("exponent", range(-24, 4))
def test_tanh_within_two_ulp(exponent, isa):
    """Every 257th float of a binade, with a cap that makes its error 32 to 64 times as large."""
    low, high = (np.float32(2.0**e).view(np.uint32) for e in (exponent, exponent + 1))
    x = -np.arange(low, high, STEP, dtype=np.uint32).view(np.float32)
    cap = 2.0 ** (6 - min(exponent + 1, 0))
    with machine(isa, 1):
        got = capped(x, cap)
        # tanh is odd: with -x the two keys change places, and all else is the same arithmetic.
        assert_same_bits(capped(-x, cap, (1, 0)), got, isa)
    scores = cap * np.tanh(x.astype(np.float64))
    # ulp: tanh's, which may be twice as large beside its value as the result's, and the softmax's.
    bound = 4 * np.abs(scores) + 12
    assert_within(got.astype(np.float64), exact_sigmoid(scores), bound, 0.0, isa)
