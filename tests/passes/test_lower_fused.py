"""lower-fused: every fused call and region back to what it equals, with the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

import fusible
from fusible import _core
from fusible.checks import Bits
from support.random_graphs import graphs

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.ir"))
GRAPHS = {path.stem: path.read_text().partition("\n=> ")[0] + "\n" for path in GOLDEN}
# Opaque nodes do not run, and positions of attention are not drawn at random.
NOT_RUN = ("opaque(", "attention(")
RUNNING = {name: text for name, text in GRAPHS.items() if not any(call in text for call in NOT_RUN)}
TARGETS = ("cpu", "cuda-sm90", "rocm-gfx950", "musa-s5000")


def lowered(graph: fusible.Graph) -> fusible.Graph:
    return fusible.PassManager("lower-fused").run(graph).graph


def fused_names() -> set[str]:
    return {name for name in _core.op_names() if _core.find_op(name).describe()["equals"]}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", RUNNING.values(), ids=RUNNING)
def test_nothing_fused_is_left_and_bits_are_the_same(text: str, target: str) -> None:
    graph = fusible.Graph.parse(text)
    plain = lowered(fusible.optimize(graph, target).graph)
    assert not any(node.is_region or node.name in fused_names() for node in plain.nodes)
    assert Bits(graph)(plain)


@given(graphs())
def test_the_same_bits_and_at_rest(text: str) -> None:
    graph = fusible.Graph.parse(text)
    same_bits = Bits(graph)
    for target in ("cpu", "rocm-gfx950"):
        plain = lowered(fusible.optimize(graph, target).graph)
        assert same_bits(plain)
        assert str(lowered(plain)) == str(plain)


def test_it_takes_apart_what_the_target_has() -> None:
    graph = fusible.Graph.parse(GRAPHS["fused_add_rms_norm"])
    fused = fusible.optimize(graph, "cuda-sm90")
    assert fused.fusions == {"fused_add_rms_norm": 1}
    kept = fusible.PassManager("select-ops", "cuda-sm90").run(fused.graph)
    apart = fusible.PassManager("lower-fused", "cuda-sm90").run(fused.graph)
    assert (kept.fusions, apart.fusions) == (fused.fusions, {})
    assert [(one.rule, one.pass_name) for one in apart.rewrites] == [("expand", "lower-fused")]


def test_a_graph_for_one_target_can_be_fused_for_another() -> None:
    graph = fusible.Graph.parse(GRAPHS["rms_norm_group_quant_fp8"])
    regions = fusible.optimize(graph, "cpu")
    assert any(node.is_region for node in regions.graph.nodes)
    other = fusible.load_target("cuda-sm90")
    moved = fusible.optimize(regions.graph, other, f"lower-fused,{other.pipeline}")
    assert moved.fusions == fusible.optimize(graph, other).fusions != {}
    assert moved.graph.key() == fusible.optimize(graph, other).graph.key()


def test_without_fuel_it_stops_where_that_ends() -> None:
    graph = fusible.optimize(fusible.Graph.parse(GRAPHS["deepseek_layer"]), "cpu").graph
    manager = fusible.PassManager("lower-fused")
    whole = manager.run(graph)
    assert len(whole.rewrites) > 1
    assert {one.rule for one in whole.rewrites} == {"open"}
    for fuel in range(len(whole.rewrites)):
        regions = [node for node in manager.run(graph, fuel=fuel).graph.nodes if node.is_region]
        assert len(regions) == len(whole.rewrites) - fuel


def test_what_the_target_lacks_inside_of_what_is_taken_apart_is_said() -> None:
    table = fusible.load_target("musa-s5000").table()
    operators = set(table["operators"]) - {"per_token_group_quant_fp8"}
    target = fusible.Target(**{**table, "operators": operators})
    graph = fusible.Graph.parse(GRAPHS["select_ops"])
    result = fusible.PassManager("select-ops", target).run(graph)
    assert ("per_token_group_quant_fp8", "no_kernel") in {
        (miss.rule, miss.reason) for miss in result.misses
    }
