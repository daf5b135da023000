"""Cases of w8a16_block_fp8_matmul."""

import numpy as np

from cases import block_scaled_matmul
from support.case import Case, Normal, Strided, Values

BLOCK = block_scaled_matmul.BLOCK
FORMATS = ("e4m3fn", "e4m3fnuz", "e5m2")


def reference(x, w, w_scale, bias=None):
    ones = np.ones((*x.shape[:-1], -(-x.shape[-1] // BLOCK)))
    padded = [np.pad(a, [*[(0, 0)] * (a.ndim - 1), (0, -a.shape[-1] % BLOCK)]) for a in (x, w)]
    return block_scaled_matmul.reference(*padded, ones, w_scale, bias)


def product(rows, cols, depth, dtype="e4m3fn", *, bias=False):
    operands = {
        "x": Normal((*rows, depth)),
        "w": Normal((cols, depth), 30.0, dtype),
        "w_scale": Normal((-(-cols // BLOCK), -(-depth // BLOCK)), 0.01, "f32"),
    }
    return operands | ({"bias": Normal((cols,), dtype="f32")} if bias else {})


SHAPES = [
    # rows, columns, depth: ragged in both dimensions of a block, odd, below a word
    (1, 1, 1),
    (1, 300, 576),
    (2, 129, 131),
    (3, 7, 3),
    (13, 128, 257),
    (70, 33, 127),
]

CASES = [
    *(
        Case(f"{m}x{n}x{k}-of-{dtype}", product((m,), n, k, dtype, bias=n % 2 == 1))
        for m, n, k in SHAPES
        for dtype in FORMATS
    ),
    Case("batch", product((2, 3), 20, 200)),
    Case("one-row-without-batch", product((), 20, 40, bias=True)),
    Case("no-rows", product((0,), 20, 40)),
    Case("no-columns", product((3,), 0, 40)),
    Case("no-depth-but-bias", product((3,), 20, 0, bias=True)),
    Case("strided", product((3,), 20, 140) | {"x": Strided(Normal((3, 140)))}),
    Case(
        "nan-in-a-row",
        product((2,), 3, 40)
        | {"x": Values(np.where(np.arange(80) == 5, np.nan, 1).reshape(2, 40))},
    ),
    Case(
        "nan-in-the-weight",
        product((2,), 3, 40)
        | {"w": Values(np.where(np.arange(120) == 50, np.nan, 1).reshape(3, 40), "e4m3fn")},
    ),
    Case("tiny", product((3,), 20, 200) | {"x": Normal((3, 200), 1e-36)}),
]
