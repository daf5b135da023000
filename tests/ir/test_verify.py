"""The rules of a legal graph."""

from __future__ import annotations

import pytest

import fusible
from fusible import _core

ILLEGAL = {
    "region-rows": (
        "input x: f32[T, 64]\nconstant w: f32[8, 64]\n"
        "y = rows a {\n  y = matmul(x, w)\n  return y\n}\nreturn y\n"
    ),
    "region-prefix": (
        "input x: f32[T, 64]\ninput z: f32[S, 64]\n"
        "y, u = rows a {\n  y = softmax(x)\n  u = softmax(z)\n  return y, u\n}\nreturn y, u\n"
    ),
    "update-once": (
        "updated c: f32[T, 64]\ninput x: f32[T, 64]\ny = add(c, x)\nz = softmax(c)\nreturn y, z\n"
    ),
}


@pytest.mark.parametrize("rule", ILLEGAL)
def test_a_broken_rule_is_named(rule: str) -> None:
    graph = fusible.Graph.parse(ILLEGAL[rule])
    with pytest.raises(fusible.GraphError, match=f"^graph: {rule}: "):
        graph.verify()


def test_regions_do_not_nest() -> None:
    graph = fusible.Graph.parse(
        "input x: f32[4]\ny = rows a {\n  y = rows b {\n    y = softmax(x)\n    return y\n  }\n"
        "  return y\n}\nreturn y\n"
    )
    with pytest.raises(fusible.GraphError, match="graph: region-rows: y: expected row operators"):
        graph.verify()


def test_an_update_may_be_followed_by_reads() -> None:
    fusible.Graph.parse(
        "updated c: f32[T, 64]\ninput x: f32[T, 64]\n"
        "d = add(c, x)\ne = add(d, x)\nw = mul(x, c)\nreturn e -> c, w, e\n"
    ).verify()


def test_what_is_made_from_the_new_value_is_no_second_one() -> None:
    fusible.Graph.parse(
        "updated c: f32[T, 64]\ninput x: f32[T, 64]\ny = add(c, x)\nz = softmax(y)\nreturn z, y\n"
    ).verify()


def test_a_cache_may_be_updated_layer_by_layer() -> None:
    fusible.Graph.parse(
        "input k: bf16[T, 2, 64]\ninput slots: i64[T]\n"
        "updated c: bf16[B, 16, 2, 64]\nupdated d: bf16[B, 16, 2, 64]\n"
        "c2, d2 = kv_cache_update(k, k, slots, c, d)\n"
        "c3, d3 = kv_cache_update(k, k, slots, c2, d2)\nreturn c3, d3\n"
    ).verify()


def test_a_result_of_two_caches_is_refused() -> None:
    graph = fusible.Graph.parse(
        "input k: bf16[T, 2, 64]\ninput slots: i64[T]\n"
        "updated c: bf16[B, 16, 2, 64]\nupdated d: bf16[B, 16, 2, 64]\n"
        "c2, d2 = kv_cache_update(k, k, slots, c, d)\n"
        "c3, d3 = kv_cache_update(k, k, slots, c, d)\nreturn c2, c3, d3\n"
    )
    match = "update-once: c: expected one new value, got c2 and c3; say which: `return y -> c`"
    with pytest.raises(fusible.GraphError, match=match):
        graph.verify()


@pytest.mark.parametrize(
    ("results", "match"),
    [
        ("y -> c, z -> d", None),
        ("z -> d, y -> c", None),
        ("y -> c, y", None),
        ("y -> c, w", "c: expected a new value of type f32.T, 64., got w: bf16"),
    ],
)
def test_new_values_are_results_of_the_type(results: str, match: str | None) -> None:
    graph = fusible.Graph.parse(
        "updated c: f32[T, 64]\nupdated d: f32[T, 64]\n"
        f"y = add(c, d)\nz = mul(c, d)\nw = cast(y, dtype=bf16)\nreturn {results}\n"
        if match is None
        else "updated c: f32[T, 64]\ny = softmax(c)\nw = cast(y, dtype=bf16)\nreturn y, w -> c\n"
    )
    if match is None:
        graph.verify()
    else:
        with pytest.raises(fusible.GraphError, match=f"update-once: {match}"):
            graph.verify()


def test_what_a_trace_makes_is_verified() -> None:
    builder = _core.GraphBuilder()
    x = builder.add_input("x", "f32[T, 64]", "plain")
    builder.add_opaque("", [x], ["f32[T, 64]"], False)
    with pytest.raises(fusible.GraphError, match=r"^trace: one-kind: "):
        builder.finish([x])


def test_rules_have_names_and_sentences() -> None:
    rules = dict(_core.verifier_rules())
    assert len(rules) == len(_core.verifier_rules())
    assert set(ILLEGAL) < set(rules)
    assert {
        "arity",
        "attributes",
        "defined-before-use",
        "inputs-distinct",
        "one-kind",
        "opaque-typed",
        "outputs-defined",
        "region-inputs",
        "region-outputs",
        "single-definition",
        "sizes",
        "types",
        "unique-names",
    } < set(rules)
    assert all(sentence.endswith(".") and sentence[0].isupper() for sentence in rules.values())
