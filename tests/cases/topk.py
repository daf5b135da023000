"""Cases of topk."""

import numpy as np

from support.case import Case, Normal, Strided, Values
from support.sampling import SPECIAL


def reference(x, k):
    # A stable sort of what falls keeps the lower of equal indices; NumPy sorts NaN behind infinity.
    order = np.argsort(-np.where(np.isnan(x), np.inf, x), axis=-1, kind="stable")
    not_nan = np.take_along_axis(~np.isnan(x), order, axis=-1)
    order = np.take_along_axis(order, np.argsort(not_nan, axis=-1, kind="stable"), axis=-1)
    order = order[..., :k]
    return np.take_along_axis(x, order, axis=-1), order.astype(np.int32)


RISING = np.arange(3000.0)[None] * [[1.0], [-1.0]]
CASES = [
    *(
        Case(f"{k}-of-{n}", {"x": Normal((3, n))}, {"k": k})
        for n, k in ((1, 1), (7, 7), (33, 8), (576, 1), (4095, 50), (4095, 4095))
    ),
    Case("batch", {"x": Normal((2, 3, 64))}, {"k": 5}),
    Case("many-rows", {"x": Normal((70, 256))}, {"k": 8}),
    Case("rising-and-falling", {"x": Values(RISING)}, {"k": 3}),
    Case("ties", {"x": Values(np.round(np.sin(np.arange(900)).reshape(3, 300)))}, {"k": 40}),
    Case("special", {"x": Values(SPECIAL)}, {"k": 3}),
    Case("nan-only", {"x": Values(np.full((2, 200), np.nan))}, {"k": 2}),
    Case("strided", {"x": Strided(Normal((5, 65)))}, {"k": 4}),
    Case("no-rows", {"x": Normal((0, 8))}, {"k": 2}),
]
