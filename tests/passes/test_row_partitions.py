"""fuse-rows beside every partition of small graphs into regions: none moves fewer bytes."""

from __future__ import annotations

from random import Random

import fusible
from support.row_partitions import Regions, SmallGraph, bytes_of, random_rows

GRAPHS = 1000
STEPS = 7
MANAGER = fusible.PassManager("fuse-rows", "cpu")


def moved_bytes(graph: fusible.Graph) -> int:
    """Bytes a row that row operators and regions read and write, weights left out."""
    return sum(
        bytes_of(name)
        for node in graph.nodes
        if not node.name.startswith("opaque")
        for name in {*node.inputs, *node.outputs} - {"w", None}
    )


def optimized(graph: SmallGraph) -> fusible.Graph:
    """The graph with its regions, which a second run leaves as they are."""
    result = MANAGER.run(fusible.Graph.parse(str(graph)))
    assert MANAGER.run(result.graph).rewrites == []
    return result.graph


def test_no_partition_moves_fewer_bytes() -> None:
    split = fused = 0
    for seed in range(GRAPHS):
        graph = random_rows(Random(seed), STEPS)
        fewest = Regions(graph, MANAGER.target.scratch_bytes).fewest_bytes()
        made = optimized(graph)
        assert moved_bytes(made) == fewest, f"seed {seed}:\n{graph}becomes\n{made}"
        regions = [node for node in made.nodes if "+" in node.name]
        fused += bool(regions)
        split += len(regions) > 1
    assert split > 0  # opaque steps part some graphs into several regions
    assert split < fused < GRAPHS
