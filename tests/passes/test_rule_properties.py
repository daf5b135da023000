"""Random legal graphs under rules with random policies: the same bits, after any rewrite."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import fusible
from fusible import rules
from fusible.checks import Bits
from support.random_graphs import graphs


@st.composite
def given_rules(draw: st.DrawFn) -> list[rules.Rule]:
    """Rules whose replacements give the very bits of what they find."""
    options = st.fixed_dictionaries(
        {
            "on_escape": st.sampled_from([None, "refuse", "recompute", "keep"]),
            "each": st.integers(1, 3),
            "via": st.lists(st.sampled_from(["reshape", "slice", "transpose"]), unique=True),
        }
    )
    quant = rules.Rule(
        "norm_quant(x: F[..., C], w: F[C], *, eps: float, g: int)"
        " -> q: e4m3fn[..., C], s: f32[..., C/g]",
        "n = rms_norm(x, w, eps=eps)\nq, s = per_token_group_quant_fp8(n, group_size=g)\n"
        "return q, s\n",
        "q, s = rms_norm_group_quant_fp8(x, w, eps=eps, group_size=g)\nreturn q, s\n",
        **draw(options),
    )
    # Saves no call, and drops the sum that the fused call would have given.
    norm = rules.Rule(
        "sum_norm(x: F[..., C], r: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]",
        "s = add(x, r)\ny = rms_norm(s, w, eps=eps)\nreturn y\n",
        "y, s = fused_add_rms_norm(x, r, w, eps=eps)\nreturn y\n",
        **draw(options),
    )
    parts = rules.Rule(
        "norm_of_sums(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C], s: F[..., C]",
        "a = add(x, x)\ns = add(a, x)\ny = rms_norm(s, w, eps=eps)\nreturn y, s\n",
        "a = add(x, x)\ny, s = fused_add_rms_norm(a, x, w, eps=eps)\nreturn y, s\n",
        **draw(options),
    )
    return draw(st.permutations([quant, norm, parts]))


@given(graphs(), given_rules(), st.sampled_from(["cpu", "cuda-sm90"]), st.data())
def test_the_same_bits_with_rules(
    text: str, some: list[rules.Rule], target: str, data: st.DataObject
) -> None:
    graph = fusible.Graph.parse(text)
    manager = fusible.PassManager(None, target, rules=some)
    whole = manager.run(graph)
    assert Bits(graph)(whole.graph)
    assert str(manager.run(graph).graph) == str(whole.graph)
    fuel = data.draw(st.integers(0, len(whole.rewrites)))
    result = manager.run(graph, fuel=fuel)
    result.graph.verify()
    assert [repr(one) for one in result.rewrites] == [repr(one) for one in whole.rewrites[:fuel]]
    assert Bits(graph)(result.graph)


@given(graphs(), given_rules())
def test_the_order_of_rules_does_not_matter(text: str, some: list[rules.Rule]) -> None:
    graph = fusible.Graph.parse(text)
    one, other = (fusible.optimize(graph, "cuda-sm90", rules=given) for given in (some, some[::-1]))
    assert str(one.graph) == str(other.graph)
    assert one.key == other.key
    assert [repr(miss) for miss in one.misses] == [repr(miss) for miss in other.misses]


def test_what_a_replacement_leaves_is_found_by_the_next_run() -> None:
    swap = rules.Rule(
        "swap(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]",
        "y = gemma_rms_norm(x, w, eps=eps)\nreturn y\n",
        "y = rms_norm(x, w, eps=eps)\nreturn y\n",
    )
    graph = fusible.Graph.parse(
        "input x: bf16[T, 256]\nconstant w: bf16[256]\nn = gemma_rms_norm(x, w)\n"
        "q, s = per_token_group_quant_fp8(n)\nreturn q, s\n"
    )
    once = fusible.optimize(graph, "cuda-sm90", "fuse-ops", rules=[swap])
    assert [node.name for node in once.graph.nodes] == ["rms_norm", "per_token_group_quant_fp8"]
    rest = fusible.optimize(graph, "cuda-sm90", "fixpoint(fuse-ops)", rules=[swap])
    assert [node.name for node in rest.graph.nodes] == ["rms_norm_group_quant_fp8"]
