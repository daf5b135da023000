"""Fuel: only the first rewrites of a run, over all passes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

import fusible
from fusible.checks import Bits

VARIED = """
input x: bf16[T, 512]
input residual: bf16[T, 512]
constant w: bf16[512]
same = reshape(residual, shape=[-1, 512])
dead = softmax(x)
sum = add(same, x)
sum_1 = add(x, residual)
y = rms_norm(sum, w, eps=1e-05)
q, s = per_token_group_quant_fp8(y, fp8_max=448.0)
z, total = fused_add_rms_norm(sum_1, x, w)
return q, s, z, total, sum_1
"""
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.ir"))
GRAPHS = {"varied": VARIED} | {
    path.stem: path.read_text().partition("\n=> ")[0] + "\n" for path in GOLDEN
}
# Those that this machine can run: an opaque node stands for what is not ours.
# Opaque nodes do not run, and positions of attention are not drawn at random.
NOT_RUN = ("opaque(", "attention(")
RUNNING = {name: text for name, text in GRAPHS.items() if not any(call in text for call in NOT_RUN)}
TARGETS = ("cpu", "cuda-sm90", "rocm-gfx950", "musa-s5000")


def named(result: fusible.Result) -> list[tuple[str, str, str]]:
    return [(each.pass_name, each.rule, each.node) for each in result.rewrites]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", GRAPHS.values(), ids=GRAPHS)
def test_fuel_makes_the_first_rewrites_and_the_graph_stays_legal(text: str, target: str) -> None:
    graph = fusible.Graph.parse(text)
    manager = fusible.PassManager(None, target)
    whole = manager.run(graph)
    graphs = []
    for fuel in range(len(whole.rewrites) + 1):
        result = manager.run(graph, fuel=fuel)
        result.graph.verify()
        assert named(result) == named(whole)[:fuel]
        assert sum(stats.rewrites for stats in result.stats) == fuel
        graphs.append(str(result.graph))
    assert fusible.Graph.parse(graphs[0]) == graph
    assert graphs[-1] == str(whole.graph)
    assert all(one != other for one, other in pairwise(graphs))


@pytest.mark.parametrize("text", RUNNING.values(), ids=RUNNING)
def test_bits_are_the_same_after_any_number_of_rewrites(text: str) -> None:
    graph = fusible.Graph.parse(text)
    same_bits = Bits(graph)
    for manager in (fusible.PassManager(None, target) for target in TARGETS):
        for fuel in range(len(manager.run(graph).rewrites)):
            assert same_bits(manager.run(graph, fuel=fuel + 1).graph)


def test_more_fuel_than_rewrites_is_a_whole_run() -> None:
    graph = fusible.Graph.parse(VARIED)
    whole = fusible.optimize(graph)
    more = fusible.PassManager().run(graph, fuel=len(whole.rewrites) + 1)
    assert str(more.graph) == str(whole.graph)
    assert more.fusions == whole.fusions
    assert [repr(miss) for miss in more.misses] == [repr(miss) for miss in whole.misses]


def test_a_rewrite_knows_its_pass_rule_and_node() -> None:
    result = fusible.PassManager(None, "rocm-gfx950").run(fusible.Graph.parse(VARIED))
    assert named(result) == [
        ("canonicalize", "spell-view", "same"),
        ("canonicalize", "identity", "same"),
        ("canonicalize", "sort-operands", "sum"),
        ("canonicalize", "usual-maximum", "q"),
        ("share-common", "equal-calls", "sum_1"),
        ("fuse-ops", "expand", "z"),
        ("fuse-ops", "fused_add_rms_norm_group_quant_fp8", "q"),
        ("fuse-ops", "fused_add_rms_norm", "z"),
    ]
    assert repr(result.rewrites[0]) == "canonicalize: spell-view at same"


def test_calls_that_are_dead_go_readers_first() -> None:
    graph = fusible.Graph.parse(
        "input x: f32[T, 8]\na = softmax(x)\nb = softmax(a)\nc = softmax(b)\nreturn a\n"
    )
    manager = fusible.PassManager("drop-dead")
    assert [each.node for each in manager.run(graph).rewrites] == ["c", "b"]
    assert "c" not in str(manager.run(graph, fuel=1).graph).split()
    assert "b" in str(manager.run(graph, fuel=1).graph).split()


def test_a_dead_call_without_results_has_its_name() -> None:
    graph = fusible.Graph.parse(
        'input x: f32[8]\nopaque(x, name="watch")\ny = softmax(x)\nreturn y\n'
    )
    assert named(fusible.PassManager("drop-dead").run(graph)) == [
        ("drop-dead", "dead-call", "opaque(watch)")
    ]


@pytest.mark.parametrize(
    ("pipeline", "target"), [("fuse-ops,drop-dead", "rocm-gfx950"), ("fuse-rows,drop-dead", "cpu")]
)
def test_what_is_put_together_again_takes_no_fuel(pipeline: str, target: str) -> None:
    fused = fusible.Graph.parse(
        "input x: bf16[T, 512]\ninput r: bf16[T, 512]\nconstant w: bf16[512]\n"
        "y, sum = fused_add_rms_norm(x, r, w)\nreturn y, sum\n"
    )
    rest = fusible.PassManager(pipeline, target).run(fused).graph
    body, _, results = str(rest).rpartition("return")
    text = f"{body}dead = softmax(x)\nreturn{results}"
    result = fusible.PassManager(pipeline, target).run(fusible.Graph.parse(text), fuel=1)
    assert str(result.graph) == str(rest)
    assert named(result) == [("drop-dead", "dead-call", "dead")]


def test_the_key_of_a_limited_run_is_its_own() -> None:
    graph = fusible.Graph.parse(VARIED)
    manager = fusible.PassManager()
    whole, limited = manager.run(graph).key, manager.run(graph, fuel=2).key
    assert limited.diff(whole) == {"fuel": "2 here, none there"}
    assert limited != manager.run(graph, fuel=1).key


@pytest.mark.parametrize("fuel", [-1, 1.0, True, "1", 2**63])
def test_what_is_no_fuel_is_refused(fuel: object) -> None:
    with pytest.raises(fusible.ArgumentError, match=r"^fuel: expected a whole number from 0, got "):
        fusible.PassManager().run(fusible.Graph.parse(VARIED), fuel=fuel)  # type: ignore[arg-type]


def test_a_setting_that_is_wrong_is_no_fault_of_a_pass() -> None:
    table = {**fusible.load_target("rocm-gfx950").table(), "costs": {"keep": 1}}
    target = fusible.Target(**table)
    with pytest.raises(fusible.ArgumentError, match="costs: keep: expected true or false, got 1"):
        fusible.PassManager(None, target).run(fusible.Graph.parse(VARIED), fuel=5)
