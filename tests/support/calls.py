"""A legal call of any operator, made from its signature alone."""

from __future__ import annotations

import re
from typing import Any

import ml_dtypes
import numpy as np

from fusible import _core

# Sizes for dimension letters: all different, so that a mix-up shows, and legal where one divides.
SIZES = {"C": 256, "D": 128, "E": 64, "K": 256, "N": 3, "H": 6, "T": 5, "S": 1, "M": 2}
SIZES |= {"P": 8, "B": 4, "V": 11, "R": 32, "L": 9, "G": 16}
LEADING = (2,)

CLASSES = {"F": "f32", "Q8": "e4m3fn", "Q": "e4m3fn", "FQ": "f32", "I": "i64", "A": "f32"}

# Attributes without a default, and operands whose values mean something.
ATTRS: dict[str, dict[str, Any]] = {
    "reshape": {"shape": [-1]},
    "slice": {"stop": 2},
    "topk": {"k": 3},
    "transpose": {"dims": [1, 0]},
    "attention": {"scale": 0.125},
    "latent_attention": {"rank": 3, "scale": 0.125},
}
VALUES: dict[tuple[str, str], list[int]] = {
    ("attention", "query_start"): [0, 5],
    ("attention", "lengths"): [7],
    ("latent_attention", "query_start"): [0, 5],
    ("latent_attention", "lengths"): [7],
}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy or ml_dtypes dtype of a name in graph text."""
    numpy_name = _core.dtypes()[name]
    return np.dtype(getattr(np, numpy_name, None) or getattr(ml_dtypes, numpy_name))


def dtype_of(operand: dict[str, Any], attrs: dict[str, Any]) -> str:
    """A dtype that an operand may have: of its class the first."""
    name = operand["dtype"]
    return CLASSES.get(name.rstrip("123") if name not in CLASSES else name, attrs.get(name, name))


def size_of(dim: str, attrs: dict[str, Any]) -> int:
    """The value of a dimension expression of a signature."""
    names = SIZES | {name: value for name, value in attrs.items() if isinstance(value, int)}
    # ceil(C/g/4): the inner division is exact.
    dim = re.sub(
        r"ceil\((\w+)/(\w+)/(\w+)\)",
        lambda m: f"ceil({size_of(f'{m[1]}/{m[2]}', attrs)}/{m[3]})",
        dim,
    )
    text = re.sub(r"ceil\((\w+)/(\w+)\)", r"(-(-\1//\2))", dim)
    parts = re.split(r"([+*/()-]+)", text)
    values = [str(names.get(part, part)) if part else "" for part in parts]
    return _arithmetic("".join(values).replace("//", "/"))


def _arithmetic(text: str) -> int:
    """The few forms that signatures have: a, a*b, a+b, a/b and (-(-a/b))."""
    ceiling = re.fullmatch(r"\(-\(-(\d+)/(\d+)\)\)", text)
    if ceiling:
        return -(-int(ceiling[1]) // int(ceiling[2]))
    match = re.fullmatch(r"(\d+)(?:([+*/])(\d+))?", text)
    assert match, text
    a, op, b = int(match[1]), match[2], int(match[3] or 0)
    return {None: a, "+": a + b, "*": a * b, "/": a // (b or 1)}[op]


def legal_call(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Operands by name and attributes with which the operator runs."""
    op = _core.find_op(name).describe()
    attrs = {a["name"]: a["default"] for a in op["attrs"] if a["default"] is not None}
    attrs |= ATTRS.get(name, {})
    rng = np.random.default_rng(0)
    operands = {}
    for operand in op["params"]:
        shape = (
            (3, 4) if operand["any_shape"] else tuple(size_of(d, attrs) for d in operand["dims"])
        )
        shape = (LEADING if operand["leading"] else ()) + shape
        dtype = numpy_dtype(dtype_of(operand, attrs))
        if (name, operand["name"]) in VALUES:
            array = np.array(VALUES[name, operand["name"]], dtype)
        elif dtype.kind in "iu":
            array = np.zeros(shape, dtype)
        else:
            array = rng.standard_normal(shape).astype(dtype)
        operands[operand["name"]] = array
    return operands, attrs
