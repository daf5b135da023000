"""Two callables measured turn about in one process: what a speed claim here is made of."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

Work = Callable[[], object]

SAMPLE = 300e-6  # seconds of one sample, so that reading the clock does not count


@dataclass(frozen=True)
class Comparison:
    """Microseconds a call, and the ratio first / second of each turn: below 1, first wins."""

    first_us: float
    second_us: float
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f} ({self.low:.2f} to {self.high:.2f})"


def seconds(work: Work, repeats: int) -> float:
    """Seconds of one call, over that many."""
    start = perf_counter()
    for _ in range(repeats):
        work()
    return (perf_counter() - start) / repeats


def repeats_of(work: Work) -> int:
    """How many calls make a sample long enough."""
    seconds(work, 2)
    return max(1, int(SAMPLE / max(min(seconds(work, 1) for _ in range(3)), 1e-9)))


def compare(first: Work, second: Work, budget: float = 1.0, turns: int = 21) -> Comparison:
    """Measures both in turns that change order, at least 5 and at most `turns` of them.

    Args:
        first: takes no arguments; what it returns is dropped.
        second: the same.
        budget: seconds after which no further turn begins.
        turns: the most turns.

    Returns:
        Medians of each, and the median and quartiles of the ratios.
    """
    repeats = repeats_of(first), repeats_of(second)
    times: tuple[list[float], list[float]] = ([], [])
    start = perf_counter()
    for turn in range(turns):
        for which in (turn % 2, 1 - turn % 2):
            times[which].append(seconds((first, second)[which], repeats[which]))
        if turn >= 4 and perf_counter() - start > budget:
            break
    ratios = [a / b for a, b in zip(*times, strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
    medians = [statistics.median(one) * 1e6 for one in times]
    return Comparison(medians[0], medians[1], ratio, low, high)
