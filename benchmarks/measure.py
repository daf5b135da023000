"""One cell of the table: an operator at one size, on some threads, beside everything it meets."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import fusible
from benchmarks import peers
from benchmarks.agreement import Difference, difference
from benchmarks.compare import Contender, Ratio, quartiles, ratio, turns
from benchmarks.machine import floor
from benchmarks.parts import Parts
from benchmarks.workloads import Problem, Size, Workload

OURS, OURS_GIVEN = "fusible", "fusible out="
PARTS, PARTS_GIVEN = "parts", "parts out="
FLOOR = "floor"
OWN = (OURS, OURS_GIVEN, PARTS, PARTS_GIVEN, FLOOR)
SETTLE = 0.005  # seconds: OpenMP's threads spin that long after their work


@dataclass
class Cell:
    """What was measured: microseconds a call in each turn, of each contender."""

    workload: str
    dtype: str
    tokens: int
    hidden: int
    threads: int
    bytes: int
    plain_us: float  # the best of the floor's passes, by either kind of stores
    streaming_us: float
    parts_bytes: int | None = None
    in_place: bool = False
    given: list[str] = field(default_factory=list)  # peers that write into memory they are given
    samples_us: dict[str, list[float]] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    disagreeing: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    faults: float = 0.0  # page faults a call that allocates

    @property
    def size(self) -> str:
        """As the table prints it."""
        return f"{self.tokens}x{self.hidden}"

    def record(self) -> dict[str, Any]:
        """All of it for a file, with medians and quartiles of the samples and of the ratios."""
        peers = (name for name in self.samples_us if name not in OWN)
        return {
            **asdict(self),
            "floor_us": self.floor_us,
            "share": asdict(self.share),
            "quartiles_us": {n: asdict(quartiles(some)) for n, some in self.samples_us.items()},
            "ratios": {name: asdict(self.ratio(name)) for name in peers},
        }

    def us(self, name: str) -> float | None:
        """The median."""
        samples = self.samples_us.get(name)
        return statistics.median(samples) if samples else None

    @property
    def floor_us(self) -> float:
        """The median of the floor's turns."""
        return statistics.median(self.samples_us[FLOOR])

    @property
    def best(self) -> str:
        """Our faster call: in place or into given memory where it was measured."""
        found = [name for name in (OURS, OURS_GIVEN) if name in self.samples_us]
        return min(found, key=lambda name: statistics.median(self.samples_us[name]))

    @property
    def best_us(self) -> float:
        """The time of that."""
        return statistics.median(self.samples_us[self.best])

    @property
    def share(self) -> Ratio:
        """Of the floor: 1 where nothing but moving the bytes takes time."""
        return ratio(self.samples_us[FLOOR], self.samples_us[self.best])

    def ours_beside(self, peer: str) -> str:
        """The call of ours that does what the peer's does: allocate, or write where it is told."""
        return OURS_GIVEN if peer in self.given or self.in_place else OURS

    def ratio(self, peer: str) -> Ratio:
        """The peer's time over ours."""
        return ratio(self.samples_us[peer], self.samples_us[self.ours_beside(peer)])

    @cached_property
    def best_peer(self) -> str | None:
        """The one against which our ratio is the lowest."""
        names = [name for name in self.samples_us if name not in OWN]
        return min(names, key=lambda name: self.ratio(name).median, default=None)

    def parts_ratio(self, name: str) -> Ratio | None:
        """The time of the parts over the fused call's that allocates as they do, or does not."""
        ours = OURS if name == PARTS else OURS_GIVEN
        found = self.samples_us.get(name)
        return ratio(found, self.samples_us[ours]) if found else None


@contextmanager
def pool_off() -> Iterator[None]:
    """Results come from the system's allocator meanwhile."""
    limit = fusible.pool().limit
    fusible.pool(limit=0)
    try:
        yield
    finally:
        fusible.pool(limit=limit)


def _faults(work: Callable[[], object], calls: int = 5) -> float:
    """Page faults a call, once it is warm."""
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(calls):
        work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / calls


class Bench:
    """Measures cells."""

    def __init__(self, budget: float, names: list[str]) -> None:
        self._budget = budget
        self._peers = [peer for peer in peers.installed()[0] if peer.name in names]

    def cell(self, workload: Workload, size: Size, threads: int) -> Cell:
        """One cell, all contenders turn about."""
        fusible._core.set_threads(threads)
        peers.set_threads(threads)
        problem = Problem(workload, size)
        bound = floor(problem.traffic, threads)
        cell = Cell(
            *(workload.name, size.dtype, size.tokens, size.hidden, threads),
            *(problem.traffic.bytes, bound.plain_us, bound.streaming_us),
            in_place=workload.in_place,
        )
        contenders = {FLOOR: Contender(lambda: bound.seconds(1), timer=bound.seconds)}
        contenders |= self._ours(problem, cell) | self._theirs(problem, cell)
        times = turns(contenders, self._budget, settle=SETTLE if threads > 1 else 0)
        cell.samples_us = {name: [t * 1e6 for t in some] for name, some in times.items()}
        return cell

    def _ours(self, problem: Problem, cell: Cell) -> dict[str, Contender]:
        found = {OURS_GIVEN: Contender(problem.given())}
        if problem.workload.in_place:
            return found
        found[OURS] = Contender(problem.allocating())
        cell.faults = _faults(found[OURS].work)
        if problem.fused:
            parts = Parts(problem.signature, problem.copies(), problem.attrs)
            found[PARTS_GIVEN] = Contender(parts.given())
            found[PARTS] = Contender(parts.allocating(), pool_off)
            cell.parts_bytes = parts.bytes
        return found

    def _theirs(self, problem: Problem, cell: Cell) -> dict[str, Contender]:
        found = {}
        for peer in self._peers:
            try:
                call = peer.call(problem.workload.name, problem.copies(), problem.attrs)
                if call is not None:
                    self._compare(problem, peer.name, call, cell)
                    found[peer.name] = Contender(call.work)
            except Exception as error:  # a peer may fail in any way; the table says how
                cell.failures[peer.name] = f"{type(error).__name__}: {error}".splitlines()[0]
        return found

    def _compare(self, problem: Problem, name: str, call: peers.Call, cell: Cell) -> None:
        """Notes how a peer's results differ; ValueError where they are not the operator's."""
        apart = difference(problem.result, call.arrays())
        if apart.unrelated:
            raise ValueError(f"its results are not the operator's: {apart}")
        cell.differences[name] = apart
        if not apart.within(problem.workload.known_of(name, problem.size.dtype)):
            cell.disagreeing.append(name)
        if call.given:
            cell.given.append(name)
