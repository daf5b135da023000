"""Cases of swiglu_oai_and_mul: gates and ups of silu_and_mul's cases in turns."""

import numpy as np

from cases.silu_and_mul import GATES
from support.case import Case, Normal, Strided, Values
from support.sums import in_range_of_f32


def reference(x, alpha=1.702, limit=7.0):
    alpha, limit = np.float64(np.float32(alpha)), np.float64(np.float32(limit))
    gate, up = np.minimum(x[..., 0::2], limit), np.clip(x[..., 1::2], -limit, limit)
    with np.errstate(invalid="ignore", over="ignore"):
        active = np.where(gate == -np.inf, -0.0, gate / (1.0 + np.exp(-alpha * gate)))
        return in_range_of_f32(active) * (up + 1.0)


CASES = [
    *(Case(f"row-{n}", {"x": Normal((3, 2 * n), 5.0)}) for n in (1, 7, 31, 33, 127, 576, 4095)),
    Case("many-rows", {"x": Normal((70, 2048), 3.0)}),
    Case("three-dimensions", {"x": Normal((2, 3, 80), 3.0)}),
    Case("no-rows", {"x": Normal((0, 8))}),
    Case("no-columns", {"x": Normal((2, 0))}),
    Case("strided", {"x": Strided(Normal((5, 66), 3.0))}),
    Case("small", {"x": Normal((2, 100), 1e-3)}),
    Case("extremes", {"x": Values(np.stack([GATES, GATES[::-1]], axis=-1).ravel())}),
    Case("attributes", {"x": Normal((3, 50), 3.0)}, {"alpha": 0.5, "limit": 1.25}),
]
