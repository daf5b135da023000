"""Cases of matmul."""

import numpy as np

from support.case import Case, Normal, Strided, Values


def reference(x, w, bias=None):
    with np.errstate(invalid="ignore"):
        y = x @ w.T
    return y if bias is None else y + bias


def product(rows, cols, depth, *, bias=False):
    operands = {"x": Normal((*rows, depth)), "w": Normal((cols, depth))}
    return operands | ({"bias": Normal((cols,))} if bias else {})


def special():
    x = np.ones((4, 9))
    x[0, 3], x[1, 8], x[2, 0] = np.nan, np.inf, -np.inf
    return x


SHAPES = [
    # rows, columns, depth: around the sizes of vectors, panels, blocks of depth and tiles of rows
    (1, 1, 1),
    (1, 33, 64),
    (2, 7, 129),
    (3, 64, 7),
    (5, 65, 127),
    (13, 31, 128),
    (25, 96, 33),
    (130, 40, 300),
    (520, 5, 16),
    (1, 300, 576),
]

CASES = [
    *(Case(f"{m}x{n}x{k}", product((m,), n, k, bias=n % 2 == 1)) for m, n, k in SHAPES),
    Case("batch", product((2, 3), 20, 40)),
    Case("one-row-without-batch", product((), 20, 40, bias=True)),
    Case("no-rows", product((0,), 20, 40)),
    Case("no-columns", product((3,), 0, 40)),
    Case("no-depth", product((3,), 20, 0)),
    Case("no-depth-but-bias", product((3,), 20, 0, bias=True)),
    Case("strided", product((3,), 20, 40) | {"x": Strided(Normal((3, 40)))}),
    Case("uneven-rows", product((3,), 20, 40) | {"x": Strided(Strided(Normal((2, 3, 40))))}),
    Case("special", {"x": Values(special()), "w": Values(np.full((5, 9), 0.5))}),
    Case("overflow", {"x": Values(np.full((2, 64), 200.0)), "w": Values(np.full((3, 64), 200.0))}),
    Case("tiny", {"x": Normal((3, 40), 1e-4), "w": Normal((9, 40), 1e-3)}),
]
