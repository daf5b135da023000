"""Cases of static_quant_int8: those of static_quant_fp8 that all formats have, and halves."""

import numpy as np

from cases.static_quant_fp8 import PLAIN
from support.case import Case, Values


def reference(x, scale):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(x / scale, -128.0, 127.0)


CASES = [
    *PLAIN,
    Case("halves", {"x": Values(np.arange(-256, 256) / 2), "scale": Values([1.0], "f32")}),
]
