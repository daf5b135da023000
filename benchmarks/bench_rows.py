"""Operators of a model's ends beside a copy of the same bytes: rotary embedding, softmax, tokens.

    python -m benchmarks.bench_rows

One thread. Each is called with `out=`, in turns with a copy that reads and writes as many bytes;
the ratio is of times, with quartiles, so 1.00 is the speed of memory or cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

import fusible
from benchmarks.compare import Work, compare
from benchmarks.machine import describe
from fusible import ops

Array = np.ndarray[Any, np.dtype[Any]]
Cell = tuple[str, Work, int]  # name, call, bytes read and written

HEADS, SIZE, VOCABULARY = 40, 128, 128_256
DTYPES = {"bf16": np.dtype(ml_dtypes.bfloat16), "f32": np.dtype(np.float32)}


def normal(dtype: np.dtype[Any], *shape: int) -> Array:
    """Normally distributed values, as far apart as a model's logits."""
    return (3 * np.random.default_rng(1).standard_normal(shape, np.float32)).astype(dtype)


def rotary(dtype: np.dtype[Any]) -> Iterator[Cell]:
    """Queries and keys together: 32 + 8 heads."""
    table = normal(DTYPES["f32"], 4096, SIZE)
    for rows in (1, 64, 4096):
        x, positions = normal(dtype, rows, HEADS, SIZE), np.arange(rows)
        y = np.empty_like(x)
        yield (
            f"rotary_embedding {rows}x{HEADS}x{SIZE}",
            partial(ops.rotary_embedding, x, positions, table, out=y),
            2 * x.nbytes,
        )


def softmax(dtype: np.dtype[Any]) -> Iterator[Cell]:
    """Rows of scores, and of a vocabulary."""
    for rows, columns in ((64, 4096), (1, VOCABULARY), (16, VOCABULARY)):
        x = normal(dtype, rows, columns)
        y = np.empty_like(x)
        yield (
            f"softmax {rows}x{columns}",
            partial(ops.softmax, x, out=y),
            2 * x.nbytes,
        )


def tokens(dtype: np.dtype[Any]) -> Iterator[Cell]:
    """One row of logits each."""
    x, seeds = normal(dtype, 1, VOCABULARY), np.zeros(1, np.uint64)
    top_k, top_p = np.full(1, 50, np.int32), np.full(1, 0.9, np.float32)
    every, token = np.zeros(1, np.int32), np.empty(1, np.int32)
    best = np.empty((1, 50), dtype), np.empty((1, 50), np.int32)
    calls: dict[str, Work] = {
        "topk 50": lambda: ops.topk(x, k=50, out=best),
        "greedy": lambda: ops.greedy_sample(x, out=token),
        "softmax alone": lambda: ops.top_k_sampling_from_logits(x, seeds, every, out=token),
        "top_k 50": lambda: ops.top_k_sampling_from_logits(x, seeds, top_k, out=token),
        "top_p 0.9": lambda: ops.top_p_sampling_from_logits(x, seeds, top_p, out=token),
    }
    for name, call in calls.items():
        yield f"{name} of {VOCABULARY}", call, x.nbytes


def look_up(dtype: np.dtype[Any]) -> Iterator[Cell]:
    """64 rows of a table, plain and quantized."""
    ids = np.random.default_rng(2).integers(0, 32_000, 64)
    table = normal(dtype, 32_000, 4096)
    y = np.empty((64, 4096), dtype)
    yield "embedding 64x4096", lambda: ops.embedding(ids, table, out=y), 2 * y.nbytes
    codes = ops.cast(table, dtype="e4m3fn")
    scales = np.full((32_000, 32), 0.01, np.float32)
    name = next(name for name, known in DTYPES.items() if known == dtype)
    yield (
        "embedding_group_dequant 64x4096",
        lambda: ops.embedding_group_dequant(ids, codes, scales, dtype=name, out=y),
        y.nbytes + y.size,
    )


def main() -> None:
    """Prints the table."""
    fusible._core.set_threads(1)
    print(describe())
    for name, dtype in DTYPES.items():
        for cells in (rotary, softmax, tokens, look_up):
            for cell, call, moved in cells(dtype):
                source, target = np.zeros((2, max(moved // 2, 1)), np.uint8)
                source += 1
                against = compare(call, partial(np.copyto, target, source))
                print(
                    f"{name:>5} {cell:<40}{against.first_us:>10.2f} us, copy "
                    f"{against.second_us:>9.2f} us, ratio {against}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
