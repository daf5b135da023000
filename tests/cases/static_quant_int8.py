"""Cases of static_quant_int8."""

import numpy as np

from cases.static_quant_fp8 import SPECIAL, scaled
from support.case import Case, Normal, Strided, Values


def reference(x, scale):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(x / scale, -128.0, 127.0)


CASES = [
    *(Case(f"row-{n}", scaled(3, n)) for n in (1, 7, 33, 127, 576, 4095)),
    Case("many-rows", scaled(70, 1024)),
    Case("no-rows", scaled(0, 8)),
    Case("strided", {"x": Strided(Normal((5, 33))), "scale": Values([0.5], "f32")}),
    Case("saturating", scaled(3, 100, scale=1e-3)),
    Case("halves", {"x": Values(np.arange(-256, 256) / 2), "scale": Values([1.0], "f32")}),
    Case("special", {"x": Values(SPECIAL), "scale": Values([0.1], "f32")}),
    Case("zero-scale", {"x": Values(SPECIAL), "scale": Values([0.0], "f32")}),
]
