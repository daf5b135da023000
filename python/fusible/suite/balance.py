"""Files of tests over partitions, so that the last partition ends as early as it can.

Longest processing time first: heaviest piece first, each to the partition with the least. A piece
is a file, whose set-up (its import) is paid once in each partition that runs some of it. A file
heavier than what a partition may hold is cut into runs of neighbouring tests, so that classes and
parametrized tests mostly stay together.

Everything goes by (file, id, occurrence) and never by the order of collection: a plugin that
shuffles gives every machine another order, and all must come to the same partitions.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fusible.suite.model import Item

# Shares of the lower bound that a piece may weigh. Whole files come first: each cut costs an
# import and may set a module's fixtures up twice.
_SHARES = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
_GOOD_ENOUGH = 1.03  # of the lower bound: no finer cuts then


@dataclass(frozen=True)
class Load:
    """What is to be spread: items, the seconds of each, the set-up seconds of each file."""

    items: Sequence[Item]
    tests: Sequence[float]
    setup: Mapping[str, float]

    def alone(self, position: int) -> float:
        """Seconds of a partition that runs this item and nothing else."""
        return self.tests[position] + self.setup[self.items[position].file]


@dataclass(frozen=True)
class _Piece:
    file: str
    positions: Sequence[int]
    seconds: float  # of its tests, without the file's set-up


def lower_bound(load: Load, parts: int) -> float:
    """Seconds below which no assignment to `parts` partitions can be."""
    files = {item.file for item in load.items}
    total = math.fsum(load.tests) + math.fsum(load.setup[file] for file in files)
    return max([total / parts, *(load.alone(i) for i in range(len(load.items)))])


def estimates(load: Load, partition: Sequence[int], parts: int) -> list[float]:
    """Seconds of each partition."""
    seconds: list[list[float]] = [[] for _ in range(parts)]
    files: list[set[str]] = [set() for _ in range(parts)]
    for item, test, part in zip(load.items, load.tests, partition, strict=True):
        seconds[part].append(test)
        files[part].add(item.file)
    return [
        math.fsum(tests) + math.fsum(load.setup[file] for file in own)
        for tests, own in zip(seconds, files, strict=True)
    ]


def balance(load: Load, parts: int) -> list[int]:
    """The partition of each item."""
    bound = lower_bound(load, parts)
    files = _files(load)
    best: list[int] = []
    least = math.inf
    for share in _SHARES:
        pieces = [piece for file in files for piece in _cut(load, file, bound * share)]
        partition = _spread(load, pieces, parts)
        makespan = max(estimates(load, partition, parts))
        if makespan < least:
            best, least = partition, makespan
        if makespan <= bound * _GOOD_ENOUGH:
            break
    return best


def _files(load: Load) -> list[_Piece]:
    """Each file as one piece, its tests by id."""
    members: dict[str, list[int]] = {}
    for position, item in enumerate(load.items):
        members.setdefault(item.file, []).append(position)
    for positions in members.values():
        positions.sort(key=lambda position: load.items[position].key)
    return [_piece(load, file, members[file]) for file in sorted(members)]


def _piece(load: Load, file: str, positions: Sequence[int]) -> _Piece:
    return _Piece(file, positions, math.fsum(load.tests[position] for position in positions))


def _cut(load: Load, file: _Piece, most: float) -> Iterator[_Piece]:
    """The file in runs of at most `most` seconds with set-up; a longer test is a run of its own."""
    room = (most - load.setup[file.file]) * (1 + 1e-9)  # sums of floats may end a hair above
    if file.seconds <= room:
        yield file
        return
    run: list[int] = []
    seconds = 0.0
    for position in file.positions:
        test = load.tests[position]
        if run and seconds + test > room:
            yield _piece(load, file.file, run)
            run, seconds = [], 0.0
        run.append(position)
        seconds += test
    if run:
        yield _piece(load, file.file, run)


def _spread(load: Load, pieces: Sequence[_Piece], parts: int) -> list[int]:
    """Heaviest first to the lightest partition; among equals to the one with fewest tests."""
    partition = [0] * len(load.items)
    heap = [(0.0, 0, part) for part in range(parts)]
    imported: list[set[str]] = [set() for _ in range(parts)]
    # The sort is stable, and the pieces come sorted by file and id.
    for piece in sorted(pieces, key=lambda p: -(p.seconds + load.setup[p.file])):
        seconds, count, part = heap[0]
        again = piece.file in imported[part]
        imported[part].add(piece.file)
        seconds += piece.seconds + (0.0 if again else load.setup[piece.file])
        heapq.heapreplace(heap, (seconds, count + len(piece.positions), part))
        for position in piece.positions:
            partition[position] = part
    return partition
