"""The grid of contract tests: rows x widths x kinds of values x dtypes x machines.

A point of it says how many rows of which width (the last dimension of a result; of a gated
activation's operand it is half), of which values. The operands follow from the signature alone: the
operands of data are of the kind, the others (weights, tables, indices, seeds) are ordinary ones.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from support.calls import numpy_dtype, size_of
from support.case import CLASSES, Array, dtypes_under_test, stored
from support.contract import ISAS, THREADS
from support.pairwise import Row, pairwise

ROWS = (0, 1, 7, 64, 513)
WIDTHS = (1, 7, 64, 576, 1536, 4095, 4096, 7168, 16384)
Op = Mapping[str, Any]
Rng = np.random.Generator


def limits(dtype: str) -> tuple[float, int, int]:
    """The smallest positive value of a dtype, and the exponents of that and of the largest."""
    kind = numpy_dtype(dtype)
    if kind.kind in "iu":
        return 1.0, 0, 6
    about = ml_dtypes.finfo(kind)
    smallest = float(about.smallest_subnormal)
    return smallest, *(int(np.frexp(value)[1]) - 1 for value in (smallest, float(about.max)))


def with_one(values: Array, rng: Rng, value: float) -> Array:
    """The values, in each row one of them replaced."""
    if values.size:
        place = rng.integers(0, values.shape[-1], (*values.shape[:-1], 1))
        np.put_along_axis(values, place, value, axis=-1)
    return values


def normal(rng: Rng, shape: tuple[int, ...], dtype: str) -> Array:
    return rng.standard_normal(shape)


def zeros(rng: Rng, shape: tuple[int, ...], dtype: str) -> Array:
    return np.copysign(0.0, rng.uniform(-1, 1, shape))


def outlier(rng: Rng, shape: tuple[int, ...], dtype: str) -> Array:
    return with_one(normal(rng, shape, dtype), rng, -2e4)


def subnormals(rng: Rng, shape: tuple[int, ...], dtype: str) -> Array:
    return rng.integers(-100, 101, shape) * limits(dtype)[0]


def infinities(rng: Rng, shape: tuple[int, ...], dtype: str) -> Array:
    """One of either sign, or both, in each row."""
    values = normal(rng, shape, dtype)
    with_one(values[0::2], rng, np.inf)
    with_one(values[: 2 * (len(values) // 3)], rng, -np.inf)
    return values


def nan(rng: Rng, shape: tuple[int, ...], dtype: str) -> Array:
    """One in every other row."""
    values = normal(rng, shape, dtype)
    with_one(values[0::2], rng, np.nan)
    return values


def all_equal(rng: Rng, shape: tuple[int, ...], dtype: str) -> Array:
    """Values of two bits, so that a mean of any number of them is exact."""
    values = np.ldexp(1.5, rng.integers(-3, 4, (*shape[:-1], 1)))
    return np.broadcast_to(values * rng.choice([-1, 1], values.shape), shape)


def powers(rng: Rng, shape: tuple[int, ...], dtype: str) -> Array:
    """Rows with the maximum 2^e, in each 16 columns; in 513 rows every e that the dtype has."""
    _, lowest, highest = limits(dtype)
    steps = rng.integers(1 << 20) + 101 * np.arange(shape[0])  # a prime, so that none is left out
    exponents = lowest + steps % (highest - lowest + 1)
    values = rng.uniform(-1, 1, shape)
    values[..., ::16] = rng.choice([-1, 1], values[..., ::16].shape)
    return np.ldexp(values, exponents.reshape(-1, *[1] * (len(shape) - 1)))


KINDS = {
    kind.__name__: kind
    for kind in (normal, zeros, outlier, subnormals, infinities, nan, all_equal, powers)
}

# Operands whose values mean something, by name.
MEANT: dict[str, Callable[[Rng, tuple[int, ...]], Array]] = {
    "seeds": lambda rng, shape: rng.integers(0, 2**64, shape, np.uint64),
    "draws": lambda rng, shape: rng.integers(0, 2**64, shape, np.uint64),
    "top_k": lambda rng, shape: rng.integers(0, 100, shape),
    "top_p": lambda rng, shape: rng.uniform(0, 1, shape),
    "temperature": lambda rng, shape: rng.uniform(0.5, 2, shape),
    "scale": lambda rng, shape: np.full(shape, 0.02),
    "scales": lambda rng, shape: rng.uniform(0.01, 0.1, shape),
}


def data_of(op: Op) -> Any:
    """The operand whose last dimension is as wide as the grid says: the first that has columns."""
    return next(param for param in op["params"] if param["dims"] and not param["bound"])


def legal_width(op: Op, width: int) -> int:
    """The width, or the next one that groups of 16 columns divide where an operator has groups."""
    grouped = any(attr["name"] == "group_size" for attr in op["attrs"])
    return -(-width // 16) * 16 if grouped else width


def sizes_of(op: Op, rows: int, width: int) -> dict[str, int]:
    """The dimensions by their letters, and the attributes that sizes restrict."""
    columns = re.sub(r"^2\*", "", data_of(op)["dims"][-1])
    groups = next(size for size in (128, 64, 32, 16, 1) if width % size == 0)
    others = {"H": 2, "N": 2, "P": 16, "B": rows // 16 + 1, "L": 16, "V": 11}
    others |= {"R": width // 2, "E": width, "G": width // groups}
    return others | {columns: width, "group_size": groups, "k": min(width, 8)}


def takes_kind(op: Op, param: Any) -> bool:
    """Whether an operand is data: it has rows, or the operator's rows are looked up in it."""
    data = data_of(op)
    in_rows = param["leading"] and param["dims"] and param["dtype"] == data["dtype"]
    return in_rows or param["name"] == data["name"]


