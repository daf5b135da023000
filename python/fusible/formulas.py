"""Counts that depend on sizes, as formulas: ``2*L + 1``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from fusible import _core

_OPERATIONS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def evaluate(formula: str, sizes: Mapping[str, int]) -> int:
    """The value of a formula of whole numbers and names with ``+ - * //`` and brackets."""

    def value_of(node: Any) -> int:
        match node:
            case ast.Expression(body=body):
                return value_of(body)
            case ast.Constant(value=int() as number) if not isinstance(number, bool):
                return number
            case ast.Name(id=name) if name in sizes:
                return sizes[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _OPERATIONS[type(op)](value_of(left), value_of(right))
        names = ", ".join(sizes) or "none"
        raise _core.ArgumentError(
            f"expect: expected numbers, + - * // and the names given ({names}), got {formula!r}"
        )

    try:
        return value_of(ast.parse(formula, mode="eval"))
    except (SyntaxError, ZeroDivisionError) as error:
        raise _core.ArgumentError(f"expect: {formula!r}: {error}") from error
