"""What an executable costs beside the arithmetic: time an operator in a chain of tiny operators.

python -m benchmarks.bench_executor
"""

from __future__ import annotations

from functools import partial

import numpy as np

import fusible
from benchmarks.compare import compare
from benchmarks.graphs import tiny_chain, unfused
from benchmarks.machine import describe
from fusible import ops

LENGTHS = 100, 1000


def main() -> None:
    """Prints nanoseconds an operator: as a graph, as regions, and call by call from Python."""
    fusible._core.set_threads(1)
    x = np.ones((1, 8), np.float32)
    print(describe())
    runs = {n: unfused(tiny_chain(n)) for n in LENGTHS}
    fused = {n: fusible.compile(tiny_chain(n)) for n in LENGTHS}
    short, long = LENGTHS

    # The difference of two lengths leaves the call itself out.
    for name, made in (("one step an operator", runs), ("regions of 64", fused)):
        turns = compare(partial(made[long], x=x), partial(made[short], x=x))
        each = (turns.first_us - turns.second_us) * 1e3 / (long - short)
        print(f"{name:24} {each:8.1f} ns an operator, {turns.first_us:8.1f} us for {long}")
    call = compare(lambda: ops.mul(x, by=1.0001), lambda: runs[short](x=x))
    print(f"{'call from Python':24} {call.first_us * 1e3:8.1f} ns an operator")


if __name__ == "__main__":
    main()
