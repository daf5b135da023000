"""Cases of softmax."""

import numpy as np

from support.case import Case, Normal, Strided, Values


def reference(x):
    with np.errstate(invalid="ignore"):
        e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=-1, keepdims=True)


SPECIAL = [
    [np.nan, 1.0, 2.0],
    [np.inf, 1.0, 2.0],
    [-np.inf, 1.0, 2.0],
    [-np.inf] * 3,
    [0.0, -100.0, -1000.0],
]
CASES = [
    *(Case(f"row-{n}", {"x": Normal((3, n))}) for n in (1, 2, 7, 33, 127, 576, 4095)),
    Case("many-rows", {"x": Normal((70, 1024))}),
    Case("no-rows", {"x": Normal((0, 8))}),
    Case("no-columns", {"x": Normal((3, 0))}),
    Case("strided", {"x": Strided(Normal((5, 33)))}),
    Case("wide", {"x": Normal((4, 100), 20.0)}),
    Case("special", {"x": Values(SPECIAL)}),
]
