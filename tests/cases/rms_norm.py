"""Cases of rms_norm."""

import numpy as np

from support.case import Case, Normal, Strided, Values
from support.sums import row_sums


def reference(x, weight=None, eps=1e-6):
    with np.errstate(invalid="ignore"):
        y = x / np.sqrt(row_sums(x * x) / x.shape[-1] + np.float64(np.float32(eps)))
        return y if weight is None else y * weight


def weighted(*shape, scale=1.0):
    return {"x": Normal(shape, scale), "weight": Normal(shape[-1:])}


CASES = [
    *(Case(f"row-{n}", weighted(3, n)) for n in (1, 2, 7, 31, 33, 127, 576, 4095)),
    Case("many-rows", weighted(70, 1024)),
    Case("heads", weighted(3, 4, 64)),
    Case("no-rows", weighted(0, 8)),
    Case("eps", weighted(2, 40), {"eps": 0.1}),
    Case("strided", {"x": Strided(Normal((5, 33))), "weight": Normal((33,))}),
    Case("large", weighted(2, 100, scale=1e4)),
    Case("small", weighted(2, 100, scale=1e-4)),
    Case("zeros", {"x": Values(np.zeros((2, 33))), "weight": Normal((33,))}),
    Case(
        "nan-and-infinity",
        {
            "x": Values([[np.nan, 1.0, 2.0], [np.inf, 1.0, 2.0], [1.0, 2.0, 3.0]]),
            "weight": Values([1.0, 2.0, 0.5]),
        },
    ),
    Case("no-weight", {"x": Normal((3, 65))}),
]
