"""What a call from Python costs above its kernel, and what results that are not given cost.

python benchmarks/bench_calls.py [--pool]

The kernel's own time is the difference of 65 rows and 1 row, over 64; what a call of 1 row takes
above it is the overhead: of all checks, of the array that is made, of Python's call.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from compare import compare
from machine import describe
from workloads import Array, normal

import fusible
from fusible import ops

WIDTH = 4096
MORE = 64  # rows that are added to tell the kernel's time

Call = Callable[..., Any]


def operands(rows: int, width: int) -> dict[str, tuple[Call, tuple[Array, ...], Any]]:
    """Of each operator that is measured: itself, its operands, and arrays for its results."""
    x, residual, weight = normal(1, rows, width), normal(2, rows, width), normal(3, width)
    out, total = np.empty_like(x), np.empty_like(x)
    codes = np.empty(x.shape, ml_dtypes.float8_e4m3fn)
    scales = np.empty((rows, max(width // 128, 1)), np.float32)
    pair = normal(4, rows, 2 * width)
    return {
        "mul": (lambda x, out=None: ops.mul(x, by=0.5, out=out), (x,), out),
        "add": (ops.add, (x, residual), out),
        "rms_norm": (ops.rms_norm, (x, weight), out),
        "gemma_rms_norm": (ops.gemma_rms_norm, (x, weight), out),
        "fused_add_rms_norm": (ops.fused_add_rms_norm, (x, residual, weight), (out, total)),
        "silu_and_mul": (ops.silu_and_mul, (pair,), out),
        "per_token_group_quant_fp8": (ops.per_token_group_quant_fp8, (x,), (codes, scales)),
    }


def overheads(width: int) -> None:
    """Prints, for one row, nanoseconds above the kernel's own time."""
    print(f"\none row of {width}: nanoseconds of a call, and above the kernel's own")
    print(f"{'':28}{'kernel':>9}{'out=':>9}{'above':>9}{'made':>9}{'above':>9}")
    many = operands(1 + MORE, width)
    for name, (op, arrays, out) in operands(1, width).items():
        _, wide, wide_out = many[name]
        rows = compare(lambda: op(*wide, out=wide_out), lambda: op(*arrays, out=out))
        kernel = (rows.first_us - rows.second_us) / MORE
        calls = compare(lambda: op(*arrays), lambda: op(*arrays, out=out))
        cells = (kernel, calls.second_us, calls.second_us - kernel)
        cells += (calls.first_us, calls.first_us - kernel)
        print(f"{name:28}" + "".join(f"{cell * 1e3:9.0f}" for cell in cells))


def recycling() -> None:
    """Prints time of a loop that drops its results over the same with out=, with and without pool."""
    limit = fusible.pool().limit
    print(f"\nresults dropped / out=: {'pool of ' + str(limit >> 20) + ' MiB':>24}{'no pool':>24}")
    for rows in (1, 8, 64, 512, 4096):
        for name, (op, arrays, out) in operands(rows, WIDTH).items():
            cells = []
            for bytes_kept in (limit, 0):
                fusible.pool(limit=bytes_kept)
                cells.append(compare(lambda: op(*arrays), lambda: op(*arrays, out=out), 0.5))
            print(f"{rows:4} x {WIDTH} {name:28}" + "".join(f"{cell!s:>24}" for cell in cells))
    fusible.pool(limit=limit)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pool", action="store_true", help="only what recycling saves")
    fusible._core.set_threads(1)
    print(describe())
    if not parser.parse_args().pool:
        overheads(8)
        overheads(WIDTH)
    recycling()


if __name__ == "__main__":
    main()
