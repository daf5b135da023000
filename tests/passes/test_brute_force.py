"""All small graphs of four operators, beside a search that tries every choice of calls."""

from itertools import islice

import fusible
from fusible import _core, rules
from support.brute_force import legal_matches, maximal_matches
from support.small_graphs import OPS, Calls, bodies, graphs_of

RULES = [rule for rule in _core.rules() if {call.op for call in rule.calls} <= set(OPS)]
MANAGER = fusible.PassManager("fuse-ops,share-common,drop-dead", "cuda-sm90")


def test_the_rules_are_there() -> None:
    assert {rule.name for rule in RULES} == {
        "fused_add_rms_norm",
        "rms_norm_group_quant_fp8",
        "fused_add_rms_norm_group_quant_fp8",
    }


def check(graph: fusible.Graph) -> bool:
    """The fusions are all maximal matches and nothing else, none is left, and it is at rest.

    Returns:
        Whether something was fused.
    """
    result = MANAGER.run(graph)
    made = {(each.rule, each.node) for each in result.rewrites if each.pass_name == "fuse-ops"}
    assert made == {found.site for found in maximal_matches(graph, RULES)}, str(graph)
    left = legal_matches(result.graph, RULES)
    assert not left, f"{graph}becomes\n{result.graph}left: {left}"
    assert not MANAGER.run(result.graph).rewrites, str(graph)
    return bool(made)


def check_all(least: int, most: int) -> None:
    """Every graph of so many calls."""
    calls = Calls()
    keys, seen, fused = set(), 0, 0
    for of_size in islice(bodies(calls, most), least - 1, None):
        for graph in (graph for body in of_size for graph in graphs_of(calls, body)):
            seen, fused = seen + 1, fused + check(graph)
            keys.add(str(graph.key()))
    assert len(keys) == seen  # none is there twice under other names or in another order
    assert 0 < fused < seen


def test_what_is_fused_is_what_a_search_by_brute_force_finds() -> None:
    check_all(1, 4)


def test_five_calls_fuse_as_a_search_by_brute_force_finds() -> None:
    check_all(5, 5)  # 67,411 bodies, where four calls have 4,851


NORM = "(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]"
GIVEN = [
    rules.Rule(
        f"softmax_of_norm{NORM}",
        "n = rms_norm(x, w, eps=eps)\ny = softmax(n)\nreturn y\n",
        'y = opaque(x, w, name="softmax_of_norm", eps=eps)\nreturn y\n',
    ),
    rules.Rule(
        f"two_norms{NORM}",
        "n = rms_norm(x, w, eps=eps)\ny = rms_norm(n, w, eps=eps)\nreturn y\n",
        'y = opaque(x, w, name="two_norms", eps=eps)\nreturn y\n',
    ),
    rules.Rule(
        "softmax_of_sum(x: F[..., C], r: F[..., C]) -> y: F[..., C], sum: F[..., C]",
        "sum = add(x, r)\ny = softmax(sum)\nreturn y, sum\n",
        'y, sum = opaque(x, r, name="softmax_of_sum")\nreturn y, sum\n',
    ),
]


def test_rules_that_are_given_fuse_beside_those_of_operators() -> None:
    manager = fusible.PassManager("fuse-ops,share-common,drop-dead", "cuda-sm90", rules=GIVEN)
    every = [*RULES, *rules.natives(GIVEN)]
    calls, seen, fused = Calls(), 0, 0
    for of_size in bodies(calls, 3):
        for graph in (graph for body in of_size for graph in graphs_of(calls, body)):
            result = manager.run(graph)
            left = legal_matches(result.graph, every)
            assert not left, f"{graph}becomes\n{result.graph}left: {left}"
            assert not manager.run(result.graph).rewrites, str(graph)
            assert bool(result.rewrites) >= bool(legal_matches(graph, every)), str(graph)
            seen, fused = seen + 1, fused + bool(result.rewrites)
    assert 0 < fused < seen
