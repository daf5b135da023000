"""Comparing two executables: their bits, their times turn about, and the floor of the machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fusible
from fusible import ops
from fusible.demo.subject import Model, call_inputs
from fusible.models.decoder import Decoder
from fusible.models.weights import DTYPES, Weights

Array = NDArray[Any]

PAST = 128  # tokens in the cache of the decode step that is timed
PREFILL = 64  # tokens of the prefill that is timed
# Steps that are not row operators: their time does not depend on what is fused.
WHOLE = ("matmul", "block_scaled_matmul", "attention")


@dataclasses.dataclass(frozen=True)
class Pair:
    """A model's graph compiled twice: as the target's pipeline leaves it, and unfused."""

    model: Model
    weights: Weights
    fused: fusible.Executable
    unfused: fusible.Executable


# Bytes that a copy reads and writes: what fits in a cache moves faster than what does not, so the
# floor of a call is that of a copy no larger than what the call moves.
COPIED = tuple(megabytes << 20 for megabytes in (2, 8, 32, 128))
# Rows and columns of a matrix product that takes a few milliseconds: of several short ones one
# finds the cores free where other programs run.
SQUARE = 512


class Machine:
    """The best that this machine did in this run, with all threads; each measurement may raise it.

    `bytes_per_second` is by size of the copy (read + written), `flops_per_second` of products: of
    f32 by NumPy and by this package, and of bf16.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.bytes_per_second = dict.fromkeys(COPIED, 0.0)
        self.flops_per_second = 0.0
        self.measure()

    def measure(self) -> None:
        """The best of a few copies of each size, and of a few matrix products."""
        for size in COPIED:
            parts = [
                np.ones(size // (8 * self.threads), np.float32) for _ in range(2 * self.threads)
            ]
            times = COPIED[-1] // size  # so that starting the threads does not count
            seconds = _best(partial(_copy, parts, times), self.threads)
            moved = times * sum(part.nbytes for part in parts)
            self.bytes_per_second[size] = max(self.bytes_per_second[size], moved / seconds)
        square = np.ones((SQUARE, SQUARE), np.float32)
        narrow = square.astype(DTYPES["bf16"])
        for product, factor in ((np.matmul, square), (ops.matmul, square), (ops.matmul, narrow)):
            seconds = _best(partial(_multiply, product, factor), self.threads)
            self.flops_per_second = max(self.flops_per_second, 2 * SQUARE**3 / seconds)

    def floor_ms(self, moved: int, flops: float) -> float:
        """The least time of so many bytes and of so much arithmetic, whichever takes longer."""
        size = max((size for size in COPIED if size <= moved), default=COPIED[0])
        return 1e3 * max(moved / self.bytes_per_second[size], flops / self.flops_per_second)


def _multiply(product: Callable[..., object], factor: Array, _: ThreadPoolExecutor) -> None:
    product(factor, factor)


def _copy(parts: list[Array], times: int, pool: ThreadPoolExecutor) -> None:
    def copy(target: Array, source: Array) -> None:
        for _ in range(times):
            np.copyto(target, source)

    list(pool.map(copy, parts[::2], parts[1::2]))


def results_of(executable: fusible.Executable, inputs: Mapping[str, Array]) -> list[Array]:
    """All results of a call on copies of the inputs: updated caches are written in place."""
    results = executable(**{name: array.copy() for name, array in inputs.items()})
    return list(results) if isinstance(results, tuple) else [results]


def same_bits(pair: Pair, tokens: int, past: int) -> bool:
    """Whether both executables give the same bits in every result, caches included."""
    inputs = call_inputs(pair.model, tokens, past)
    fused, unfused = results_of(pair.fused, inputs), results_of(pair.unfused, inputs)
    return len(fused) == len(unfused) and all(map(_equal, fused, unfused))


def _equal(a: Array, b: Array) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    x, y = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (a, b))
    return bool(np.array_equal(x, y))


