"""Calls written out as their users write them, from operands that are known at run time only.

`f(*arrays, **attrs, out=out)`, or a partial of names, is not `f(x, weight, eps=eps, out=out)`: the
interpreter makes a tuple and a dict and takes them apart again. On a Zen 3 with Python 3.11 that is
0.6 us, a third of what a fused norm of one row takes. So nobody here is called like that: not we,
not our parts, not the peers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def written(lines: Sequence[str], names: Mapping[str, Any]) -> Callable[[], Any]:
    """A function without parameters.

    Args:
        lines: its body.
        names: what the body's names stand for.
    """
    scope = dict(names)
    exec("\n  ".join(["def call():", *lines]), scope)
    made: Callable[[], Any] = scope["call"]
    return made


def plain_call(
    function: Callable[..., Any],
    operands: Mapping[str, Any],
    attrs: Mapping[str, Any],
    out: Any = None,
) -> Callable[[], Any]:
    """A call of operands by position and attributes by name, with `out=` where it is given."""
    named = {**attrs, "out": out} if out is not None else attrs
    arguments = [*operands, *(f"{name}={name}" for name in named)]
    line = f"return function({', '.join(arguments)})"
    return written([line], {**operands, **named, "function": function})
