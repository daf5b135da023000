"""Sampling as the documentation of the operators says it, one row and one step at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from support.case import Case, Maker, Normal, Strided, Values

WORD = 0xFFFFFFFF


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10 on 32-bit words: Salmon et al. 2011, section 3.3."""
    c, k = counter, key
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = (b >> 32 ^ c[1] ^ k[0], b & WORD, a >> 32 ^ c[3] ^ k[1], a & WORD)
        k = ((k[0] + 0x9E3779B9) & WORD, (k[1] + 0xBB67AE85) & WORD)
    return c


def random_bits(seed: int, draw: int = 0) -> int:
    """The 64 random bits of a seed and the number of a draw."""
    words = philox((draw & WORD, draw >> 32, 0, 0), (seed & WORD, seed >> 32))
    return words[1] << 32 | words[0]


def integers(gaps: Any, temperature: float) -> tuple[Any, Any]:
    """Weights in float32, and the integers that they count for."""
    with np.errstate(over="ignore", under="ignore"):
        weights = np.exp((gaps / np.float32(temperature)).astype(np.float64)).astype(np.float32)
    return weights, np.floor(weights.astype(np.float64) * 2.0**30).astype(np.int64)


def likeliest(left: Any, weights: Any, counts: Any, top_p: float) -> Any:
    """Of the tokens left the fewest of greatest weight that reach the share top_p."""
    total = np.float64(counts[left].sum())
    wanted = max(math.ceil(np.float64(top_p) * total), 1) if top_p > 0 else 1
    ordered = left[np.argsort(-weights[left], kind="stable")]
    return np.sort(ordered[: np.searchsorted(np.cumsum(counts[ordered]), wanted) + 1])


def token(
    logits: Any,
    seed: int,
    *,
    top_k: int = 0,
    top_p: float = 1.0,
    temperature: float = 1.0,
    draws: int = 0,
) -> int:
    """The token of one row of logits."""
    x = logits.astype(np.float32)
    largest = int(np.argmax(x))  # NumPy too takes a NaN for the largest, and the first of several
    if not np.isfinite(x[largest]) or not 0 < temperature < np.inf:
        return largest
    left = np.arange(len(x))
    if 1 <= top_k < len(x):
        left = np.sort(np.argsort(-x, kind="stable")[:top_k])
    with np.errstate(over="ignore"):
        weights, counts = integers(x - x[largest], temperature)
    if not top_p >= 1:
        left = likeliest(left, weights, counts, top_p)
    sums = np.cumsum(counts[left])
    target = int(sums[-1]) * random_bits(seed, draws) >> 64
    return int(left[np.searchsorted(sums, target, side="right")])


def tokens(logits: Any, seeds: Any, **given: Any) -> Any:
    """The tokens of all rows; top_k, top_p, temperature and draws that are given have one each."""
    columns = {name: values.ravel() for name, values in given.items()}
    rows = logits.reshape(-1, logits.shape[-1])
    result = [
        token(row, int(seed), **{name: values[i].item() for name, values in columns.items()})
        for i, (row, seed) in enumerate(zip(rows, seeds.ravel(), strict=True))
    ]
    return np.array(result, np.int32).reshape(seeds.shape)


SEEDS = np.array([0, 1, 2**64 - 1, 0x0123456789ABCDEF, 2**32, 7], np.uint64)
INF, NAN = float("inf"), float("nan")
# A NaN, infinities, masked tokens, masked ones only, ties, both zeros.
SPECIAL = [
    [1.0, NAN, 2.0, NAN],
    [1.0, INF, INF, 2.0],
    [-INF, 0.5, -INF, 0.25],
    [-INF, -INF, -INF, -INF],
    [3.0, 3.0, 3.0, 3.0],
    [-0.0, 0.0, -0.0, -100.0],
]

DTYPES = {"seeds": "u64", "top_k": "i32", "top_p": "f32", "temperature": "f32", "draws": "u64"}


def drawn(logits: Maker, rows: tuple[int, ...] = SEEDS.shape, **given: Any) -> dict[str, Maker]:
    """Operands of a call: seeds, and of what is given one value for all rows or one for each."""
    given = {"seeds": SEEDS[: math.prod(rows)].reshape(rows), **given}
    columns = {name: np.broadcast_to(values, rows) for name, values in given.items()}
    return {"logits": logits} | {n: Values(column, DTYPES[n]) for n, column in columns.items()}


def common_cases(**limits: Any) -> list[Case]:
    """Cases of every operator that samples, each with the same limits: top_k, top_p or both."""
    temperatures = [0.5, 1, 2, 1e30, 1e-30, 0.7]
    no_temperatures = [0, -1, NAN, INF, -INF, -0.0]
    draws = SEEDS[::-1]
    return [
        Case("temperature", drawn(Normal((6, 77), 2.0), **limits, temperature=temperatures)),
        Case("greedy", drawn(Normal((6, 77)), **limits, temperature=no_temperatures)),
        Case("draws", drawn(Normal((6, 100)), **limits, temperature=1.0, draws=draws)),
        Case("special", drawn(Values(SPECIAL), **limits)),
        Case("equal", drawn(Values(np.zeros((6, 400))), **limits)),
        Case("strided", drawn(Strided(Normal((6, 65))), **limits)),
        Case("three-dimensions", drawn(Normal((2, 3, 64)), (2, 3), **limits)),
        Case("no-rows", drawn(Normal((0, 8)), (0,), **limits)),
    ]
