"""Cases of block_scaled_matmul."""

import numpy as np

from support.case import Case, Normal, Strided, Values

BLOCK = 128


def reference(x, w, x_scale, w_scale, bias=None, *, group_size=128, dtype="bf16"):
    rows, depth = w.shape
    row_scales = np.repeat(x_scale, group_size, axis=-1)
    block_scales = np.repeat(np.repeat(w_scale, BLOCK, axis=0), BLOCK, axis=1)[:rows, :depth]
    y = (x * row_scales) @ (w * block_scales).T
    return y if bias is None else y + bias


def product(rows, cols, steps, group_size=128, *, bias=False):
    depth = steps * group_size
    blocks = (-(-cols // BLOCK), -(-depth // BLOCK))
    operands = {
        "x": Normal((*rows, depth), 30.0),
        "w": Normal((cols, depth), 30.0),
        "x_scale": Normal((*rows, steps), 0.01, "f32"),
        "w_scale": Normal(blocks, 0.01, "f32"),  # half of them negative
    }
    return operands | ({"bias": Normal((cols,), dtype="f32")} if bias else {})


SHAPES = [
    # rows, columns, steps of k, group size: ragged in both dimensions of a block
    (1, 1, 1, 128),
    (1, 300, 3, 128),
    (3, 129, 5, 32),
    (13, 128, 3, 64),
    (70, 33, 1, 32),
    (5, 65, 4, 128),
]

CASES = [
    *(
        Case(
            f"{m}x{n}x{s}x{g}-to-{dtype}",
            product((m,), n, s, g, bias=n % 2 == 1),
            {"group_size": g, "dtype": dtype},
        )
        for m, n, s, g in SHAPES
        for dtype in ("f32", "bf16", "f16")
    ),
    Case("batch", product((2, 3), 20, 2)),
    Case("no-rows", product((0,), 20, 2)),
    Case("no-depth", product((3,), 20, 0, bias=True)),
    Case("strided", product((3,), 20, 1) | {"x": Strided(Normal((3, 128), 30.0))}),
    Case(
        "nan",
        product((2,), 3, 1, 32)
        | {"x": Values(np.where(np.arange(64) == 5, np.nan, 1).reshape(2, 32))},
        {"group_size": 32},
    ),
]
