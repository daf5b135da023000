"""Where a rule could fuse, by trying every choice of calls: slow, and nothing of the matcher's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def escapes(rule: _core.Rule, nodes: Sequence[Any], graph: fusible.Graph) -> bool:
    """Whether something outside reads a value that the fused call would not give."""
    inside = {
        name
        for call, node in zip(rule.calls, nodes, strict=True)
        for value, name in zip(call.results, node.outputs, strict=True)
        if value not in rule.outputs
    }
    others = [one for one in graph.nodes if all(one.outputs != node.outputs for node in nodes)]
    read = {name for node in others for name in node.inputs}
    return bool(inside & (read | {value.name for value in graph.outputs}))


def legal_matches(graph: fusible.Graph, rule: _core.Rule) -> Iterator[tuple[str, ...]]:
    """The first results of the calls that could become one, for every way to choose them.

    Attributes are not looked at, nor views between calls: the graphs have none that matter.
    """
    named = [[n for n in graph.nodes if n.name == call.op] for call in rule.calls]
    for nodes in product(*named):
        if len({node.outputs[0] for node in nodes}) < len(nodes):
            continue
        choices = product(
            *(orders(call, node) for call, node in zip(rule.calls, nodes, strict=True))
        )
        if any(binds(rule, nodes, one) for one in choices) and not escapes(rule, nodes, graph):
            yield tuple(node.outputs[0] for node in nodes)
