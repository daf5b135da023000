"""Cases of embedding_group_dequant."""

from support.case import Case, Integers, Normal


def look_up(shape, rows, columns, groups, index="i64"):
    return {
        "ids": Integers(shape, 0, rows, index),
        "table": Normal((rows, columns), 30.0),
        "scales": Normal((rows, groups), 0.1, "f32"),
    }


CASES = [
    Case("row-scales", look_up((9,), 11, 65, 1)),
    Case("groups", look_up((9,), 11, 576, 9, "i32"), {"dtype": "f32"}),
    Case("batch", look_up((2, 5), 3, 96, 3), {"dtype": "f16"}),
    Case("no-ids", look_up((0,), 4, 8, 1)),
    Case("many", look_up((300,), 50, 256, 2)),
]
