"""Where a rule could fuse, by trying every choice of calls: slow, and nothing of the matcher's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import fusible
from fusible import _core

Order = tuple[str | None, ...]


def orders(call: Any, node: Any) -> list[Order]:
    """The orders in which a node's operands may be compared with a call's."""
    given = tuple(node.inputs)
    return [given, (given[1], given[0], *given[2:])] if call.commutes else [given]


def binds(rule: _core.Rule, nodes: Sequence[Any], operands: Sequence[Order]) -> bool:
    """Whether every value of the pattern is one value of the graph."""
    bound: dict[int, str | None] = {}
    for call, node in zip(rule.calls, nodes, strict=True):
        bound.update(zip(call.results, node.outputs, strict=True))
    return all(
        (name is None) if value < 0 else bound.setdefault(value, name) == name
        for call, names in zip(rule.calls, operands, strict=True)
        for value, name in zip(call.operands, names, strict=True)
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


def matches(graph: fusible.Graph, rule: _core.Rule) -> Iterator[Found]:
    """Every choice of calls that the rule's pattern fits, whoever else reads what is inside.

    Attributes are not looked at, nor views between calls: the graphs have none that matter.
    """
    named = [[n for n in graph.nodes if n.name == call.op] for call in rule.calls]
    for nodes in product(*named):
        if len({node.outputs[0] for node in nodes}) < len(nodes):
            continue
        choices = product(
            *(orders(call, node) for call, node in zip(rule.calls, nodes, strict=True))
        )
        if any(binds(rule, nodes, one) for one in choices):
            inside = frozenset(
                name
                for call, node in zip(rule.calls, nodes, strict=True)
                for value, name in zip(call.results, node.outputs, strict=True)
                if value not in rule.outputs
            )
            yield Found(rule.name, tuple(node.outputs[0] for node in nodes), inside)


def escapes(found: Found, graph: fusible.Graph, others: Iterable[Found] = ()) -> bool:
    """Whether something outside reads a value that the fused call would not give.

    What is inside another of `others` as well may read it there: it computes the value again.
    """
    if found.inside & {value.name for value in graph.outputs}:
        return True
    recomputed = {(call, name) for one in others for call in one.calls for name in one.inside}
    return any(
        name in found.inside and (node.outputs[0], name) not in recomputed
        for node in graph.nodes
        if node.outputs[0] not in found.calls
        for name in node.inputs
    )


def legal_matches(graph: fusible.Graph, rules: Iterable[_core.Rule]) -> list[Found]:
    """The matches of all rules of which nothing escapes, not even into each other."""
    return [found for rule in rules for found in matches(graph, rule) if not escapes(found, graph)]


def maximal_matches(graph: fusible.Graph, rules: Iterable[_core.Rule]) -> list[Found]:
    """The matches that can all be made, each computing what it needs, and that no other holds."""
    left = [found for rule in rules for found in matches(graph, rule)]
    while True:
        stay = [found for found in left if not escapes(found, graph, left)]
        if len(stay) == len(left):
            break
        left = stay
    return [one for one in left if not any(set(one.calls) < set(other.calls) for other in left)]
