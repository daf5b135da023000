"""All small graphs of four operators, each once: no two differ in names and order alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import fusible

OPS = ("add", "rms_norm", "softmax", "per_token_group_quant_fp8")
HEAD = "input x: bf16[T, 128]\ninput r: bf16[T, 128]\nconstant w: bf16[128]\n"
ADD, NORM, SOFTMAX, QUANT = OPS
TEXTS = {
    ADD: "v{n} = add({0}, {1})\n",
    NORM: "v{n} = rms_norm({0}, w)\n",
    SOFTMAX: "v{n} = softmax({0})\n",
    QUANT: "v{n}, s{n} = per_token_group_quant_fp8({0})\n",
}
Body = frozenset[int]


class Calls:
    """Calls by number. Equal calls of equal operands have one: a graph is a set of numbers."""

    def __init__(self) -> None:
        self.made: list[tuple[str, tuple[int, ...]]] = [("x", ()), ("r", ())]
        self._numbers = {call: number for number, call in enumerate(self.made)}
        self._mirrored = {0: 1, 1: 0}

    def number(self, op: str, operands: tuple[int, ...]) -> int:
        """Of an addition the operands have no order."""
        call = op, tuple(sorted(operands))
        if call not in self._numbers:
            self._numbers[call] = len(self.made)
            self.made.append(call)
        return self._numbers[call]

    def onto(self, body: Body) -> Iterator[int]:
        """Every call of the inputs and of what the body's calls make. Codes are read by none."""
        values = [0, 1, *(call for call in sorted(body) if self.made[call][0] != QUANT)]
        for pair in combinations_with_replacement(values, 2):
            yield self.number(ADD, pair)
        for value in values:
            yield from (self.number(op, (value,)) for op in (NORM, SOFTMAX, QUANT))

    def mirrored(self, call: int) -> int:
        """The same call with the two inputs exchanged."""
        if call not in self._mirrored:
            op, operands = self.made[call]
            self._mirrored[call] = self.number(op, tuple(map(self.mirrored, operands)))
        return self._mirrored[call]

    def canonical(self, body: Body) -> Body:
        """One of the two sets that the body and its mirror image are."""
        return frozenset(min(sorted(body), sorted(map(self.mirrored, body))))


def bodies(calls: Calls, most: int) -> Iterator[list[Body]]:
    """All bodies of one call, of two, and so on."""
    level = {frozenset[int]()}
    for _ in range(most):
        level = {
            calls.canonical(body | {call})
            for body in level
            for call in calls.onto(body)
            if call not in body
        }
        yield sorted(level, key=sorted)


def graphs_of(calls: Calls, body: Body) -> Iterator[fusible.Graph]:
    """The graph that returns what nobody reads, and the one that returns everything."""
    text, names, read = "", {0: "x", 1: "r"}, set[int]()
    results: dict[int, list[str]] = {}
    for n, call in enumerate(sorted(body)):  # operands have lower numbers
        op, operands = calls.made[call]
        text += TEXTS[op].format(*(names[value] for value in operands), n=n)
        names[call] = f"v{n}"
        results[call] = [f"v{n}", f"s{n}"] if op == QUANT else [f"v{n}"]
        read |= set(operands)
    everything = [name for call in results for name in results[call]]
    unread = [name for call in results if call not in read for name in results[call]]
    for returned in [unread] if unread == everything else [unread, everything]:
        yield fusible.Graph.parse(f"{HEAD}{text}return {', '.join(returned)}\n")
