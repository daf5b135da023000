"""Cases of add."""

import numpy as np

from support.case import Case, Normal, Strided, Values

EXTREMES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-7, 3e38, 1.0]


def reference(x, y):
    with np.errstate(invalid="ignore"):
        return x + y


def pair(*shape, scale=1.0):
    return {"x": Normal(shape, scale), "y": Normal(shape, scale)}


CASES = [
    *(Case(f"row-{n}", pair(3, n)) for n in (1, 7, 33, 127, 576, 4095)),
    Case("many-rows", pair(70, 1024)),
    Case("three-dimensions", pair(2, 3, 40)),
    Case("no-rows", pair(0, 8)),
    Case("no-columns", pair(4, 0)),
    Case("strided", {"x": Strided(Normal((5, 33))), "y": Normal((5, 33))}),
    Case("large", pair(2, 100, scale=3e4)),
    Case("small", pair(2, 100, scale=1e-7)),
    Case(
        "extremes",
        {
            "x": Values(np.repeat(EXTREMES, len(EXTREMES))),
            "y": Values(np.tile(EXTREMES, len(EXTREMES))),
        },
    ),
]
