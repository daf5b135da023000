"""Row programs beside a function fused by hand, separate calls, peers, and the floor.

The hand-written function is built apart from the package:

    cmake -G Ninja -S . -B build/bench -DFUSIBLE_PYTHON=OFF -DFUSIBLE_BENCHMARKS=ON
    cmake --build build/bench --target fused_by_hand
    python -m benchmarks.bench_row_program build/bench/benchmarks/libfused_by_hand.so

One thread, bf16: add, rms_norm, fp8 groups of 128. Ratios are of times, with quartiles; all
results are compared bit by bit first.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

import fusible
from benchmarks import peers
from benchmarks.compare import Work, compare
from benchmarks.graphs import GROUP, ROWS, Array, add_norm_quant_graph, normal, unfused
from benchmarks.machine import Traffic, describe, floor
from fusible import ops

EPS = 1e-6

Arrays = tuple[Array, Array, Array]


def hand_function(path: str) -> Callable[[Arrays, Arrays], Work]:
    """The function of fused_by_hand.cc as a maker of calls on operands and results."""
    native = ctypes.CDLL(path).fused_by_hand
    native.restype = None
    native.argtypes = [ctypes.c_void_p] * 6 + [ctypes.c_int64] * 2 + [ctypes.c_float]

    def bind(arrays: Arrays, out: Arrays) -> Work:
        x, residual, weight = arrays
        codes, scales, total = out
        # Looking up an array's address costs as much as a short call.
        places = [a.ctypes.data for a in (x, residual, weight, total, codes, scales)]
        return lambda: native(*places, *x.shape, EPS)

    return bind


def empty_results(x: Array) -> Arrays:
    """Codes, scales and sum, not filled in."""
    codes = ops.cast(x, dtype="e4m3fn")
    return codes, np.empty((x.shape[0], x.shape[1] // GROUP), np.float32), np.empty_like(x)


def assert_same_bits(a: Arrays, b: Arrays) -> None:
    """The results of two providers."""
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one.view(np.uint8), other.view(np.uint8))


def peers_of(arrays: Arrays) -> dict[str, Work]:
    """A call of each peer that is installed, on one thread."""
    peers.set_threads(1)
    operands = dict(zip(("x", "residual", "weight"), arrays, strict=True))
    name, attrs = "fused_add_rms_norm_group_quant_fp8", {"group_size": GROUP}
    calls = {p.name: p.call(name, operands, attrs) for p in peers.installed()[0]}
    return {name: call.work for name, call in calls.items() if call}


def bench(rows: int, width: int, hand: Callable[[Arrays, Arrays], Work]) -> list[str]:
    """The cells of one size."""
    arrays = normal(1, rows, width), normal(2, rows, width), normal(3, width)
    x, residual, weight = arrays
    out, hand_out = empty_results(x), empty_results(x)

    def program() -> Any:
        return ops.fused_add_rms_norm_group_quant_fp8(
            x, residual, weight, group_size=GROUP, eps=EPS, out=out
        )

    by_hand = hand(arrays, hand_out)
    graph = add_norm_quant_graph(width)
    fused = fusible.compile(graph, weights={"weight": weight})
    separate = unfused(graph, weight=weight)
    program(), by_hand()
    assert_same_bits(out, hand_out)
    assert_same_bits(fused(x=x, residual=residual), separate(x=x, residual=residual))

    against_hand = compare(program, by_hand)
    against_calls = compare(
        lambda: fused(x=x, residual=residual), lambda: separate(x=x, residual=residual)
    )
    bound = floor(Traffic(tuple(a.nbytes for a in arrays), tuple(a.nbytes for a in out))).us
    return [
        f"{rows}x{width}",
        f"{against_hand.second_us:.1f}",
        f"{against_hand.first_us:.1f}",
        str(against_hand),
        str(against_calls),
        f"{bound:.1f}",
        f"{bound / against_hand.first_us:.0%}",
        *(f"{compare(program, work)} of {name}" for name, work in peers_of(arrays).items()),
    ]


HEADS = [
    "rows x width",
    "by hand us",
    "program us",
    "program / hand",
    "fused / unfused graph",
    "floor us",
    "of floor",
]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library", help="libfused_by_hand.so")
    hand = hand_function(parser.parse_args().library)
    fusible._core.set_threads(1)
    print(describe())
    print("".join(f"{head:>24}" for head in HEADS))
    for rows, width in ROWS:
        print("".join(f"{cell:>24}" for cell in bench(rows, width, hand)), flush=True)


if __name__ == "__main__":
    main()
