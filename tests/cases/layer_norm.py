"""Cases of layer_norm: those of rms_norm, with and without weight and bias."""

import numpy as np

from support.case import Case, Normal, Strided, Values
from support.sums import in_range_of_f32, row_sums


def reference(x, weight=None, bias=None, eps=1e-5):
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = in_range_of_f32(row_sums(x) / x.shape[-1])
        centered = in_range_of_f32(x - mean)
        variance = row_sums(centered * centered) / x.shape[-1]
        y = centered / np.sqrt(variance + np.float64(np.float32(eps)))
        y = y if weight is None else y * weight
        return y if bias is None else y + bias


def affine(*shape, scale=1.0):
    columns = shape[-1:]
    return {"x": Normal(shape, scale), "weight": Normal(columns), "bias": Normal(columns)}


CASES = [
    *(Case(f"row-{n}", affine(3, n)) for n in (1, 2, 7, 31, 33, 127, 576, 4095)),
    Case("many-rows", affine(70, 1024)),
    Case("heads", affine(3, 4, 64)),
    Case("no-rows", affine(0, 8)),
    Case("eps", affine(2, 40), {"eps": 0.1}),
    Case("strided", {**affine(5, 33), "x": Strided(Normal((5, 33)))}),
    Case("large", affine(2, 100, scale=1e4)),
    Case("small", affine(2, 100, scale=1e-4)),
    Case("all-equal", {**affine(2, 64), "x": Values(np.full((2, 64), 3.0))}),
    Case("zeros", {**affine(2, 33), "x": Values(np.zeros((2, 33)))}),
    Case(
        "nan-and-infinity",
        {**affine(3, 3), "x": Values([[np.nan, 1.0, 2.0], [np.inf, 1.0, 2.0], [1.0, 2.0, 3.0]])},
    ),
    Case("no-bias", {"x": Normal((3, 65)), "weight": Normal((65,))}),
    Case("no-weight", {"x": Normal((3, 65)), "bias": Normal((65,))}),
    Case("plain", {"x": Normal((3, 65))}),
]
