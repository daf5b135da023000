"""Callables measured turn about in one process: what a speed claim here is made of."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

Work = Callable[[], object]

SAMPLE = 300e-6  # seconds of one sample, so that reading the clock does not count


@dataclass(frozen=True)
class Contender:
    """One of several that do the same, and the state in which it is called."""

    work: Work
    state: Callable[[], AbstractContextManager[Any]] = nullcontext
    timer: Callable[[int], float] | None = None  # of what takes its own time, in place of `work`

    def seconds(self, repeats: int) -> float:
        """Seconds of one call, over that many."""
        return self.timer(repeats) if self.timer else seconds(self.work, repeats)

    def repeats(self) -> int:
        """How many calls make a sample long enough."""
        self.seconds(2)
        return max(1, int(SAMPLE / max(min(self.seconds(1) for _ in range(3)), 1e-9)))


@dataclass(frozen=True)
class Ratio:
    """The median and the quartiles of the ratios of all turns."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def quartiles(values: Sequence[float]) -> Ratio:
    """Of at least two values."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Ratio(median, low, high)


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Of two that were measured in the same turns."""
    return quartiles([a / b for a, b in zip(above, below, strict=True)])


@dataclass(frozen=True)
class Comparison:
    """Microseconds a call, and the ratio first / second of each turn: below 1, first wins."""

    first_us: float
    second_us: float
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return str(Ratio(self.ratio, self.low, self.high))


def seconds(work: Work, repeats: int) -> float:
    """Seconds of one call, over that many."""
    start = perf_counter()
    for _ in range(repeats):
        work()
    return (perf_counter() - start) / repeats


def turns(
    contenders: Mapping[str, Contender],
    budget: float = 1.0,
    most: int = 21,
    settle: float = 0.0,
) -> dict[str, list[float]]:
    """Measures all in turns that begin with another one each time, at least 5 and at most `most`.

    Args:
        contenders: what takes no arguments; what it returns is dropped.
        budget: seconds after which no further turn begins.
        most: the most turns.
        settle: seconds to wait before a sample, for threads of the one before that still spin.

    Before each sample comes one call that does not count: it wakes the contender's threads, and
    takes the caches from the one before.

    Returns:
        Seconds a call in each turn.
    """
    repeats = {name: one.repeats() for name, one in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    start = perf_counter()
    for turn in range(most):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            with contenders[name].state():
                if settle:
                    sleep(settle)
                contenders[name].seconds(1)
                times[name].append(contenders[name].seconds(repeats[name]))
        if turn >= 4 and perf_counter() - start > budget:
            break
    return times


def compare(first: Work, second: Work, budget: float = 1.0, most: int = 21) -> Comparison:
    """Measures two in turns.

    Returns:
        Medians of each, and the median and quartiles of the ratios.
    """
    times = turns({"first": Contender(first), "second": Contender(second)}, budget, most)
    of_turns = ratio(times["first"], times["second"])
    first_us, second_us = (statistics.median(one) * 1e6 for one in times.values())
    return Comparison(first_us, second_us, of_turns.median, of_turns.low, of_turns.high)
