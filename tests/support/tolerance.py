"""How far a result may lie from its reference in float64: one table for all operators.

A result is one rounding to its storage dtype away from a value computed in f32. So it may differ by
half a unit in the last place, and by a small error of f32 relative to itself and to the largest
element of its row (where terms of that size cancel). Codes of 8 bits may differ by one code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from support.case import LARGEST, stored

F32_ERROR = 1.5e-6
CODES = (*LARGEST, "i8")


@dataclass(frozen=True)
class Tolerance:
    """Half a unit in the last place: of 1, and of the subnormals."""

    relative: float
    smallest: float


TOLERANCES = {
    "f32": Tolerance(2.0**-24, 2.0**-150),
    "bf16": Tolerance(2.0**-8, 2.0**-134),
    "f16": Tolerance(2.0**-11, 2.0**-25),
}


def code_order(codes: Any, dtype: str) -> Any:
    """8-bit codes as integers in the order of their values; both zeros are 0."""
    if dtype == "i8":
        return codes.astype(np.int32)
    bits = codes.view(np.uint8).astype(np.int32)
    magnitude = bits & 0x7F
    return np.where(bits & 0x80, -magnitude, magnitude)


def row_largest(reference: Any) -> Any:
    """The largest finite magnitude of each row, kept as a last dimension of one."""
    finite = np.where(np.isfinite(reference), np.abs(reference), 0.0)
    return finite.max(axis=-1, keepdims=True, initial=0.0) if finite.ndim else finite


def assert_close(result: Any, reference: Any, dtype: str, what: str) -> None:
    """Compares a result of storage dtype `dtype` with its reference, float64 or integers."""
    assert result.shape == reference.shape, f"{what}: {result.shape} != {reference.shape}"
    if dtype in ("i32", "i64"):
        np.testing.assert_array_equal(result, reference, err_msg=what)
        return
    expected = stored(reference, dtype)
    got = result.astype(np.float64)
    want = expected.astype(np.float64)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=f"{what}: NaN")
    if dtype in CODES:
        known = ~np.isnan(want)
        apart = np.abs(code_order(result, dtype) - code_order(expected, dtype))[known]
        assert apart.max(initial=0) <= 1, f"{what}: codes {apart.max()} apart"
        return
    bound = TOLERANCES[dtype]
    same = (got == want) | np.isnan(want)
    with np.errstate(invalid="ignore"):
        allowed = (bound.relative + F32_ERROR) * np.abs(reference) + bound.smallest
        excess = np.abs(got - reference) - allowed - F32_ERROR * row_largest(reference)
    worst = np.max(np.where(same, 0.0, excess), initial=0.0)
    assert worst <= 0, f"{what}: {worst} beyond the tolerance"


def bits(array: Any) -> Any:
    """The bytes of an array's elements, in the order of its indices."""
    return np.ascontiguousarray(array).view(np.uint8)


def assert_same_bits(a: Any, b: Any, what: str) -> None:
    """Compares dtype, shape and every bit."""
    assert (a.dtype, a.shape) == (b.dtype, b.shape), what
    np.testing.assert_array_equal(bits(a), bits(b), err_msg=what)
