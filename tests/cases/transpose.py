"""Cases of transpose."""

import numpy as np

from support.case import Case, Normal


def reference(x, dims):
    return np.transpose(x, dims)


CASES = [
    Case("matrix", {"x": Normal((3, 5))}, {"dims": [1, 0]}),
    Case("heads", {"x": Normal((2, 3, 4))}, {"dims": [1, 0, 2]}),
    Case("same", {"x": Normal((2, 3, 4))}, {"dims": [0, 1, 2]}),
    Case("turned", {"x": Normal((2, 3, 4))}, {"dims": [2, 0, 1]}),
]
