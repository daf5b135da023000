"""The graphs that benchmarks run, and arrays for them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

import fusible
from fusible import ops, spec

Array = np.ndarray[Any, np.dtype[Any]]

# Rows by width: decoding, a small batch, a prefill, and the width of DeepSeek-V3.
ROWS = [(1, 4096), (64, 4096), (4096, 4096), (4096, 7168)]

GROUP = 128


def normal(seed: int, *shape: int) -> Array:
    """Normally distributed bf16."""
    values = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return values.astype(ml_dtypes.bfloat16)


def add_norm_quant(x: Any, residual: Any, weight: Any) -> Any:
    """Residual, norm and fp8 groups, as between the layers of a quantized model.

    Args:
        x: bf16[T, H].
        residual: bf16[T, H].
        weight: bf16[H].

    Returns:
        Codes, scales, and the new residual.
    """
    total = ops.add(x, residual)
    q, s = ops.per_token_group_quant_fp8(ops.rms_norm(total, weight), group_size=GROUP)
    return q, s, total


def add_norm_quant_graph(width: int) -> fusible.Graph:
    """The same as a graph over any number of rows."""
    rows = spec(f"bf16[T, {width}]")
    return fusible.trace(
        add_norm_quant, x=rows, residual=rows, weight=spec(f"bf16[{width}]", constant=True)
    )


def tiny_chain(length: int) -> fusible.Graph:
    """That many operators on eight numbers: what is measured is everything but the arithmetic."""

    def chain(x: Any) -> Any:
        for _ in range(length):
            x = ops.mul(x, by=1.0001)
        return x

    return fusible.trace(chain, x=spec("f32[T, 8]"))


def unfused(graph: fusible.Graph, **weights: Array) -> fusible.Executable:
    """The graph ready to run, one step an operator."""
    return fusible.compile(fusible.optimize(graph, pipeline="drop-dead"), weights=weights)
