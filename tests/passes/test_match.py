"""What the pattern of a fused operator matches: order, attributes, views, contracts."""

import pytest

import fusible

NORM_QUANT = """
input x: bf16[{rows}, 512]
constant w: bf16[512]
y = rms_norm(x, w, eps={eps})
{between}
q, s = per_token_group_quant_fp8({quantized}, {attrs})
return q, s
"""


def norm_quant(eps="1e-06", between="", quantized="y", attrs="group_size=128", rows="T"):
    return fusible.Graph.parse(
        NORM_QUANT.format(eps=eps, between=between, quantized=quantized, attrs=attrs, rows=rows)
    )


def fuse(graph, target="cuda-sm90"):
    if isinstance(graph, str):
        graph = fusible.Graph.parse(graph)
    return fusible.optimize(graph, target, "fuse-ops")


@pytest.mark.parametrize("eps", ["1e-12", "1e-05", "1e-06", "0.001", "0.0"])
def test_any_eps_fuses_and_comes_along(eps):
    result = fuse(norm_quant(eps=eps))
    assert result.fusions == {"rms_norm_group_quant_fp8": 1}
    (node,) = result.graph.nodes
    assert node.attrs["eps"] == float(eps)


@pytest.mark.parametrize("group_size", [64, 128])
@pytest.mark.parametrize("layout", ["row", "col"])
def test_every_attribute_comes_along(group_size, layout):
    attrs = f'group_size={group_size}, layout="{layout}", fp8_max=400.0'
    (node,) = fuse(norm_quant(attrs=attrs)).graph.nodes
    assert (node.attrs["group_size"], node.attrs["layout"]) == (group_size, layout)
    assert node.attrs["fp8_max"] == 400.0


@pytest.mark.parametrize(
    ("between", "quantized"),
    [
        ("v = reshape(y, shape=[2, -1, 512])", "v"),
        ("v = reshape(y, shape=[1, 1, -1, 512])", "v"),
        ("v = slice(y, dim=0, start=1, stop=3)", "v"),
        ("a = reshape(y, shape=[4, -1, 512])\nv = slice(a, dim=-3, start=0, stop=2)", "v"),
    ],
)
def test_views_of_the_leading_dimensions_are_looked_through(between, quantized):
    graph = norm_quant(between=between, quantized=quantized, rows=8)
    result = fuse(graph)
    assert result.fusions == {"rms_norm_group_quant_fp8": 1}
    assert "rms_norm" not in {node.name for node in result.graph.nodes}
    assert [v.shape for v in result.graph.outputs] == [v.shape for v in graph.outputs]
    assert result.graph.nodes[0].name == "rms_norm_group_quant_fp8"


def test_a_view_of_symbolic_rows_is_looked_through():
    result = fuse(
        """
        input x: bf16[4*T, 512]
        constant w: bf16[512]
        y = rms_norm(x, w)
        v = reshape(y, shape=[4, -1, 512])
        q, s = per_token_group_quant_fp8(v)
        return q, s
        """
    )
    assert result.fusions == {"rms_norm_group_quant_fp8": 1}
    assert [v.shape for v in result.graph.outputs] == [(4, "T", 512), (4, "T", 4)]


def test_views_before_and_behind_stay_where_they_are():
    result = fuse(
        """
        input x: bf16[2, T, 512]
        constant w: bf16[512]
        rows = reshape(x, shape=[-1, 512])
        y = rms_norm(rows, w)
        q, s = per_token_group_quant_fp8(y)
        back = reshape(q, shape=[2, -1, 512])
        return back, s
        """
    )
    names = [node.name for node in result.graph.nodes]
    assert names == ["reshape", "rms_norm_group_quant_fp8", "reshape"]


