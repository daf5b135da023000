"""Cases of rotary_embedding."""

import numpy as np

from support.case import Case, Integers, Normal, Strided
from support.sums import f32


def reference(x, positions, cos_sin, style="neox"):
    half = cos_sin.shape[-1] // 2
    rows = cos_sin[positions][..., None, :]
    cos, sin = rows[..., :half], rows[..., half:]
    neox = style == "neox"
    first = slice(0, half) if neox else slice(0, 2 * half, 2)
    second = slice(half, 2 * half) if neox else slice(1, 2 * half, 2)
    y = x.copy()
    with np.errstate(invalid="ignore"):
        y[..., first] = f32(x[..., first] * cos) - f32(x[..., second] * sin)
        y[..., second] = f32(x[..., second] * cos) + f32(x[..., first] * sin)
    return y


def rotated(*shape, columns, dtype=None, index="i64"):
    return {
        "x": Normal(shape),
        "positions": Integers(shape[:-2], 0, 12, index),
        "cos_sin": Normal((12, columns), 0.7, dtype),
    }


CASES = [
    *(
        Case(f"{style}-{columns}-of-{size}", rotated(5, 3, size, columns=columns), {"style": style})
        for style in ("neox", "interleaved")
        for size, columns in ((64, 64), (128, 128), (80, 80), (64, 16), (9, 6), (2, 2), (7, 0))
    ),
    Case("f32-table", rotated(5, 3, 64, columns=64, dtype="f32")),
    Case("f16-table", rotated(5, 3, 64, columns=64, dtype="f16"), {"style": "interleaved"}),
    Case("i32-positions", rotated(5, 3, 64, columns=64, index="i32")),
    Case("batch", rotated(2, 3, 4, 32, columns=32)),
    Case("no-rows", rotated(0, 3, 64, columns=64)),
    Case("many-rows", rotated(70, 9, 64, columns=64)),
    Case("one-head", rotated(6, 1, 33, columns=32)),
    Case(
        "strided",
        {
            "x": Strided(Normal((5, 1, 64))),
            "positions": Integers((5,), 0, 12),
            "cos_sin": Normal((12, 64)),
        },
    ),
]
