"""The fewest bytes that row operators can move, by trying every partition into legal regions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

ROW = 256  # bytes of a row of 128 bf16


@dataclass(frozen=True)
class Call:
    """A step of a small graph: what it reads and makes; a barrier gives no rows."""

    text: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    is_rows: bool


def bytes_of(name: str) -> int:
    """Of a row of a value: codes are one byte each, scales are one float a group."""
    return {"q": ROW // 2, "s": 4}.get(name[0], ROW)


@dataclass(frozen=True)
class SmallGraph:
    """Steps in order over inputs x and r, and what they return."""

    calls: tuple[Call, ...]
    returned: tuple[str, ...]

    def __str__(self) -> str:
        head = "input x: bf16[T, 128]\ninput r: bf16[T, 128]\nconstant w: bf16[128]\n"
        lines = "".join(f"{call.text}\n" for call in self.calls)
        return f"{head}{lines}return {', '.join(self.returned)}\n"


def random_rows(rng: Random, most: int) -> SmallGraph:
    """A graph of at most so many steps, most of them row operators; it returns what is unread."""
    values, calls = ["x", "r"], []
    for i in range(rng.randint(2, most)):
        a, b, kind = rng.choice(values), rng.choice(values), rng.randrange(8)
        if kind <= 2 and a != b:
            calls.append(Call(f"v{i} = add({a}, {b})", (a, b), (f"v{i}",), True))
        elif kind <= 5:
            op = "rms_norm({a}, w)" if kind < 5 else "softmax({a})"
            calls.append(Call(f"v{i} = {op.format(a=a)}", (a,), (f"v{i}",), True))
        elif kind == 6:
            text = f"q{i}, s{i} = per_token_group_quant_fp8({a})"
            calls.append(Call(text, (a,), (f"q{i}", f"s{i}"), True))
            continue
        else:
            text = f'v{i}: bf16[T, 128] = opaque({a}, name="barrier")'
            calls.append(Call(text, (a,), (f"v{i}",), False))
        values.append(f"v{i}")
    read = {name for call in calls for name in call.reads}
    made = [name for call in calls for name in call.makes]
    returned = [name for name in made if name not in read or rng.random() < 0.2]
    return SmallGraph(tuple(calls), tuple(returned))


def partitions(items: Sequence[int]) -> Iterator[list[list[int]]]:
    """All partitions of a list into groups, each in its order."""
    if not items:
        yield []
        return
    *rest, last = items
    for groups in partitions(rest):
        yield [*groups, [last]]
        for i, group in enumerate(groups):
            yield [*groups[:i], [*group, last], *groups[i + 1 :]]


class Regions:
    """What regions of a graph's row operators cost."""

    def __init__(self, graph: SmallGraph, scratch: int) -> None:
        self._graph, self._scratch = graph, scratch
        self._readers: dict[str, set[int]] = {}
        for number, call in enumerate(graph.calls):
            for name in call.reads:
                self._readers.setdefault(name, set()).add(number)

    def fewest_bytes(self) -> int:
        """Of the best partition."""
        rows = [number for number, call in enumerate(self._graph.calls) if call.is_rows]
        legal = (
            groups
            for groups in partitions(rows)
            if all(len(g) == 1 or self._live(g) <= self._scratch for g in groups)
            and self._is_acyclic(groups)
        )
        return min(sum(map(self.moved, groups)) for groups in legal)

    def moved(self, group: Sequence[int]) -> int:
        """Bytes a row that a group reads and writes."""
        calls = [self._graph.calls[number] for number in group]
        made = {name for call in calls for name in call.makes}
        read = {name for call in calls for name in call.reads} - made
        written = {name for name in made if self._leaves(name, group)}
        return sum(map(bytes_of, read | written))

    def _leaves(self, name: str, group: Sequence[int]) -> bool:
        readers = self._readers.get(name, set())
        return name in self._graph.returned or not readers or bool(readers - set(group))

    def _live(self, group: Sequence[int]) -> int:
        """Bytes of the rows that are kept between the group's calls, at most."""
        live, most, freed = 0, 0, dict.fromkeys(group, 0)
        for number in group:
            for name in self._graph.calls[number].makes:
                if self._leaves(name, group):
                    continue
                live += bytes_of(name)
                freed[max(self._readers[name])] += bytes_of(name)
            most = max(most, live)
            live -= freed[number]
        return most

    def _is_acyclic(self, groups: Sequence[Sequence[int]]) -> bool:
        calls = self._graph.calls
        group_of = {number: i for i, group in enumerate(groups) for number in group}
        node = [group_of.get(number, -1 - number) for number in range(len(calls))]
        edges = {
            (node[maker], node[reader])
            for maker, call in enumerate(calls)
            for name in call.makes
            for reader in self._readers.get(name, ())
            if node[maker] != node[reader]
        }
        left = set(node)
        while left:
            free = left - {reader for maker, reader in edges if maker in left}
            if not free:
                return False
            left -= free
        return True
