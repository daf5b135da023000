"""A fused operator's parts called one by one: what fusing is measured against."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fusible import ops

Array = np.ndarray[Any, np.dtype[Any]]


def _function(parameters: Sequence[str], lines: Sequence[str]) -> Callable[..., Any]:
    """A Python function of that body: the text of `Equals` calls operators as Python does."""
    text = "\n  ".join([f"def parts({', '.join(parameters)}):", *lines])
    scope = dict(vars(ops))
    exec(text, scope)
    made: Callable[..., Any] = scope["parts"]
    return made


class Parts:
    """The calls of an operator's `Equals` body, on some operands.

    Args:
        signature: what the operator describes itself as.
        operands: arrays by name.
        attrs: what differs from the defaults.
    """

    def __init__(
        self, signature: Mapping[str, Any], operands: Mapping[str, Array], attrs: Mapping[str, Any]
    ) -> None:
        *self._calls, self._last = map(str.strip, signature["equals"].strip().splitlines())
        self._values = {a["name"]: a["default"] for a in signature["attrs"]} | {**attrs, **operands}
        self._made = self._run_once()

    def _run_once(self) -> dict[str, Array]:
        """Every value of the body by its name."""
        names = [name for call in self._calls for name in call.partition(" = ")[0].split(", ")]
        run = _function([*self._values], [*self._calls, f"return [{', '.join(names)}]"])
        return dict(zip(names, run(**self._values), strict=True))

    @property
    def bytes(self) -> int:
        """Bytes that the calls read and write."""
        arrays = {n: v for n, v in self._values.items() if isinstance(v, np.ndarray)} | self._made
        named = (name for call in self._calls for name in re.findall(r"\w+", call))
        return sum(arrays[name].nbytes for name in named if name in arrays)

    def allocating(self) -> Callable[[], Any]:
        """Calls that each make fresh results."""
        run, values = (
            _function([*self._values], [*self._calls, self._last]),
            [*self._values.values()],
        )
        return lambda: run(*values)

    def given(self) -> Callable[[], Any]:
        """Calls that write into memory that is there."""
        outs: list[Any] = []
        lines = []
        for number, call in enumerate(self._calls):
            names = call.partition(" = ")[0].split(", ")
            arrays = [self._made[name] for name in names]
            outs.append(tuple(arrays) if len(arrays) > 1 else arrays[0])
            lines.append(f"{call.removesuffix(')')}, out=out_{number})")
        parameters = [*self._values, *(f"out_{number}" for number in range(len(outs)))]
        run, values = _function(parameters, [*lines, self._last]), [*self._values.values(), *outs]
        return lambda: run(*values)
