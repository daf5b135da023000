"""Cases of per_token_group_quant_fp8_packed, whose meaning is its body."""

from cases.per_token_group_quant_fp8 import LAYOUTS, with_specials
from support.case import Case, Normal

CASES = [
    *(Case(f"group-{g}", {"x": Normal((5, 3 * g))}, {"group_size": g}) for g in (16, 32, 64, 128)),
    *(
        Case(f"layout-{layout}", {"x": Normal((2, 3, 640))}, {"layout": layout})
        for layout in LAYOUTS
    ),
    Case("to-e5m2", {"x": Normal((3, 256))}, {"dtype": "e5m2"}),
    Case("no-rows", {"x": Normal((0, 256))}),
    Case("special", {"x": with_specials(5, 64)}, {"group_size": 32}),
]