def turn_about(
    first: Callable[[], object], second: Callable[[], object], seconds: float
) -> tuple[Array, Array]:
    """Times of both in ms, called in turn for about `seconds`, at least five times each."""
    first()
    second()
    times: list[tuple[float, float]] = []
    end = perf_counter() + seconds
    while len(times) < 5 or perf_counter() < end:
        # Who begins changes, so that neither profits from what the other leaves in the cache.
        order = (first, second) if len(times) % 2 else (second, first)
        took = {}
        for call in order:
            start = perf_counter()
            call()
            took[call] = (perf_counter() - start) * 1e3
        times.append((took[first], took[second]))
    return np.array([a for a, _ in times]), np.array([b for _, b in times])


def quartiles(values: Array) -> list[float]:
    """Lower quartile, median and upper quartile."""
    return [round(float(v), 4) for v in np.percentile(values, (25, 50, 75))]


def _best(work: Callable[[ThreadPoolExecutor], object], threads: int) -> float:
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        end = perf_counter() + 0.1
        rounds = 0
        while rounds < 5 or perf_counter() < end:
            start = perf_counter()
            work(pool)
            best = min(best, perf_counter() - start)
            rounds += 1
    return best


def work_of(pair: Pair, tokens: int, past: int) -> tuple[int, float]:
    """What a call cannot do without: bytes of weights and cache read once, and flops."""
    moved, flops = 0, 0.0
    tied = isinstance(pair.model, Decoder) and pair.model.config.tied
    for name, weight in pair.model.weights().items():
        head = name == "lm_head" or (name == "embed" and tied)
        if weight.role in ("linear", "norm", "bias") or head:
            scale = pair.weights.get(f"{name}.scale")
            moved += pair.weights[name].nbytes + (0 if scale is None else scale.nbytes)
        if weight.role == "linear" or head:
            flops += 2.0 * float(np.prod(weight.shape)) * (1 if head else tokens)
    if isinstance(pair.model, Decoder):
        c = pair.model.config
        moved += pair.model.depth * 2 * (past + tokens) * c.kv_heads * c.head_size * 2
    return moved, flops


def times_of(pair: Pair, machine: Machine, seconds: float = 0.8) -> dict[str, dict[str, Any]]:
    """Decode and prefill: quartiles in ms fused and unfused, their ratio, share of the floor.

    The machine is measured again behind them, so that the floor is no worse than that of a moment
    in which something else ran beside the copies.
    """
    times = {
        name: _times(pair, tokens, past, seconds)
        for name, tokens, past in (("decode", 1, PAST), ("prefill", PREFILL, 0))
    }
    machine.measure()
    for found in times.values():
        floor = machine.floor_ms(*work_of(pair, found["tokens"], found["past"]))
        found["floor_ms"] = round(floor, 4)
        found["of_floor"] = round(floor / found["fused_ms"][1], 4)
    return times


def _times(pair: Pair, tokens: int, past: int, seconds: float) -> dict[str, Any]:
    inputs = call_inputs(pair.model, tokens, past)
    fused, unfused = turn_about(
        lambda: pair.fused(**inputs), lambda: pair.unfused(**inputs), seconds
    )
    return {
        "tokens": tokens,
        "past": past,
        "fused_ms": quartiles(fused),
        "unfused_ms": quartiles(unfused),
        "speedup": quartiles(unfused / fused),
        "row_operators_ms": {
            "fused": row_operators_ms(pair.fused, inputs),
            "unfused": row_operators_ms(pair.unfused, inputs),
        },
    }


def row_operators_ms(executable: fusible.Executable, inputs: Mapping[str, Array]) -> float:
    """Median over three calls of the time in row operators: what fusing can save at all."""
    totals = [
        sum(step.us for step in executable.profile(**inputs).steps if step.name not in WHOLE)
        for _ in range(3)
    ]
    return round(float(np.median(totals)) / 1e3, 4)
