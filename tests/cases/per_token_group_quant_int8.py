"""Cases of per_token_group_quant_int8: those of per_token_group_quant_fp8 that all formats have."""

from cases.per_token_group_quant_fp8 import PLAIN, quantize
from support.case import Case, Normal


def reference(x, group_size=128, layout="row", amax_floor=1e-10):
    return quantize(x, group_size, 127.0, amax_floor)


CASES = [
    *PLAIN,
    *(
        Case(f"group-{g}-{layout}", {"x": Normal((5, 3 * g))}, {"group_size": g, "layout": layout})
        for g, layout in [(16, "row"), (32, "col"), (64, "col_aligned4"), (128, "row")]
    ),
]
