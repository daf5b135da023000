"""Matching looks at as many nodes a layer, however many layers there are: counted, not timed."""

from __future__ import annotations

import pytest
from benchmarks.layered import NODES, layered
from benchmarks.near_rules import near_rules

import fusible

RULES = [*near_rules()]
PIPELINE = "canonicalize,share-common,fuse-ops,select-ops,drop-dead"
LAYERS = 6
# A body that something else reads, a mutation between, and a reader far behind.
LONG = "y{0} = rms_norm(x{0}, w)\nx{1} = add(y{0}, x0)\n"


def looked_at(text: str, target: str, pipeline: str | None, given: bool) -> int:
    """How many nodes the rules of a pipeline look at."""
    manager = fusible.PassManager(pipeline, target, rules=RULES if given else ())
    result = manager.run(fusible.Graph.parse(text))
    return sum(one.looked_at for one in result.stats)


@pytest.mark.parametrize("given", [False, True], ids=["operators", "near-rules"])
@pytest.mark.parametrize(
    ("target", "pipeline"), [("cuda-sm90", None), ("rocm-gfx950", None), ("cuda-sm90", PIPELINE)]
)
def test_every_layer_costs_as_much_as_the_one_before(
    target: str, pipeline: str | None, given: bool
) -> None:
    one, two, four = (looked_at(layered(n * LAYERS), target, pipeline, given) for n in (1, 2, 4))
    assert one >= LAYERS * NODES / 5  # every call that could be the last one of a rule
    assert four - two == 2 * (two - one)


def test_a_chain_of_calls_that_all_read_one_is_linear() -> None:
    def chain(count: int) -> str:
        lines = "".join(LONG.format(i, i + 1) for i in range(count))
        return f"input x0: bf16[T, 512]\nconstant w: bf16[512]\n{lines}return x{count}\n"

    one, two, four = (looked_at(chain(n), "cuda-sm90", None, True) for n in (40, 80, 160))
    assert one >= 40
    assert four - two == 2 * (two - one)


def test_it_is_counted_again_behind_a_cache_hit(tmp_path: object) -> None:
    graph = fusible.Graph.parse(layered(1))
    fresh, found = (fusible.optimize(graph, "cuda-sm90", cache=str(tmp_path)) for _ in range(2))
    assert found.cached
    counts = [[one.looked_at for one in each.stats] for each in (fresh, found)]
    assert counts[0] == counts[1]
    assert sum(counts[0]) > 0
