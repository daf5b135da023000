"""Cases of greedy_sample."""

import numpy as np

from support.case import Case, Normal, Strided, Values
from support.sampling import SPECIAL


def reference(logits):
    return np.argmax(logits, axis=-1).astype(np.int32)  # the first NaN, where there is one


CASES = [
    *(Case(f"row-{n}", {"logits": Normal((5, n))}) for n in (1, 7, 31, 33, 576, 4095)),
    Case("batch", {"logits": Normal((2, 3, 64))}),
    Case("many-rows", {"logits": Normal((70, 256))}),
    Case("special", {"logits": Values(SPECIAL)}),
    Case("last", {"logits": Values(np.arange(200.0)[None])}),
    Case("late-nan", {"logits": Values(np.where(np.arange(200) == 190, np.nan, 1.0)[None])}),
    Case("strided", {"logits": Strided(Normal((5, 65)))}),
    Case("no-rows", {"logits": Normal((0, 8))}),
]
