"""Fused operators beside their parts, called one by one with out= from Python.

python -m benchmarks.bench_fused [--threads N]

Ratios are time of the parts over time of the fused operator, with quartiles; behind them the
geometric mean. Operands and results are the same arrays for both.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import ml_dtypes
import numpy as np

import fusible
from benchmarks.compare import compare
from benchmarks.graphs import normal
from benchmarks.machine import describe
from fusible import ops

ROWS = 1, 8, 64, 512
WIDTHS = 576, 2048, 4096, 7168

Work = Callable[[], object]


def pairs(rows: int, width: int) -> dict[str, tuple[Work, Work]]:
    """Of each fused operator: its parts one by one, and itself."""
    x, residual, weight = normal(1, rows, width), normal(2, rows, width), normal(3, width)
    y, total, half = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    codes = np.empty(x.shape, ml_dtypes.float8_e4m3fn)
    group = 64 if width == 576 else 128
    scales = np.empty((rows, width // group), np.float32)
    pair = normal(4, rows, 2 * width)

    def quantize() -> None:
        ops.per_token_group_quant_fp8(half, group_size=group, out=(codes, scales))

    def add_norm() -> None:
        ops.add(x, residual, out=total)
        ops.rms_norm(total, weight, out=y)

    def norm_quant() -> None:
        ops.rms_norm(x, weight, out=half)
        quantize()

    def add_norm_quant() -> None:
        ops.add(x, residual, out=total)
        ops.rms_norm(total, weight, out=half)
        quantize()

    def silu_quant() -> None:
        ops.silu_and_mul(pair, out=half)
        quantize()

    return {
        "fused_add_rms_norm": (
            add_norm,
            lambda: ops.fused_add_rms_norm(x, residual, weight, out=(y, total)),
        ),
        "rms_norm_group_quant_fp8": (
            norm_quant,
            lambda: ops.rms_norm_group_quant_fp8(x, weight, group_size=group, out=(codes, scales)),
        ),
        "fused_add_rms_norm_group_quant_fp8": (
            add_norm_quant,
            lambda: ops.fused_add_rms_norm_group_quant_fp8(
                x, residual, weight, group_size=group, out=(codes, scales, total)
            ),
        ),
        "silu_and_mul_group_quant_fp8": (
            silu_quant,
            lambda: ops.silu_and_mul_group_quant_fp8(pair, group_size=group, out=(codes, scales)),
        ),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    fusible._core.set_threads(parser.parse_args().threads)
    print(describe())
    print(f"{'parts / fused':36}" + "".join(f"{f'H = {width}':>24}" for width in WIDTHS))
    ratios = []
    for rows in ROWS:
        table = [pairs(rows, width) for width in WIDTHS]
        for name in table[0]:
            found = [compare(*cell[name], budget=0.5) for cell in table]
            ratios += [one.ratio for one in found]
            print(f"T = {rows:<4} {name:36}" + "".join(f"{one!s:>24}" for one in found), flush=True)
    print(f"geometric mean {math.exp(sum(map(math.log, ratios)) / len(ratios)):.3f}")


if __name__ == "__main__":
    main()
