"""Cases of mul."""

import numpy as np

from cases.add import CASES as ADD_CASES
from support.case import Case, Normal


def reference(x, y=None, by=1.0):
    with np.errstate(invalid="ignore", over="ignore"):
        return (x if y is None else x * y) * np.float64(np.float32(by))


CASES = [
    *ADD_CASES,
    Case("by", {"x": Normal((3, 65))}, {"by": 0.1}),
    Case("both", {"x": Normal((3, 65)), "y": Normal((3, 65))}, {"by": -1.25}),
    Case("nothing", {"x": Normal((2, 9))}),
]
