"""Cases of per_token_quant_fp8."""

from cases.per_token_group_quant_fp8 import CLAMPS, quantize, with_specials
from support.case import Case, Normal, Strided

FLOOR_OF_VLLM = 2.0**-9  # scales of at least 1 / (448 * 512)


def reference(x, dtype="e4m3fn", amax_floor=1e-10, fp8_max=None):
    return quantize(x, x.shape[-1], fp8_max or CLAMPS[dtype], amax_floor)


PLAIN = [
    *(Case(f"row-{n}", {"x": Normal((3, n))}) for n in (1, 7, 31, 33, 576, 4095)),
    Case("three-dimensions", {"x": Normal((2, 3, 64))}),
    Case("many-rows", {"x": Normal((70, 1024))}),
    Case("no-rows", {"x": Normal((0, 8))}),
    Case("no-columns", {"x": Normal((3, 0))}),
    Case("strided", {"x": Strided(Normal((5, 33)))}),
    Case("large", {"x": Normal((3, 100), 1e4)}),
    Case("special", {"x": with_specials(5, 33)}),
]
CASES = [
    *PLAIN,
    *(Case(f"to-{d}", {"x": Normal((3, 65))}, {"dtype": d}) for d in CLAMPS),
    Case("clamp", {"x": Normal((3, 100))}, {"fp8_max": 100.0}),
    Case("floor", {"x": Normal((3, 100), 1e-4)}, {"amax_floor": FLOOR_OF_VLLM}),
]
