"""Cases of per_token_group_quant_fp8."""

import numpy as np

from support.case import Case, Normal, Strided, Values

CLAMPS = {"e4m3fn": 448.0, "e4m3fnuz": 224.0, "e5m2": 57344.0}
LAYOUTS = ("row", "col", "col_aligned4")


def power_at_or_above(values):
    """The power of two at or above each value; NaN and infinity stay."""
    mantissas, exponents = np.frexp(values)
    powers = np.ldexp(1.0, exponents - (mantissas == 0.5))
    return np.where(np.isfinite(values), powers, values)


def quantize(x, size, largest, floor, ue8m0=False):
    """Quotients by the scales of groups of `size` elements, clamped, and the scales."""
    groups = x.reshape(*x.shape[:-1], x.shape[-1] // size if size else 1, size)
    with np.errstate(invalid="ignore"):
        amax = np.abs(groups).max(axis=-1, initial=0.0)
        scales = np.maximum(amax, np.float64(np.float32(floor))) / largest
        scales = power_at_or_above(scales) if ue8m0 else scales
        codes = np.clip(groups / scales[..., None], -largest, largest)
    return codes.reshape(x.shape), scales


def reference(
    x,
    *,
    group_size=128,
    dtype="e4m3fn",
    layout="row",
    scale_format="float",
    amax_floor=1e-10,
    fp8_max=None,
):
    largest = fp8_max or CLAMPS[dtype]
    return quantize(x, group_size, largest, amax_floor, scale_format == "ue8m0")


def with_specials(rows, columns):
    """Rows that begin with NaN, infinity, zeros only, and a value too small for a scale."""
    values = np.random.default_rng(3).standard_normal((rows, columns))
    values[0, 0], values[1, 5], values[2], values[3] = np.nan, np.inf, 0.0, 0.0
    values[3, 1] = 1e-12
    return Values(values)


# Every pair of group size, format, layout and kind of scale.
COVERING = [
    (16, "e4m3fn", "row", "float"),
    (16, "e4m3fnuz", "col", "ue8m0"),
    (16, "e5m2", "col_aligned4", "float"),
    (32, "e4m3fn", "col", "ue8m0"),
    (32, "e4m3fnuz", "col_aligned4", "float"),
    (32, "e5m2", "row", "ue8m0"),
    (64, "e4m3fn", "col_aligned4", "ue8m0"),
    (64, "e4m3fnuz", "row", "float"),
    (64, "e5m2", "col", "float"),
    (128, "e4m3fn", "row", "ue8m0"),
    (128, "e4m3fnuz", "col", "float"),
    (128, "e5m2", "col_aligned4", "ue8m0"),
]
PLAIN = [
    Case("defaults", {"x": Normal((3, 4096))}),
    Case("many-rows", {"x": Normal((70, 1024))}),
    Case("three-dimensions", {"x": Normal((2, 3, 256))}, {"layout": "col"}),
    Case("three-dimensions-aligned", {"x": Normal((2, 3, 256))}, {"layout": "col_aligned4"}),
    Case("no-rows", {"x": Normal((0, 128))}),
    Case("no-columns", {"x": Normal((3, 0))}),
    Case("strided", {"x": Strided(Normal((5, 256)))}),
    Case("large", {"x": Normal((3, 256), 1e4)}),
    Case("small", {"x": Normal((3, 256), 1e-4)}),
    Case("floor", {"x": Normal((3, 256))}, {"amax_floor": 100.0}),
    Case("special", {"x": with_specials(5, 64)}, {"group_size": 32}),
]
CASES = [
    *PLAIN,
    *(
        Case(
            f"group-{g}-{d}-{layout}-{scales}",
            {"x": Normal((5, 3 * g))},
            {"group_size": g, "dtype": d, "layout": layout, "scale_format": scales},
        )
        for g, d, layout, scales in COVERING
    ),
    Case("clamp", {"x": Normal((3, 256))}, {"fp8_max": 100.0}),
    Case("clamp-largest", {"x": Normal((3, 256))}, {"fp8_max": 240.0, "dtype": "e4m3fnuz"}),
    Case("clamp-power", {"x": Normal((3, 256))}, {"fp8_max": 300.0, "scale_format": "ue8m0"}),
    Case("floor-power", {"x": Normal((3, 256))}, {"amax_floor": 3.0, "scale_format": "ue8m0"}),
    *(
        Case(f"special-{d}", {"x": with_specials(5, 64)}, {"group_size": 32, "dtype": d})
        for d in ("e4m3fnuz", "e5m2")
    ),
    Case("special-power", {"x": with_specials(5, 64)}, {"group_size": 32, "scale_format": "ue8m0"}),
]
