"""Cases of static_quant_fp8."""

import numpy as np

from cases.per_token_group_quant_fp8 import CLAMPS
from support.case import Case, Normal, Strided, Values


def reference(x, scale, dtype="e4m3fn", fp8_max=None):
    largest = fp8_max or CLAMPS[dtype]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(x / scale, -largest, largest)


def scaled(*shape, scale=0.02, width=1.0):
    return {"x": Normal(shape, width), "scale": Values([scale], "f32")}


SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, 1e4, -1e4]
PLAIN = [
    *(Case(f"row-{n}", scaled(3, n)) for n in (1, 7, 33, 127, 576, 4095)),
    Case("many-rows", scaled(70, 1024)),
    Case("no-rows", scaled(0, 8)),
    Case("strided", {"x": Strided(Normal((5, 33))), "scale": Values([0.5], "f32")}),
    Case("saturating", scaled(3, 100, scale=1e-3)),
    Case("special", {"x": Values(SPECIAL), "scale": Values([0.1], "f32")}),
    Case("zero-scale", {"x": Values(SPECIAL), "scale": Values([0.0], "f32")}),
]
CASES = [
    *PLAIN,
    *(Case(f"to-{d}", scaled(3, 65), {"dtype": d}) for d in CLAMPS),
    Case("subnormal", scaled(3, 100, scale=50.0)),
    Case("clamp", scaled(3, 100, scale=1e-3), {"fp8_max": 100.0}),
]
