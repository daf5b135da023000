"""From how many bytes on two threads are faster than one, and what more of them are worth.

For an operator bound by memory, one between, and one bound by arithmetic, called back to back, when
the second thread still looks for work, and after a rest, when it sleeps: what the bound in
csrc/core/threads.cc and the costs of operators are read off. Needs two CPUs that nothing else is
on; `chrt -r 5` before the command keeps others off for the second that it takes.

python -m benchmarks.bench_threads
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter

import numpy as np

import fusible
from benchmarks.graphs import normal
from benchmarks.machine import describe
from fusible import ops

WIDTH = 1024
ROWS = [8, 16, 32, 64, 128, 256, 512]
"""Rows of bf16 whose halves are worth a look."""
REST = 150e-6  # seconds after which the second thread sleeps
CALLS, TURNS = 16, 10

SPREAD = (8, 576), (8, 7168), (64, 4096), (512, 4096)
"""Rows and columns of what is run on more and more threads."""

Work = Callable[[], object]


def operators(rows: int) -> Iterator[tuple[str, int, Work]]:
    """Each operator: its name, the bytes that it reads and writes, and a call."""
    x, weight, pair = normal(1, rows, WIDTH), normal(2, WIDTH), normal(3, rows, 2 * WIDTH)
    out = np.empty_like(x)
    yield "add", 3 * x.nbytes, lambda: ops.add(x, x, out=out)
    yield "rms_norm", 2 * x.nbytes, lambda: ops.rms_norm(x, weight, out=out)
    yield "silu_and_mul", 3 * x.nbytes, lambda: ops.silu_and_mul(pair, out=out)


def sample(work: Work, rest: float) -> float:
    """Microseconds of a call, over some with a rest before each."""
    spent = 0.0
    for _ in range(CALLS):
        until = perf_counter() + rest
        while perf_counter() < until:
            pass
        start = perf_counter()
        work()
        spent += perf_counter() - start
    return spent / CALLS * 1e6


def in_turns(work: Work, counts: Sequence[int], rest: float = 0.0) -> list[float]:
    """Medians on so many threads each."""
    times: dict[int, list[float]] = {threads: [] for threads in counts}
    for _ in range(TURNS):
        for threads, found in times.items():
            fusible._core.set_threads(threads)
            work()
            found.append(sample(work, rest))
    return [statistics.median(found) for found in times.values()]


def print_spread() -> None:
    """A row of times on 1, 2, 4 and more threads, up to the CPUs of this process."""
    counts = [2**i for i in range(fusible.info()["threads"].bit_length())]
    print("\nrms_norm, back to back, us on so many threads")
    print(f"{'T x H':16}" + "".join(f"{threads:>10}" for threads in counts))
    for rows, width in SPREAD:
        x, weight = normal(1, rows, width), normal(2, width)
        found = in_turns(partial(ops.rms_norm, x, weight, out=np.empty_like(x)), counts)
        print(f"{f'{rows}x{width}':16}" + "".join(f"{us:10.2f}" for us in found), flush=True)


def print_gain() -> None:
    """Two threads beside one, for each operator and size."""
    heads = "one us", "two us", "two / one"
    print(f"{'operator':16}{'KiB':>6}" + "".join(f"{h:>10}" for h in (*heads, *heads)))
    for rows in ROWS:
        for name, moved, work in operators(rows):
            line = f"{name:16}{moved / 1024:6.0f}"
            for rest in (0.0, REST):
                one, two = in_turns(work, (1, 2), rest)
                line += f"{one:10.2f}{two:10.2f}{two / one:10.2f}"
            print(line, flush=True)
    print("left: back to back, right: after a rest")


def main() -> None:
    """Prints the tables."""
    fusible._core.set_bytes_per_thread(1)  # whatever is measured splits
    print(describe())
    print_gain()
    print_spread()


if __name__ == "__main__":
    main()
