"""Cases of per_token_quant_int8: those of per_token_quant_fp8 without what floats alone have."""

from cases.per_token_group_quant_fp8 import quantize
from cases.per_token_quant_fp8 import PLAIN
from support.case import Case, Normal

FLOOR_OF_VLLM = 127 * 2.0**-23  # scales of at least 2^-23


def reference(x, amax_floor=1e-10):
    return quantize(x, x.shape[-1], 127.0, amax_floor)


CASES = [
    *PLAIN,
    Case("floor", {"x": Normal((3, 100), 1e-5)}, {"amax_floor": FLOOR_OF_VLLM}),
]
