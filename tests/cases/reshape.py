"""Cases of reshape."""

import numpy as np

from support.case import Case, Normal


def reference(x, shape):
    full = [x.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    return np.reshape(x, full)


CASES = [
    Case("split", {"x": Normal((3, 64))}, {"shape": [0, 4, 16]}),
    Case("join", {"x": Normal((3, 4, 16))}, {"shape": [0, -1]}),
    Case("infer", {"x": Normal((6, 8))}, {"shape": [-1, 16]}),
    Case("flat", {"x": Normal((2, 3, 5))}, {"shape": [-1]}),
    Case("ones", {"x": Normal((1, 5, 1))}, {"shape": [5, 1, 1]}),
]
