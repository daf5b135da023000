"""Cases of slice."""

from support.case import Case, Normal


def reference(x, stop, start=0, dim=-1):
    index = [slice(None)] * x.ndim
    index[dim] = slice(start, stop)
    return x[tuple(index)]


CASES = [
    Case("columns", {"x": Normal((3, 64))}, {"start": 16, "stop": 48}),
    Case("rows", {"x": Normal((5, 7))}, {"dim": 0, "start": 1, "stop": 4}),
    Case("nothing", {"x": Normal((5, 7))}, {"start": 3, "stop": 3}),
    Case("everything", {"x": Normal((5, 7))}, {"stop": 7}),
    Case("middle", {"x": Normal((2, 6, 3))}, {"dim": -2, "start": 2, "stop": 5}),
]
