"""Cases of mul."""

import numpy as np

from cases.add import CASES as ADD_CASES
from support.case import Case, Normal, Strided
from support.sums import f32


def reference(x, y=None, weight=None, by=1.0):
    z = x
    with np.errstate(invalid="ignore", over="ignore"):
        for factor in (y, weight):
            z = z if factor is None else f32(z * factor)
        return z * np.float64(np.float32(by))


CASES = [
    *ADD_CASES,
    Case("by", {"x": Normal((3, 65))}, {"by": 0.1}),
    Case("both", {"x": Normal((3, 65)), "y": Normal((3, 65))}, {"by": -1.25}),
    Case("weight", {"x": Normal((3, 65)), "weight": Normal((65,))}),
    Case("weight-by", {"x": Strided(Normal((3, 65))), "weight": Normal((65,))}, {"by": 0.1}),
    Case("all", {"x": Normal((3, 65)), "y": Normal((3, 65)), "weight": Normal((65,))}, {"by": 3.0}),
    Case("nothing", {"x": Normal((2, 9))}),
]
