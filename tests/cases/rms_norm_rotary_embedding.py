"""Cases of rms_norm_rotary_embedding."""

from support.case import Case, Integers, Normal, Strided


def rotated(*shape, columns, table=None):
    return {
        "x": Normal(shape),
        "weight": Normal(shape[-1:]),
        "positions": Integers(shape[:-2], 0, 12),
        "cos_sin": Normal((12, columns), 0.7, table),
    }


CASES = [
    Case("heads", rotated(5, 3, 128, columns=128)),
    Case("interleaved", rotated(5, 3, 64, columns=32), {"style": "interleaved", "eps": 1e-5}),
    Case("f32-table", rotated(5, 3, 64, columns=64, table="f32")),
    Case("batch", rotated(2, 3, 4, 33, columns=32)),
    Case("no-rows", rotated(0, 3, 64, columns=64)),
    Case("many-rows", rotated(70, 9, 64, columns=64)),
    Case("strided", rotated(5, 1, 64, columns=64) | {"x": Strided(Normal((5, 1, 64)))}),
]
