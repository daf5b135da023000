"""From how many bytes on two threads are faster than one.

For an operator bound by memory, one between, and one bound by arithmetic: what the bound in
csrc/core/threads.cc and the costs of operators are read off. Needs two CPUs that nothing else is
on.

python benchmarks/bench_threads.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from compare import Comparison, compare
from machine import describe
from workloads import normal

import fusible
from fusible import ops

WIDTH = 1024
ROWS = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
"""Rows of bf16 whose halves are worth a look."""


BURST = 32  # calls between two changes of the number of threads


def on(threads: int, work: Callable[[], object]) -> Callable[[], object]:
    """A burst of the work on that many threads."""

    def run() -> None:
        fusible._core.set_threads(threads)
        for _ in range(BURST):
            work()

    return run


def cells(rows: int) -> Iterator[tuple[str, int, Comparison]]:
    """Each operator: bytes that it reads and writes, and two threads beside one."""
    x, weight, pair = normal(1, rows, WIDTH), normal(2, WIDTH), normal(3, rows, 2 * WIDTH)
    out = np.empty_like(x)
    yield "add", 3 * x.nbytes, two_beside_one(lambda: ops.add(x, x, out=out))
    yield "rms_norm", 2 * x.nbytes, two_beside_one(lambda: ops.rms_norm(x, weight, out=out))
    yield "silu_and_mul", 3 * x.nbytes, two_beside_one(lambda: ops.silu_and_mul(pair, out=out))


def two_beside_one(work: Callable[[], object]) -> Comparison:
    """Time on two threads over time on one."""
    return compare(on(2, work), on(1, work))


def main() -> None:
    """Prints the table."""
    fusible._core.set_bytes_per_thread(1)  # whatever is measured splits
    print(describe())
    print(f"{'operator':16}{'KiB':>8}{'one us':>10}{'two us':>10}{'two / one':>24}")
    for rows in ROWS:
        for name, moved, found in cells(rows):
            times = f"{found.second_us / BURST:10.2f}{found.first_us / BURST:10.2f}"
            print(f"{name:16}{moved / 1024:8.0f}{times}{found!s:>24}", flush=True)


if __name__ == "__main__":
    main()
