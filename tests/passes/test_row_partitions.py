"""fuse-rows beside every choice of regions in small graphs: none moves fewer bytes."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

import fusible
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
        if not node.name.startswith("opaque")
        for name in {*node.inputs, *node.outputs} - {"w", None}
    )


def steps_of(graph: fusible.Graph) -> int:
    """How many calls run, in regions and beside them."""
    return sum(len(node.body.nodes) if node.is_region else 1 for node in graph.nodes)


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
        plain = fusible.optimize(graph, target, "share-common,drop-dead").graph
        regions = sum(node.is_region for node in result.graph.nodes)
        seen["fused"] += regions > 0
        seen["split"] += regions > 1
        if steps_of(result.graph) > steps_of(plain):
            seen["recomputed"] += 1
            assert any(choice.kind == "recompute" for choice in result.choices)
    assert seen["recomputed"] > 0
    assert 0 < seen["split"] < seen["fused"] < GRAPHS
