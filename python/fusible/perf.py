"""What the products and the attention of a graph have to do, and how this package runs them.

for work in fusible.perf.works(graph, {"T": 512}):
    print(work.result, work.plan, work.packed, work.intensity)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fusible import _core

ATTENTION = ("attention", "latent_attention")

UNPACKED = (
    "not packed, which is slower: make {} a constant of the graph, so that the executable packs it "
    "when it is prepared, or call the operator with fusible.pack_weight's"
)


@dataclass(frozen=True)
class Work:
    """One product, or one attention, with concrete sizes.

    `plan` of a product is one of the names in csrc/kernels/matmul_plan.h ("dots", "register_dots",
    "registers", "panels", "codes"); it is "blocks" of attention, and "" where another target runs
    it. `packed` is None where there is no weight.
    Flops and bytes of attention count every key that the table has room for: the most there can be.
    """

    operator: str
    result: str
    rows: int
    dims: dict[str, int]
    plan: str
    packed: bool | None
    weight: str
    weight_dtype: str
    weight_bytes: int
    bytes: int
    flops: int
    advice: str

    @property
    def intensity(self) -> float:
        """Flops for each byte that has to be moved."""
        return self.flops / self.bytes if self.bytes else 0.0


def symbols(graph: _core.Graph) -> list[str]:
    """The symbols in the sizes of a graph's inputs, in order."""
    found: dict[str, None] = {}
    for value in graph.inputs:
        for size in value.shape:
            if isinstance(size, str):
                found.update(dict.fromkeys(re.findall(r"[A-Za-z_]\w*", size)))
    return list(found)


def works(
    graph: _core.Graph, sizes: Mapping[str, int], *, target: str = "cpu", threads: int | None = None
) -> list[Work]:
    """The work of each product and attention, in the order of the graph.

    Args:
        graph: fused or not; what runs inside fused operators is listed too.
        sizes: a number for each symbol.
        target: what it is for. Plans are this package's: none for other targets than "cpu".
        threads: how many threads plans are for (default: as many as calls use).

    Raises:
        ArgumentError: a symbol has no size, or a size is for no symbol of the graph; threads is
            below 1.
    """
    if threads is not None and threads < 1:
        raise _core.ArgumentError(f"threads: expected at least 1, got {threads}")
    known = symbols(graph)
    lacking = [name for name in known if name not in sizes]
    if lacking:
        raise _core.ArgumentError(f"sizes: expected a number for {', '.join(lacking)}, got none")
    for name, size in sizes.items():
        if name not in known:
            have = f"one of {', '.join(known)}" if known else "none, as every size is a number"
            raise _core.ArgumentError(f"sizes: {name}: expected {have}, got {name}={size}")
    machine = _core.matmul_machine() | ({} if threads is None else {"threads": threads})
    return [
        _work(each, machine if target == "cpu" else None)
        for each in _core.kernel_work(graph, sizes)
        if each.weight or each.op in ATTENTION
    ]


def _work(each: _core.KernelWork, machine: Mapping[str, Any] | None) -> Work:
    dims = dict(each.dims)
    attention = each.op in ATTENTION
    plan = "" if machine is None else "blocks" if attention else _plan(each, machine)
    packed = bool(each.packed) if each.weight else None
    return Work(
        operator=each.op,
        result=each.result,
        rows=dims["T"] if attention else each.rows,
        dims=dims,
        plan=plan,
        packed=packed,
        weight=each.weight,
        weight_dtype=each.weight_dtype,
        weight_bytes=each.weight_bytes,
        bytes=each.bytes,
        flops=_attention_flops(each.op, dims) if attention else each.flops,
        advice=UNPACKED.format(each.weight) if machine is not None and packed is False else "",
    )


def _plan(each: _core.KernelWork, machine: Mapping[str, Any]) -> str:
    dims = dict(each.dims)
    plan = _core.matmul_plan(
        each.rows,
        dims["N"],
        dims["K"],
        rows_dtype=each.rows_dtype,
        weight_dtype=each.weight_dtype,
        packed=each.packed,
        **machine,
    )
    return str(plan["form"])


def _attention_flops(op: str, dims: Mapping[str, int]) -> int:
    """Of scores and values: two for each element of a key and of a value, query head and key."""
    value = dims["E"] if op == "attention" else dims["D"]
    return 2 * dims["T"] * dims["H"] * (dims["D"] + value) * dims["M"] * dims["P"]
