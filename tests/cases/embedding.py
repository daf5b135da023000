"""Cases of embedding."""

from support.case import Case, Integers, Normal


def reference(ids, table):
    return table[ids]


def look_up(shape, rows, columns, dtype="i64"):
    return {"ids": Integers(shape, 0, rows, dtype), "table": Normal((rows, columns))}


CASES = [
    Case("plain", look_up((9,), 11, 64)),
    Case("i32", look_up((9,), 11, 64, "i32")),
    Case("batch", look_up((2, 5), 3, 33)),
    Case("one-column", look_up((6,), 4, 1)),
    Case("no-ids", look_up((0,), 4, 8)),
    Case("no-columns", look_up((3,), 4, 0)),
    Case("many", look_up((300,), 50, 576)),
]
