"""Twenty thousand random legal graphs, each with every property that keys and passes promise.

A failing example is a number; ``support.random_graphs.random_graph(number)`` makes its graph again.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, note, settings

import fusible
from fusible.checks import Bits
from support.random_graphs import Meanings, isomorphic, mutated, numbers, random_graph

EXAMPLES = 20_000
TARGETS = ("cpu", "cuda-sm90", "musa-s5000", "rocm-gfx950")


class Keys:
    """Every key that was made, and the meaning of its graph: one of each for each of the other."""

    def __init__(self) -> None:
        self._meanings = Meanings()
        self._meaning_of: dict[str, int] = {}
        self._key_of: dict[int, str] = {}

    def add(self, graph: fusible.Graph) -> int:
        """The meaning of the graph, whose key must be that of this meaning and of no other."""
        key, meaning = str(graph.key()), self._meanings.of(graph)
        assert self._meaning_of.setdefault(key, meaning) == meaning, "a key of two meanings"
        assert self._key_of.setdefault(meaning, key) == key, "a meaning with two keys"
        return meaning


def check_keys(text: str, rng: Random, keys: Keys) -> str:
    """Other names and orders have the same key, a change of the meaning has another.

    Returns:
        What the change was: "same", "other" or "illegal".
    """
    one, same = (fusible.Graph.parse(each) for each in (text, isomorphic(text, rng)))
    assert keys.add(one) == keys.add(same)
    assert one.key().diff(same.key()) == {}
    changed = mutated(text, rng)
    note(changed)
    try:
        other = fusible.Graph.parse(changed)
        other.verify()
    except fusible.Error:
        return "illegal"
    is_same = keys.add(other) == keys.add(one)
    assert (one.key() == other.key()) == is_same
    assert (one.key().diff(other.key()) == {}) == is_same
    return "same" if is_same else "other"


def check_passes(text: str, manager: fusible.PassManager) -> bool:
    """The optimized graph is legal, gives the same bits, and is at rest.

    Returns:
        Whether something was fused.
    """
    graph = fusible.Graph.parse(text)
    result = manager.run(graph)
    result.graph.verify()
    assert fusible.Graph.parse(str(result.graph)) == result.graph
    assert Bits(graph)(result.graph), "other bits"
    rest = manager.run(result.graph)
    assert rest.rewrites == []
    assert rest.fusions == result.fusions
    return bool(result.fusions)


def test_every_property_holds_for_twenty_thousand_graphs() -> None:
    managers = [fusible.PassManager(None, target) for target in TARGETS]
    keys = Keys()
    seen: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(numbers)
    def holds(number: int) -> None:
        text = random_graph(number)
        note(text)
        seen["graphs"] += 1
        seen[check_keys(text, Random(number), keys)] += 1
        seen["fused"] += check_passes(text, managers[number % len(TARGETS)])

    holds()
    assert seen["graphs"] >= EXAMPLES
    # Most changes change the meaning; some do not, and some graphs have nothing to fuse.
    assert seen["other"] > seen["graphs"] / 2
    assert seen["same"] > 0
    assert 0 < seen["fused"] < seen["graphs"]
