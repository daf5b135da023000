"""Views between the calls that a rule finds: looked through, taken again, or a reason."""

from itertools import product
from typing import Any

import pytest

import fusible
from fusible import rules
from support.graphs import as_tuple, bits, normal, unfused

SM90 = "cuda-sm90"
SIGNATURE = "nq(x: F[..., C], w: F[C], *, eps: float) -> q: e4m3fn[..., C], s: f32[..., C/128]"
FIND = "n = rms_norm(x, w, eps=eps)\nq, s = per_token_group_quant_fp8(n)\nreturn q, s\n"
FUSED = "q, s = rms_norm_group_quant_fp8(x, w, eps=eps)\nreturn q, s\n"
HEAD = "input x: bf16[T, 4, 256]\nconstant w: bf16[256]\n"


def rule(via: list[str], **options: Any) -> rules.Rule:
    return rules.Rule(SIGNATURE, FIND, FUSED, via=via, **options)


def run(body: str, given: rules.Rule) -> fusible.Result:
    """The result, whose bits are those of the graph call by call."""
    graph = fusible.Graph.parse(HEAD + body)
    result = fusible.optimize(graph, SM90, rules=[given])
    weights = {"w": normal(0, (256,))}
    inputs = {"x": normal(1, (3, 4, 256))}
    got = as_tuple(fusible.compile(result, weights=weights)(**inputs))
    want = as_tuple(unfused(graph, weights)(**inputs))
    assert [bits(one) for one in got] == [bits(one) for one in want]
    return result


def names(result: fusible.Result) -> list[str]:
    return [node.name for node in result.graph.nodes]


def misses(result: fusible.Result) -> list[tuple[str, str]]:
    return [(miss.reason, miss.node) for miss in result.misses if miss.rule == "nq"]


BETWEEN = {
    "reshape": "m = reshape(n, shape=[-1, 256])\n",
    "slice": "m = slice(n, dim=1, start=1, stop=3)\n",
    "transpose": "m = transpose(n, dims=[1, 0, 2])\n",
}
ENDS = {
    "returned": "return q, s\n",
    "read": "y = per_token_group_dequant(q, s)\nreturn y\n",
}


@pytest.mark.parametrize(("view", "end"), [*product(BETWEEN, ENDS)])
def test_a_view_is_looked_through_where_the_rule_says_so(view, end):
    body = f"n = rms_norm(x, w)\n{BETWEEN[view]}q, s = per_token_group_quant_fp8(m)\n{ENDS[end]}"
    result = run(body, rule([view]))
    if (view, end) == ("transpose", "returned"):  # the caller gets its results in order
        assert misses(result) == [("moves_data", "m")]
        assert "rms_norm" in names(result)
    else:
        assert result.fusions["nq"] == 1
        assert names(result)[:3] == ["rms_norm_group_quant_fp8", view, view]
        assert misses(result) == []
    others = rule([other for other in BETWEEN if other != view])
    assert (
        "nq" not in fusible.optimize(fusible.Graph.parse(HEAD + body), SM90, rules=[others]).fusions
    )


@pytest.mark.parametrize("before", ["", "a = reshape(x, shape=[-1, 256])\n"])
@pytest.mark.parametrize("after", ["", "z = reshape(q, shape=[-1, 2, 256])\n"])
def test_views_around_stay_where_they_are(before, after):
    source, out = "a" if before else "x", "z" if after else "q"
    body = (
        f"{before}n = rms_norm({source}, w)\nq, s = per_token_group_quant_fp8(n)\n{after}"
        f"return {out}, s\n"
    )
    result = run(body, rule(["reshape"]))
    assert result.fusions["nq"] == 1
    assert not {"rms_norm", "per_token_group_quant_fp8"} & set(names(result))


def test_a_transpose_whose_result_is_reshaped_stays_in_place():
    body = (
        "n = rms_norm(x, w)\nm = transpose(n, dims=[1, 0, 2])\n"
        "q, s = per_token_group_quant_fp8(m)\n"
        "r = reshape(q, shape=[-1, 256])\nt = reshape(s, shape=[-1, 2])\n"
        "y = per_token_group_dequant(r, t)\nreturn y\n"
    )
    result = run(body, rule(["transpose"]))
    assert misses(result) == [("moves_data", "m")]
    (miss,) = [miss for miss in result.misses if miss.rule == "nq"]
    assert miss.hint == (
        "give q to calls alone: behind the transpose m it would be copied into order"
    )


def test_a_transpose_of_the_last_dimension_is_refused():
    body = (
        "r = reshape(x, shape=[-1, 256, 256])\nn = rms_norm(r, w)\n"
        "m = transpose(n, dims=[0, 2, 1])\nq, s = per_token_group_quant_fp8(m)\n"
        "y = per_token_group_dequant(q, s)\nreturn y\n"
    )
    graph = fusible.Graph.parse(HEAD.replace("T, 4", "64*T, 4") + body)
    result = fusible.optimize(graph, SM90, rules=[rule(["transpose"])])
    assert misses(result) == [("view_splits_last_dim", "m")]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 40])
def test_readers_through_views_are_taken_together(n):
    least = 3
    calls = "".join(
        f"m{i} = slice(n, dim=1, start={i % 4}, stop={i % 4 + 1})\n"
        f"q{i}, s{i} = per_token_group_quant_fp8(m{i}, amax_floor={i + 1}e-9)\n"
        for i in range(n)
    )
    given = rules.Rule(
        "floored(x: F[..., C], w: F[C], *, eps: float, floor: float)"
        " -> q: e4m3fn[..., C], s: f32[..., C/128]",
        "n = rms_norm(x, w, eps=eps)\nq, s = per_token_group_quant_fp8(n, amax_floor=floor)\n"
        "return q, s\n",
        "q, s = rms_norm_group_quant_fp8(x, w, eps=eps, amax_floor=floor)\nreturn q, s\n",
        via=["slice"],
        each=least,
    )
    results = ", ".join(f"q{i}, s{i}" for i in range(n))
    graph = fusible.Graph.parse(f"{HEAD}n = rms_norm(x, w)\n{calls}return {results}\n")
    result = fusible.optimize(graph, "cpu", "fuse-rows", rules=[given])
    assert result.fusions.get("floored", 0) == (n if n >= least else 0)
    too_few = [miss for miss in result.misses if miss.reason == "too_few"]
    assert len(too_few) == (n if n < least else 0)
    weights, inputs = {"w": normal(0, (256,))}, {"x": normal(1, (3, 4, 256))}
    got = as_tuple(fusible.compile(result, weights=weights)(**inputs))
    want = as_tuple(unfused(graph, weights)(**inputs))
    assert [bits(one) for one in got] == [bits(one) for one in want]
