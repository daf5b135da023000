"""Cases of silu_and_mul."""

import numpy as np

from support.case import Case, Normal, Strided, Values
from support.sums import in_range_of_f32

GATES = [np.nan, np.inf, -np.inf, 0.0, -0.0, -1e4, 1e4, -88.0, 88.0, -20.0, 1e-6]


def gated(x, gate):
    """First half / (1 + e^-gate), times the second half; -0 at minus infinity."""
    first, second = np.split(x, 2, axis=-1)
    with np.errstate(invalid="ignore", over="ignore"):
        active = np.where(first == -np.inf, -0.0, first / (1.0 + np.exp(-gate(first))))
        return in_range_of_f32(active) * second


def reference(x, limit=None):
    if limit is not None:
        first, second = np.split(x, 2, axis=-1)
        clamped = np.minimum(first, limit), np.clip(second, -limit, limit)
        x = np.concatenate(clamped, axis=-1)
    return gated(x, lambda v: v)


PLAIN = [
    *(Case(f"row-{n}", {"x": Normal((3, 2 * n), 3.0)}) for n in (1, 7, 33, 127, 576, 4095)),
    Case("many-rows", {"x": Normal((70, 2048))}),
    Case("three-dimensions", {"x": Normal((2, 3, 80))}),
    Case("no-rows", {"x": Normal((0, 8))}),
    Case("strided", {"x": Strided(Normal((5, 66)))}),
    Case("small", {"x": Normal((2, 100), 1e-3)}),
    Case("extremes", {"x": Values(GATES + [1.0] * len(GATES))}),
    Case("infinite-factor", {"x": Values([2.0, -3.0, -np.inf, np.inf, -np.inf, 1.0])}),
]

CASES = [
    *PLAIN,
    Case("limit", {"x": Normal((3, 66), 9.0)}, {"limit": 7.0}),
    Case("limit-of-zero", {"x": Normal((2, 10))}, {"limit": 0.0}),
    Case("limit-extremes", {"x": Values(GATES + GATES[::-1])}, {"limit": 10.0}),
]