@pytest.mark.parametrize(
    "between",
    [
        "v = reshape(y, shape=[-1, 4, 128])",
        "v = slice(y, start=0, stop=256)",
        "v = reshape(y, shape=[-1, 1024])",
    ],
)
def test_a_view_that_splits_the_row_is_refused(between):
    result = fuse(norm_quant(between=between, quantized="v", rows="2*T"))
    assert result.fusions == {}
    assert {(m.rule, m.node, m.reason) for m in result.misses} == {
        ("rms_norm_group_quant_fp8", "v", "view_splits_last_dim")
    }


@pytest.mark.parametrize(("first", "second"), [("x", "residual"), ("residual", "x")])
def test_commuting_operands_match_in_either_order(first, second):
    result = fuse(
        f"""
        input x: bf16[T, 512]
        input residual: bf16[T, 512]
        constant w: bf16[512]
        sum = add({first}, {second})
        y = rms_norm(sum, w)
        return y, sum
        """
    )
    assert result.fusions == {"fused_add_rms_norm": 1}
    assert result.graph.nodes[0].inputs == [first, second, "w"]


def test_the_same_operand_twice():
    result = fuse(
        """
        input x: bf16[T, 512]
        constant w: bf16[512]
        sum = add(x, x)
        y = rms_norm(sum, w)
        return y, sum
        """
    )
    assert result.graph.nodes[0].inputs == ["x", "x", "w"]


def test_a_larger_body_wins_over_a_smaller_one():
    result = fuse(
        """
        input x: bf16[T, 512]
        input residual: bf16[T, 512]
        constant w: bf16[512]
        sum = add(x, residual)
        y = rms_norm(sum, w)
        q, s = per_token_group_quant_fp8(y)
        return q, s, sum
        """
    )
    assert result.fusions == {"fused_add_rms_norm_group_quant_fp8": 1}
    assert result.misses == []


def test_fused_by_hand_fuses_further_and_stays_fused():
    graph = fusible.Graph.parse(
        """
        input x: bf16[T, 512]
        input residual: bf16[T, 512]
        constant w: bf16[512]
        y, sum = fused_add_rms_norm(x, residual, w)
        q, s = per_token_group_quant_fp8(y)
        return q, s, sum
        """
    )
    once = fuse(graph)
    assert once.fusions == {"fused_add_rms_norm_group_quant_fp8": 1}
    twice = fuse(once.graph)
    assert twice.graph == once.graph
    assert twice.fusions == once.fusions
    assert [stats.rewrites for stats in twice.stats] == [0]


def test_results_keep_their_names_and_order():
    result = fuse(norm_quant())
    assert [value.name for value in result.graph.outputs] == ["q", "s"]


def test_two_fusions_that_need_each_other_do_not_both_happen():
    result = fuse(
        """
        input x: bf16[T, 512]
        input u: bf16[T, 512]
        constant w: bf16[512]
        a = add(x, u)
        b = add(u, u)
        c = rms_norm(a, w)
        d = mul(c, b)
        e = rms_norm(b, w)
        f = mul(e, a)
        return c, d, e, f
        """
    )
    assert result.fusions == {"fused_add_rms_norm": 2}
    crossed = fuse(
        """
        input x: bf16[T, 512]
        constant w: bf16[512]
        constant m: bf16[512, 512]
        a = add(x, x)
        n: bf16[512] = opaque(a, name="gain")
        b = add(x, x)
        o: bf16[512] = opaque(b, name="gain")
        c = rms_norm(a, o)
        d = rms_norm(b, n)
        return c, d
        """
    )
    assert crossed.fusions == {"fused_add_rms_norm": 1}
    assert [miss.reason for miss in crossed.misses] == ["order"]
    crossed.graph.verify()


def test_nothing_is_fused_across_a_mutation():
    result = fuse(
        """
        input x: bf16[T, 512]
        constant w: bf16[512]
        y = rms_norm(x, w)
        m: bf16[T, 512] = opaque(x, name="collective", mutates=true)
        q, s = per_token_group_quant_fp8(y)
        return q, s, m
        """
    )
    assert result.fusions == {}
    assert [miss.reason for miss in result.misses] == ["order"]
