"""A fused operator's parts called one by one: what fusing is measured against."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.plain_calls import written
from fusible import ops

Array = np.ndarray[Any, np.dtype[Any]]


class Parts:
    """The calls of an operator's `Equals` body, on some operands: its text is Python as well.

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
        self._scope = vars(ops) | self._values
        self._made = self._run_once()

    def _run_once(self) -> dict[str, Array]:
        """Every value of the body by its name."""
        names = [name for call in self._calls for name in call.partition(" = ")[0].split(", ")]
        run = written([*self._calls, f"return [{', '.join(names)}]"], self._scope)
        return dict(zip(names, run(), strict=True))

    @property
    def bytes(self) -> int:
        """Bytes that the calls read and write."""
        arrays = {n: v for n, v in self._values.items() if isinstance(v, np.ndarray)} | self._made
        named = (name for call in self._calls for name in re.findall(r"\w+", call))
        return sum(arrays[name].nbytes for name in named if name in arrays)

    def allocating(self) -> Callable[[], Any]:
        """Calls that each make fresh results."""
        return written([*self._calls, self._last], self._scope)

    def given(self) -> Callable[[], Any]:
        """Calls that write into memory that is there."""
        outs: dict[str, Any] = {}
        lines = []
        for number, call in enumerate(self._calls):
            arrays = [self._made[name] for name in call.partition(" = ")[0].split(", ")]
            outs[f"out_{number}"] = tuple(arrays) if len(arrays) > 1 else arrays[0]
            lines.append(f"{call.removesuffix(')')}, out=out_{number})")
        return written([*lines, self._last], self._scope | outs)
