"""What a call from Python costs above its kernel, and what results that are not given cost.

python -m benchmarks.bench_calls [--pool]

The kernel's own time is the difference of 65 rows and 1 row, over 64; what a call of 1 row takes
above it is the overhead: of all checks, of the array that is made, of Python's call.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

import fusible
from benchmarks.compare import compare
from benchmarks.graphs import Array, normal
from benchmarks.machine import describe
from benchmarks.plain_calls import plain_call
from fusible import ops

WIDTH = 4096
MORE = 64  # rows that are added to tell the kernel's time

Call = Callable[..., Any]


class Case(NamedTuple):
    """Calls of one operator: with out=, and making results, which the caller drops."""

    given: Call
    made: Call


def case(op: Call, operands: tuple[Array, ...], out: Any) -> Case:
    """An operator, its operands, and arrays for its results."""
    named = dict(zip("abc", operands, strict=False))
    return Case(plain_call(op, named, {}, out), plain_call(op, named, {}))


def halve(x: Array, out: Array | None = None) -> Array:
    """The shortest operator that there is."""
    return ops.mul(x, by=0.5, out=out)


def cases(rows: int, width: int) -> dict[str, Case]:
    """What is measured at one size."""
    x, residual, weight = normal(1, rows, width), normal(2, rows, width), normal(3, width)
    out, total, pair = np.empty_like(x), np.empty_like(x), normal(4, rows, 2 * width)
    codes = np.empty(x.shape, ml_dtypes.float8_e4m3fn)
    scales = np.empty((rows, width // 128), np.float32)
    return {
        "mul": case(halve, (x,), out),
        "add": case(ops.add, (x, residual), out),
        "rms_norm": case(ops.rms_norm, (x, weight), out),
        "gemma_rms_norm": case(ops.gemma_rms_norm, (x, weight), out),
        "fused_add_rms_norm": case(ops.fused_add_rms_norm, (x, residual, weight), (out, total)),
        "silu_and_mul": case(ops.silu_and_mul, (pair,), out),
        "per_token_group_quant_fp8": case(ops.per_token_group_quant_fp8, (x,), (codes, scales)),
    }


def overheads(width: int) -> None:
    """Prints, for one row, nanoseconds above the kernel's own time."""
    print(f"\none row of {width}: nanoseconds of a call, and above the kernel's own")
    print(
        f"{'':28}" + "".join(f"{head:>9}" for head in ("kernel", "out=", "above", "made", "above"))
    )
    many = cases(1 + MORE, width)
    for name, one in cases(1, width).items():
        rows = compare(many[name].given, one.given)
        kernel = (rows.first_us - rows.second_us) / MORE
        calls = compare(one.made, one.given)
        given, made = calls.second_us, calls.first_us
        cells = (kernel, given, given - kernel, made, made - kernel)
        print(f"{name:28}" + "".join(f"{cell * 1e3:9.0f}" for cell in cells), flush=True)


def recycling() -> None:
    """Prints times of a loop that drops its results over one with out=, with and without pool."""
    limit = fusible.pool().limit
    print(f"\nresults dropped / out={'pool of ' + str(limit >> 20) + ' MiB':>41}{'no pool':>24}")
    for rows in (1, 8, 64, 512, 4096):
        for name, one in cases(rows, WIDTH).items():
            cells = []
            for most in (limit, 0):
                fusible.pool(limit=most)
                cells.append(compare(one.made, one.given, budget=0.5))
            print(f"{rows:4} x {WIDTH} {name:28}" + "".join(f"{cell!s:>24}" for cell in cells))
    fusible.pool(limit=limit)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pool", action="store_true", help="only what recycling saves")
    fusible._core.set_threads(1)
    print(describe())
    if not parser.parse_args().pool:
        overheads(128)
        overheads(WIDTH)
    recycling()


if __name__ == "__main__":
    main()
