"""Comparing two executables: their bits, their times turn about, and the floor of the machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fusible
from fusible.demo.subject import Model, call_inputs
from fusible.models.decoder import Decoder
from fusible.models.weights import Weights

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


@dataclasses.dataclass(frozen=True)
class Machine:
    """What this machine reaches with all threads: bytes copied (read + written), f32 flops."""

    bytes_per_second: float
    flops_per_second: float


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


def measure_machine(threads: int) -> Machine:
    """The floors of this run: the best of a few copies in memory, and of a matrix product."""
    parts = [np.ones(8 << 20, np.float32) for _ in range(2 * threads)]
    copies = _best(lambda pool: list(pool.map(np.copyto, parts[::2], parts[1::2])), threads)
    square = np.ones((1024, 1024), np.float32)
    products = _best(lambda _: square @ square, threads)
    moved = sum(part.nbytes for part in parts)
    return Machine(moved / copies, 2 * 1024**3 / products)


def _best(work: Callable[[ThreadPoolExecutor], object], threads: int) -> float:
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            start = perf_counter()
            work(pool)
            best = min(best, perf_counter() - start)
    return best


def floor_ms(pair: Pair, tokens: int, past: int, machine: Machine) -> float:
    """The least time of a call: weights and cache read once, or the arithmetic, if more."""
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
    return max(moved / machine.bytes_per_second, flops / machine.flops_per_second) * 1e3


def times_of(pair: Pair, machine: Machine, seconds: float = 0.8) -> dict[str, dict[str, Any]]:
    """Decode and prefill: quartiles in ms fused and unfused, their ratio, share of the floor."""
    return {
        name: _times(pair, machine, tokens, past, seconds)
        for name, tokens, past in (("decode", 1, PAST), ("prefill", PREFILL, 0))
    }


def _times(pair: Pair, machine: Machine, tokens: int, past: int, seconds: float) -> dict[str, Any]:
    inputs = call_inputs(pair.model, tokens, past)
    fused, unfused = turn_about(
        lambda: pair.fused(**inputs), lambda: pair.unfused(**inputs), seconds
    )
    floor = floor_ms(pair, tokens, past, machine)
    return {
        "tokens": tokens,
        "past": past,
        "fused_ms": quartiles(fused),
        "unfused_ms": quartiles(unfused),
        "speedup": quartiles(unfused / fused),
        "floor_ms": round(floor, 4),
        "of_floor": round(floor / float(np.median(fused)), 4),
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
