"""Passes that run in turn until nothing changes: a bound, and the rules that chase each other."""

from __future__ import annotations

import pytest
from hypothesis import given

import fusible
from support.random_graphs import graphs

NORM = """
input x: bf16[T, 64]
input r: bf16[T, 64]
constant w: bf16[64]
a = add(x, r)
y = rms_norm(a, w)
return y
"""
# Only without the view, which changes nothing, is the second call equal to the first.
SHARED = """
input x: f32[T, 8]
n = reshape(x, shape=[0, 8])
a = softmax(x)
b = softmax(n)
c = mul(a, by=2.0)
d = mul(b, by=2.0)
return c, d
"""


def test_passes_that_undo_each_other_are_stopped_with_their_rules_named() -> None:
    manager = fusible.PassManager("fixpoint(fuse-ops,lower-fused)", "cuda-sm90")
    with pytest.raises(fusible.ArgumentError) as error:
        manager.run(fusible.Graph.parse(NORM))
    assert str(error.value) == (
        "pipeline: fixpoint(fuse-ops,lower-fused): expected it to come to rest, got a graph again:"
        " fuse-ops: fused_add_rms_norm at y and lower-fused: expand at y chase each other"
    )


def test_only_the_rules_of_the_circle_are_named() -> None:
    text = NORM.replace("add(x, r)", "add(r, x)").replace("return", "dead = softmax(x)\nreturn")
    manager = fusible.PassManager(
        "fixpoint(canonicalize,drop-dead,fuse-ops,lower-fused)", "cuda-sm90"
    )
    with pytest.raises(fusible.ArgumentError, match="chase each other") as error:
        manager.run(fusible.Graph.parse(text))
    rules = str(error.value).partition("again: ")[2]
    assert "fuse-ops: fused_add_rms_norm" in rules
    assert "lower-fused: expand" in rules
    assert "dead-call" not in rules


def test_with_limited_fuel_it_ends_where_that_ends() -> None:
    manager = fusible.PassManager("fixpoint(fuse-ops,lower-fused)", "cuda-sm90")
    result = manager.run(fusible.Graph.parse(NORM), fuel=1)
    assert [one.rule for one in result.rewrites] == ["fused_add_rms_norm"]


def test_rounds_go_on_until_one_changes_nothing() -> None:
    graph = fusible.Graph.parse(SHARED)
    result = fusible.PassManager("fixpoint(share-common,canonicalize)").run(graph)
    assert [(one.name, one.rewrites) for one in result.stats] == [
        ("share-common", 0),
        ("canonicalize", 1),
        ("share-common", 2),
        ("canonicalize", 0),
        ("share-common", 0),
        ("canonicalize", 0),
    ]
    once = fusible.PassManager("share-common,canonicalize").run(graph)
    assert len(once.graph.nodes) == 4
    assert len(result.graph.nodes) == 2


def test_a_pass_that_takes_no_part_is_said_once() -> None:
    manager = fusible.PassManager("fixpoint(share-common@[1,8],canonicalize)")
    result = manager.run(fusible.Graph.parse(SHARED))
    assert [one.name for one in result.stats if one.left_out] == ["share-common"]
    nothing = fusible.PassManager("fixpoint(share-common@[1,8])")
    assert nothing.run(fusible.Graph.parse(SHARED)).rewrites == []


@given(graphs())
def test_what_clears_up_comes_to_rest(text: str) -> None:
    manager = fusible.PassManager("fixpoint(canonicalize,share-common,drop-dead)")
    once = manager.run(fusible.Graph.parse(text))
    assert manager.run(once.graph).rewrites == []
    assert len(once.stats) <= 3 * 5
