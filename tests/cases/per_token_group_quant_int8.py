"""Cases of per_token_group_quant_int8."""

from cases.per_token_group_quant_fp8 import quantize, with_specials
from support.case import Case, Normal, Strided


def reference(x, group_size=128, layout="row", amax_floor=1e-10):
    return quantize(x, group_size, 127.0, amax_floor)


CASES = [
    *(
        Case(f"group-{g}-{layout}", {"x": Normal((5, 3 * g))}, {"group_size": g, "layout": layout})
        for g, layout in [(16, "row"), (32, "col"), (64, "col_aligned4"), (128, "row")]
    ),
    Case("three-dimensions", {"x": Normal((2, 3, 256))}, {"layout": "col"}),
    Case("many-rows", {"x": Normal((70, 1024))}),
    Case("no-rows", {"x": Normal((0, 128))}),
    Case("no-columns", {"x": Normal((3, 0))}),
    Case("strided", {"x": Strided(Normal((5, 256)))}),
    Case("floor", {"x": Normal((3, 256))}, {"amax_floor": 100.0}),
    Case("special", {"x": with_specials(5, 64)}, {"group_size": 32}),
]