def operand(op: Op, param: Any, point: Row, sizes: dict[str, int], rng: Rng) -> Array:
    """One operand at a point of the grid."""
    shape = tuple(size_of(dim, sizes) for dim in param["dims"])
    shape = ((point["rows"],) if param["leading"] else ()) + shape
    members = CLASSES.get(param["dtype"].rstrip("123"))
    dtype = param["dtype"].replace("I", "i64")
    if members:  # of a class that the dtype under test is not in, any will do
        dtype = point["input"] if point["input"] in members else members[0]
    if param["bound"]:
        lowest = -1 if param["skips_negative"] else 0
        return stored(rng.integers(lowest, size_of(param["bound"], sizes), shape), dtype)
    if takes_kind(op, param):
        return stored(KINDS[point["kind"]](rng, shape, dtype), dtype)
    if param["name"] in MEANT:
        return stored(MEANT[param["name"]](rng, shape), dtype)
    return stored(normal(rng, shape, dtype), dtype)


def operands_at(op: Op, point: Row) -> tuple[dict[str, Array], dict[str, Any]]:
    """The operands by name, and the attributes; the same for every call."""
    sizes = sizes_of(op, point["rows"], legal_width(op, point["width"]))
    rng = np.random.default_rng(sum(map(ord, str(point))))
    operands = {
        param["name"]: operand(op, param, point, sizes, rng)
        for param in op["params"]
        if point["given"] or not param["optional"]
    }
    known = {"group_size": sizes["group_size"], "k": sizes["k"], **point}
    return operands, {a["name"]: known[a["name"]] for a in op["attrs"] if a["name"] in known}


def variants(op: Op) -> dict[str, Sequence[Any]]:
    """What else an operator can be asked: values of attributes, optional operands given or not."""
    choices = {
        attr["name"]: tuple(attr["choices"])
        for attr in op["attrs"]
        if attr["choices"] and attr["name"] != "group_size"
    }
    optional = any(param["optional"] for param in op["params"])
    return {"given": (True, False) if optional else (True,), **choices}


def factors_of(op: Op) -> dict[str, Sequence[Any]]:
    """What two calls of an operator may differ in."""
    return {
        "rows": ROWS,
        "width": WIDTHS,
        "kind": tuple(KINDS),
        "input": dtypes_under_test(op),
        "isa": tuple(ISAS),
        "threads": THREADS,
        **variants(op),
    }


def covering_points(op: Op, most: int) -> list[Row]:
    """Points that have every pair of values, of at most so many rows x columns each."""
    return _covering(tuple(factors_of(op).items()), most)


@functools.cache
def _covering(factors: tuple[tuple[str, Sequence[Any]], ...], most: int) -> list[Row]:
    """Operators with the same factors share their points."""
    return pairwise(dict(factors), lambda row: row.get("rows", 1) * row.get("width", 1) <= most)


def all_points(op: Op, kind: str, most: int) -> list[Row]:
    """All shapes and dtypes, of at most so many rows x columns, variants in turns."""
    turns = itertools.cycle(
        dict(zip(variants(op), values, strict=True))
        for values in itertools.product(*variants(op).values())
    )
    return [
        {"rows": rows, "width": width, "kind": kind, "input": dtype, **next(turns)}
        for dtype, rows, width in itertools.product(dtypes_under_test(op), ROWS, WIDTHS)
        if rows * width <= most
    ]
