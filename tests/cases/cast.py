"""Cases of cast; every code of every format is in tests/kernels/test_formats.py."""

from support.case import Case, Normal, Strided, Values

FORMATS = ("f32", "bf16", "f16", "e4m3fn", "e4m3fnuz", "e5m2")
SPECIAL = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 464.0, -500.0, 65520.0, 1e-9]


def reference(x, dtype="bf16"):
    return x


CASES = [
    *(Case(f"to-{d}", {"x": Normal((3, 100), 20.0)}, {"dtype": d}) for d in FORMATS),
    *(Case(f"small-to-{d}", {"x": Normal((3, 33), 1e-2)}, {"dtype": d}) for d in FORMATS),
    *(Case(f"special-to-{d}", {"x": Values(SPECIAL)}, {"dtype": d}) for d in FORMATS),
    Case("strided", {"x": Strided(Normal((5, 7)))}),
    Case("no-rows", {"x": Normal((0, 7))}),
    Case("many-rows", {"x": Normal((70, 1024))}, {"dtype": "e4m3fn"}),
]
