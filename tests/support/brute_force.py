"""Where a rule could fuse, by trying every choice of calls: slow, and nothing of the matcher's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

import fusible
from fusible import _core

Order = tuple[str | None, ...]


class Call(NamedTuple):
    """A node of a graph."""

    op: str
    inputs: Order
    outputs: tuple[str, ...]


class Plain:
    """A graph as plain data, which is read often."""

    def __init__(self, graph: fusible.Graph) -> None:
        self.calls = [Call(n.name, tuple(n.inputs), tuple(n.outputs)) for n in graph.nodes]
        self.returned = frozenset(value.name for value in graph.outputs)

    def named(self, op: str) -> list[Call]:
        """The calls of an operator."""
        return [call for call in self.calls if call.op == op]


class Wanted(NamedTuple):
    """A call of a pattern; values are numbers."""

    op: str
    commutes: bool
    operands: tuple[int, ...]
    results: tuple[int, ...]


@cache
def wanted_by(rule: _core.Rule) -> tuple[Wanted, ...]:
    """The calls of a rule's pattern as plain data."""
    return tuple(
        Wanted(call.op, call.commutes, tuple(call.operands), tuple(call.results))
        for call in rule.calls
    )


def orders(wanted: Wanted, call: Call) -> list[Order]:
    """The orders in which a call's operands may be compared with those of the pattern."""
    given = call.inputs
    return [given, (given[1], given[0], *given[2:])] if wanted.commutes else [given]


def binds(pattern: Sequence[Wanted], calls: Sequence[Call], operands: Sequence[Order]) -> bool:
    """Whether every value of the pattern is one value of the graph."""
    bound: dict[int, str | None] = {}
    for wanted, call in zip(pattern, calls, strict=True):
        bound.update(zip(wanted.results, call.outputs, strict=True))
    return all(
        (name is None) if value < 0 else bound.setdefault(value, name) == name
        for wanted, names in zip(pattern, operands, strict=True)
        for value, name in zip(wanted.operands, names, strict=True)
    )


@dataclass(frozen=True)
class Found:
    """Calls that are what a rule looks for, by the first result of each; the root is the last."""

    rule: str
    calls: tuple[str, ...]
    inside: frozenset[str]  # values that the fused call would not give

    @property
    def site(self) -> tuple[str, str]:
        """What a rewrite says of it: the rule and the root."""
        return self.rule, self.calls[-1]


def matches(graph: Plain, rule: _core.Rule) -> Iterator[Found]:
    """Every choice of calls that the rule's pattern fits, whoever else reads what is inside.

    Attributes are not looked at, nor views between calls: the graphs have none that matter.
    """
    pattern = wanted_by(rule)
    for calls in product(*(graph.named(wanted.op) for wanted in pattern)):
        if len({call.outputs[0] for call in calls}) < len(calls):
            continue
        choices = product(*map(orders, pattern, calls))
        if any(binds(pattern, calls, one) for one in choices):
            inside = frozenset(
                name
                for wanted, call in zip(pattern, calls, strict=True)
                for value, name in zip(wanted.results, call.outputs, strict=True)
                if value not in rule.outputs
            )
            yield Found(rule.name, tuple(call.outputs[0] for call in calls), inside)


def escapes(found: Found, graph: Plain, others: Iterable[Found] = ()) -> bool:
    """Whether something outside reads a value that the fused call would not give.

    What is inside another of `others` as well may read it there: it computes the value again.
    """
    if found.inside & graph.returned:
        return True
    recomputed = {(call, name) for one in others for call in one.calls for name in one.inside}
    return any(
        name in found.inside and (call.outputs[0], name) not in recomputed
        for call in graph.calls
        if call.outputs[0] not in found.calls
        for name in call.inputs
    )


def legal_matches(graph: fusible.Graph, rules: Iterable[_core.Rule]) -> list[Found]:
    """The matches of all rules of which nothing escapes, not even into each other."""
    plain = Plain(graph)
    return [found for rule in rules for found in matches(plain, rule) if not escapes(found, plain)]


def maximal_matches(graph: fusible.Graph, rules: Iterable[_core.Rule]) -> list[Found]:
    """The matches that can all be made, each computing what it needs, and that no other holds."""
    plain = Plain(graph)
    left = [found for rule in rules for found in matches(plain, rule)]
    while True:
        stay = [found for found in left if not escapes(found, plain, left)]
        if len(stay) == len(left):
            break
        left = stay
    return [one for one in left if not any(set(one.calls) < set(other.calls) for other in left)]
