"""The fewest bytes that row operators can move, by trying every choice of legal regions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from random import Random

ROW = 256  # bytes of a row of 128 bf16


@dataclass(frozen=True)
class Call:
    """A step of a small graph: what it reads and makes; a product gives no rows.

    Several regions may run a cheap one, each for itself.
    """

    text: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    is_rows: bool
    is_cheap: bool = False


def bytes_of(name: str) -> int:
    """Of a row of a value: codes are one byte each, scales are one float a group."""
    return {"c": ROW // 2, "q": ROW // 2, "s": 4}.get(name[0], ROW)


@dataclass(frozen=True)
class SmallGraph:
    """Steps in order over inputs x, r and codes c, and what they return."""

    calls: tuple[Call, ...]
    returned: tuple[str, ...]

    def __str__(self) -> str:
        head = "input x: bf16[T, 128]\ninput r: bf16[T, 128]\ninput c: e4m3fn[T, 128]\n"
        head += "constant w: bf16[128]\nconstant m: bf16[128, 128]\n"
        lines = "".join(f"{call.text}\n" for call in self.calls)
        return f"{head}{lines}return {', '.join(self.returned)}\n"


def random_call(rng: Random, i: int, values: Sequence[str]) -> Call:
    """A step that reads some of the values."""
    a, b, kind = rng.choice(values), rng.choice(values), rng.randrange(9)
    if kind <= 2 and a != b:
        return Call(f"v{i} = add({a}, {b})", (a, b), (f"v{i}",), True, True)
    if kind <= 5:
        op = f"rms_norm({a}, w)" if kind < 5 else f"softmax({a})"
        return Call(f"v{i} = {op}", (a,), (f"v{i}",), True)
    if kind == 6:
        text = f"q{i}, s{i} = per_token_group_quant_fp8({a})"
        return Call(text, (a,), (f"q{i}", f"s{i}"), True)
    if kind == 7:
        return Call(f"v{i} = cast(c, dtype=bf16)", ("c",), (f"v{i}",), True, True)
    return Call(f"v{i} = matmul({a}, m)", (a,), (f"v{i}",), False)


def random_rows(rng: Random, most: int) -> SmallGraph:
    """A graph of at most so many steps, no two equal, most of them row operators.

    It returns what is unread, and some of the rest.
    """
    values, calls, known = ["x", "r"], [], set()
    for i in range(rng.randint(2, most)):
        call = random_call(rng, i, values)
        what = (call.text.partition(" = ")[2].partition("(")[0], *sorted(call.reads))
        if what in known:
            continue
        known.add(what)
        calls.append(call)
        values += [name for name in call.makes if name[0] == "v"]
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


@dataclass
class Block:
    """A region: what it alone runs or writes the results of, and what it runs again for itself."""

    own: tuple[int, ...]
    again: tuple[int, ...] = ()
    steps: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.steps = sorted({*self.own, *self.again})


class Regions:
    """What regions of a graph's row operators cost."""

    def __init__(self, graph: SmallGraph, scratch: int) -> None:
        self._graph, self._scratch = graph, scratch
        self._maker = {name: i for i, call in enumerate(graph.calls) for name in call.makes}
        readers = [name for call in graph.calls if not call.is_rows for name in call.reads]
        self._needed = {*graph.returned, *readers} & set(self._maker)

    def fewest_bytes(self) -> int:
        """Of all regions; two of them may run the same cheap step."""
        rows = [number for number, call in enumerate(self._graph.calls) if call.is_rows]
        fewest = sum(self._moved([Block((number,)) for number in rows]))
        bounded = [(self._least(groups), groups) for groups in partitions(rows)]
        for least, groups in sorted(bounded):
            if least >= fewest:
                break
            for blocks in self._with_repeats([Block(tuple(group)) for group in groups]):
                moved = sum(self._moved(blocks))
                if moved < fewest and self._is_legal(blocks):
                    fewest = moved
        return fewest

    def _least(self, groups: list[list[int]]) -> int:
        """Bytes that these move at least, whatever cheap steps they run again."""
        least, written = 0, set(self._needed)
        for group in groups:
            read = {name for i in group for name in self._graph.calls[i].reads}
            for name in read:
                maker = self._maker.get(name, -1)
                if maker in group or (maker >= 0 and self._graph.calls[maker].is_cheap):
                    continue
                least += bytes_of(name)
                written |= {name} & set(self._maker)
        made = {name for call in self._graph.calls if call.is_rows for name in call.makes}
        return least + sum(map(bytes_of, written & made))

    def _with_repeats(self, own: list[Block]) -> Iterator[list[Block]]:
        """The blocks with any cheap steps of others run again that they could make use of."""
        if not own:
            yield []
            return
        for rest in self._with_repeats(own[1:]):
            cheap = sorted(self._cheap_before(own[0]))
            for count in range(len(cheap) + 1):
                for again in combinations(cheap, count):
                    yield [Block(own[0].own, again), *rest]

    def _cheap_before(self, block: Block) -> set[int]:
        """Cheap steps of others that lead to the block by nothing but cheap steps."""
        found: set[int] = set()
        left = list(block.own)
        while left:
            for name in self._graph.calls[left.pop()].reads:
                maker = self._maker.get(name, -1)
                if maker < 0 or maker in {*found, *block.own}:
                    continue
                if self._graph.calls[maker].is_cheap:
                    found.add(maker)
                    left.append(maker)
        return found

    def _read(self, block: Block) -> set[str]:
        calls = [self._graph.calls[number] for number in block.steps]
        made = {name for call in calls for name in call.makes}
        return {name for call in calls for name in call.reads} - made

    def _alive(self, blocks: list[Block]) -> tuple[list[Block], set[str]]:
        """Blocks without those that nobody reads of, and what is written."""
        while True:
            written = self._needed.union(*map(self._read, blocks))
            alive = [
                block
                for block in blocks
                if any(name in written for i in block.own for name in self._graph.calls[i].makes)
            ]
            if len(alive) == len(blocks):
                return blocks, written
            blocks = alive

    def _moved(self, blocks: list[Block]) -> list[int]:
        """Bytes a row that each block reads and writes."""
        alive, written = self._alive(blocks)
        return [
            sum(map(bytes_of, self._read(block)))
            + sum(
                bytes_of(n) for i in block.own for n in self._graph.calls[i].makes if n in written
            )
            for block in alive
        ]

    def _is_legal(self, blocks: list[Block]) -> bool:
        alive, written = self._alive(blocks)
        fits = all(
            len(block.steps) == 1 or self._live(block, written) <= self._scratch for block in alive
        )
        return (
            fits
            and all(self._is_used(block, written) for block in alive)
            and self._is_acyclic(alive)
        )

    def _is_used(self, block: Block, written: set[str]) -> bool:
        """Whether each of the block's steps is there for something."""
        calls = self._graph.calls
        read = {name for i in block.steps for name in calls[i].reads}
        return all(
            any(name in read or (i in block.own and name in written) for name in calls[i].makes)
            for i in block.steps
        )

    def _live(self, block: Block, written: set[str]) -> int:
        """Bytes of the rows that are kept between the block's steps, at most."""
        live, most, freed = 0, 0, dict.fromkeys(block.steps, 0)
        for number in block.steps:
            for name in self._graph.calls[number].makes:
                if number in block.own and name in written:
                    continue
                readers = [i for i in block.steps if name in self._graph.calls[i].reads]
                live += bytes_of(name)
                freed[max([number, *readers])] += bytes_of(name)
            most = max(most, live)
            live -= freed[number]
        return most

    def _is_acyclic(self, blocks: list[Block]) -> bool:
        calls = self._graph.calls
        reads = [self._read(block) for block in blocks]
        makes = [{name for i in block.own for name in calls[i].makes} for block in blocks]
        for call in calls:
            if not call.is_rows:
                reads.append(set(call.reads))
                makes.append(set(call.makes))
        left = set(range(len(reads)))
        while left:
            unmade = set().union(*(makes[i] for i in left))
            free = {i for i in left if not reads[i] & unmade}
            if not free:
                return False
            left -= free
        return True
