"""What fusing, planning and threads are worth, as ratios by turns in one process.

A floor is what has to hold on any machine: some way below what was measured with AVX2 and AVX-512,
one thread and two (0.9 to 1.2 of programs, 3.9 to 5.4 of the chain: 24 to 44 before single calls
were made short). So a breach is one of the code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import fusible
from fusible import ops

if TYPE_CHECKING:
    from fusible.gate.gauge import Gate

Array = NDArray[Any]

UNFUSED = "drop-dead"  # a pipeline that leaves every operator as it is
WIDTH, GROUP = 4096, 128


def rows(count: int, seed: int = 0) -> Array:
    """Normally distributed bf16, that many rows of them."""
    values = np.random.default_rng(seed).standard_normal((count, WIDTH), np.float32)
    return values.astype(ml_dtypes.bfloat16)


def add_norm_quant(x: Any, residual: Any, weight: Any) -> Any:
    """Residual, norm and fp8 groups, as between the layers of a quantized model."""
    total = ops.add(x, residual)
    q, s = ops.per_token_group_quant_fp8(ops.rms_norm(total, weight), group_size=GROUP)
    return q, s, total


def gate_and_quant(x: Any) -> Any:
    """The activation of a quantized model's MLP."""
    return ops.per_token_group_quant_fp8(ops.silu_and_mul(x), group_size=GROUP)


def chain(x: Any) -> Any:
    """Forty operators on a few numbers: all that is measured is what stands around them."""
    for _ in range(40):
        x = ops.mul(x, by=1.0001)
    return x


def graph_of(function: Callable[..., Any], names: Sequence[str]) -> fusible.Graph:
    """The graph of a function of rows and, where it has one, a weight."""
    about = {"weight": fusible.spec(f"bf16[{WIDTH}]", constant=True)}
    some = fusible.spec(f"bf16[T, {WIDTH}]")
    return fusible.trace(function, **{name: about.get(name, some) for name in names})


CASES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "add_norm_quant": (add_norm_quant, ("x", "residual", "weight")),
    "silu_quant": (gate_and_quant, ("x",)),
}


def inputs_of(names: Sequence[str], count: int) -> dict[str, Array]:
    """Arguments of a case but its weight."""
    return {name: rows(count, seed) for seed, name in enumerate(names) if name != "weight"}


# Case, rows, floor of unfused / fused as programs.
FUSED = [("add_norm_quant", 64, 0.75), ("add_norm_quant", 4096, 0.8), ("silu_quant", 4096, 0.8)]


@pytest.mark.parametrize(("case", "count", "floor"), FUSED)
def test_a_fused_program_beside_its_parts(gate: Gate, case: str, count: int, floor: float) -> None:
    """The same graph, fused and as it is, both as programs."""
    function, names = CASES[case]
    graph = graph_of(function, names)
    weights = {"weight": rows(1)[0]} if "weight" in names else {}
    fused, parts = (
        fusible.compile(fusible.optimize(graph, "cpu", pipeline), weights=weights)
        for pipeline in (None, UNFUSED)
    )
    inputs = inputs_of(names, count)
    gate.faster(lambda: fused(**inputs), lambda: parts(**inputs), at_least=floor)


def test_a_fused_operator_beside_its_parts_called_one_by_one(gate: Gate) -> None:
    """One call from Python against three, of a row as in decoding."""
    x, residual, weight = rows(1), rows(1, 1), rows(1, 2)[0]
    gate.faster(
        lambda: ops.fused_add_rms_norm_group_quant_fp8(x, residual, weight, group_size=GROUP),
        lambda: add_norm_quant(x, residual, weight),
        at_least=0.9,
    )


def test_a_program_beside_its_operators_called_one_by_one(gate: Gate) -> None:
    """What planning saves where the arithmetic is nothing."""
    x = np.ones((1, 8), np.float32)
    exe = fusible.compile(fusible.trace(chain, x=fusible.spec("f32[T, 8]")))
    gate.faster(lambda: exe(x=x), lambda: chain(x), at_least=3.0)
