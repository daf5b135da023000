"""fuse-rows beside every choice of regions in small graphs: none moves fewer bytes."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

import fusible
from fusible.checks import Bits
from support.row_partitions import ROW, Regions, bytes_of, random_rows

GRAPHS = 1000
STEPS = 7
# One row, two, and more than any of the graphs needs.
SCRATCHES = (ROW, 2 * ROW, 8 * ROW)


def moved_bytes(graph: fusible.Graph) -> int:
    """Bytes a row that row operators and regions read and write, weights left out."""
    return sum(
        bytes_of(name)
        for node in graph.nodes
        if node.name != "matmul"
        for name in {*node.inputs, *node.outputs} - {"w", None}
    )


def steps_of(graph: fusible.Graph) -> int:
    """How many calls run, in regions and beside them."""
    return sum(len(node.body.nodes) if node.is_region else 1 for node in graph.nodes)


def check_any_fuel(manager: fusible.PassManager, graph: fusible.Graph, rewrites: int) -> None:
    """However many of the regions are made, the graph is legal and gives the same bits."""
    for fuel in range(rewrites):
        assert Bits(graph)(manager.run(graph, fuel=fuel).graph), f"fuel {fuel}"


@pytest.mark.parametrize("scratch", SCRATCHES)
def test_no_regions_move_fewer_bytes(scratch: int) -> None:
    target = fusible.Target(
        name="small", pipeline="fuse-rows", all_operators=True, scratch_bytes=scratch
    )
    manager = fusible.PassManager(None, target)
    seen: Counter[str] = Counter()
    for seed in range(GRAPHS):
        small = random_rows(Random(seed), STEPS)
        graph = fusible.Graph.parse(str(small))
        result = manager.run(graph)
        fewest = Regions(small, scratch).fewest_bytes()
        assert moved_bytes(result.graph) == fewest, f"seed {seed}:\n{small}becomes\n{result.graph}"
        assert manager.run(result.graph).rewrites == [], f"seed {seed}: not at rest"
        assert Bits(graph)(result.graph), f"seed {seed}: other bits"
        again = steps_of(result.graph) > steps_of(manager.run(graph, fuel=0).graph)
        kinds = {choice.kind for choice in result.choices}
        assert again == ("recompute" in kinds), f"seed {seed}"
        if again:
            check_any_fuel(manager, graph, len(result.rewrites))
        seen.update(kinds)
        seen["fused"] += any(node.is_region for node in result.graph.nodes)
    assert seen["recompute"] > 0
    assert (seen["split"] > 0) == (scratch < SCRATCHES[-1])
    assert 0 < seen["fused"] < GRAPHS
