"""Cases of int8_scaled_mm."""

import numpy as np

from support.case import Case, Integers, Normal, Strided, Values


def reference(x, w, x_scale, w_scale, bias=None, *, dtype="bf16"):
    with np.errstate(invalid="ignore"):
        y = (x.astype(np.int64) @ w.astype(np.int64).T) * x_scale * w_scale
    return y if bias is None else y + bias


def codes(shape):
    return Integers(shape, -128, 128, "i8")


def product(rows, cols, depth, *, bias=False):
    operands = {
        "x": codes((*rows, depth)),
        "w": codes((cols, depth)),
        "x_scale": Normal((*rows, 1), 0.01, "f32"),
        "w_scale": Normal((cols,), 0.01, "f32"),  # half of them negative
    }
    return operands | ({"bias": Normal((cols,), dtype="f32")} if bias else {})


def all_lowest(depth):
    """The largest sums: every product is 2^14."""
    lowest = Values(np.full((2, depth), -128), "i8")
    return {"x": lowest, "w": lowest} | {
        "x_scale": Values(np.ones((2, 1)), "f32"),
        "w_scale": Values(np.ones(2), "f32"),
    }


SHAPES = [
    # rows, columns, depth: around the sizes of words, vectors, panels, blocks of depth, tiles
    (1, 1, 1),
    (1, 33, 64),
    (2, 7, 129),
    (3, 64, 7),
    (5, 65, 511),
    (13, 31, 512),
    (25, 96, 33),
    (130, 40, 1030),
    (520, 5, 16),
    (1, 300, 576),
]

CASES = [
    *(
        Case(f"{m}x{n}x{k}-to-{dtype}", product((m,), n, k, bias=n % 2 == 1), {"dtype": dtype})
        for m, n, k in SHAPES
        for dtype in ("f32", "bf16", "f16")
    ),
    Case("batch", product((2, 3), 20, 40)),
    Case("one-row-without-batch", product((), 20, 40, bias=True)),
    Case("no-rows", product((0,), 20, 40)),
    Case("no-columns", product((3,), 0, 40)),
    Case("no-depth", product((3,), 20, 0)),
    Case("no-depth-but-bias", product((3,), 20, 0, bias=True)),
    Case("strided", product((3,), 20, 40) | {"x": Strided(codes((3, 40)))}),
    Case(
        "uneven-rows",
        product((3,), 20, 40)
        | {"x": Strided(Strided(codes((2, 3, 40)))), "x_scale": Normal((2, 3, 1), 0.01, "f32")},
    ),
    Case("scales-apart", product((3,), 20, 40) | {"x_scale": Strided(Normal((3, 1), 1.0, "f32"))}),
    Case("largest-sums", all_lowest(131071), {"dtype": "f32"}),
    Case(
        "special-scales",
        product((3,), 3, 8)
        | {
            "x": Values(np.ones((3, 8)), "i8"),
            "x_scale": Values([[np.nan], [np.inf], [1.0]], "f32"),
            "w_scale": Values([1.0, np.nan, -np.inf], "f32"),
        },
    ),
]
