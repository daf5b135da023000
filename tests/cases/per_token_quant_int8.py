"""Cases of per_token_quant_int8."""

from cases.per_token_group_quant_fp8 import quantize, with_specials
from support.case import Case, Normal, Strided

FLOOR_OF_VLLM = 127 * 2.0**-23  # scales of at least 2^-23


def reference(x, amax_floor=1e-10):
    return quantize(x, x.shape[-1], 127.0, amax_floor)


CASES = [
    *(Case(f"row-{n}", {"x": Normal((3, n))}) for n in (1, 7, 33, 576, 4095)),
    Case("three-dimensions", {"x": Normal((2, 3, 64))}),
    Case("many-rows", {"x": Normal((70, 1024))}),
    Case("no-rows", {"x": Normal((0, 8))}),
    Case("no-columns", {"x": Normal((3, 0))}),
    Case("strided", {"x": Strided(Normal((5, 33)))}),
    Case("floor", {"x": Normal((3, 100), 1e-5)}, {"amax_floor": FLOOR_OF_VLLM}),
    Case("special", {"x": with_specials(5, 33)}),
]
