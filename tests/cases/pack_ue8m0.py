"""Cases of pack_ue8m0."""

import numpy as np

from support.case import Case, Strided, Values


def reference(scales, layout="row"):
    finite = np.isfinite(scales)
    exponents = np.frexp(np.where(finite, scales, 1.0))[1] + 126
    exponents = np.where(finite, np.maximum(exponents, 0), 255)  # of 0 and subnormals 0
    exponents[scales == 0.0] = 0
    words = -(-scales.shape[-1] // 4)
    quads = np.zeros((*scales.shape[:-1], words, 4), np.uint8)
    quads.reshape(*scales.shape[:-1], words * 4)[..., : scales.shape[-1]] = exponents
    return quads.view("<i4")[..., 0]


def powers(*shape):
    return Values(2.0 ** np.random.default_rng(2).integers(-126, 127, shape), "f32")


CASES = [
    *(Case(f"groups-{n}", {"scales": powers(5, n)}) for n in (1, 3, 4, 5, 56)),
    *(
        Case(f"layout-{layout}", {"scales": powers(2, 3, 9)}, {"layout": layout})
        for layout in ("row", "col", "col_aligned4")
    ),
    Case("no-rows", {"scales": powers(0, 5)}),
    Case("no-groups", {"scales": powers(3, 0)}),
    Case("strided", {"scales": Strided(powers(5, 7))}),
    Case("special", {"scales": Values([np.nan, np.inf, 0.0, 2.0**-126, 2.0**127], "f32")}),
    Case("mantissas", {"scales": Values([1.5, 3.0, 0.7], "f32")}),
]
