"""Cases of per_token_group_quant_fp8."""

import numpy as np

from support.case import Case, Normal, Strided, Values

CLAMPS = {"e4m3fn": 448.0, "e4m3fnuz": 224.0}


def reference(x, group_size=128, dtype="e4m3fn", layout="row", fp8_max=None):
    largest = fp8_max or CLAMPS[dtype]
    groups = x.reshape(*x.shape[:-1], x.shape[-1] // group_size, group_size)
    with np.errstate(invalid="ignore"):
        scales = np.maximum(np.abs(groups).max(axis=-1), 1e-10) / largest
        codes = np.clip(groups / scales[..., None], -largest, largest)
    return codes.reshape(x.shape), scales


def with_specials(rows, columns):
    """Rows that begin with NaN, infinity, zeros only, and a value too small for a scale."""
    values = np.random.default_rng(3).standard_normal((rows, columns))
    values[0, 0], values[1, 5], values[2], values[3] = np.nan, np.inf, 0.0, 0.0
    values[3, 1] = 1e-12
    return Values(values)


CASES = [
    *(
        Case(f"group-{g}-{d}-{layout}", {"x": Normal((5, 3 * g))}, attrs)
        for g in (32, 64, 128)
        for d in CLAMPS
        for layout in ("row", "col")
        for attrs in [{"group_size": g, "dtype": d, "layout": layout}]
    ),
    Case("defaults", {"x": Normal((3, 4096))}),
    Case("many-rows", {"x": Normal((70, 1024))}),
    Case("three-dimensions", {"x": Normal((2, 3, 256))}, {"layout": "col"}),
    Case("no-rows", {"x": Normal((0, 128))}),
    Case("no-columns", {"x": Normal((3, 0))}),
    Case("strided", {"x": Strided(Normal((5, 256)))}),
    Case("large", {"x": Normal((3, 256), 1e4)}),
    Case("small", {"x": Normal((3, 256), 1e-4)}),
    Case("clamp", {"x": Normal((3, 256))}, {"fp8_max": 100.0}),
    Case("clamp-largest", {"x": Normal((3, 256))}, {"fp8_max": 240.0, "dtype": "e4m3fnuz"}),
    Case("special", {"x": with_specials(5, 64)}, {"group_size": 32}),
    Case("special-fnuz", {"x": with_specials(5, 64)}, {"group_size": 32, "dtype": "e4m3fnuz"}),
]
