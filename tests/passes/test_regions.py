"""Regions of row operators: which join, which do not, and what they are called."""

import pytest

import fusible


def rows(text, target="cpu"):
    graph = fusible.Graph.parse(text)
    result = fusible.optimize(graph, target, "fuse-rows")
    result.graph.verify()
    assert [v.shape for v in result.graph.outputs] == [v.shape for v in graph.outputs]
    return result


def regions(result):
    return [[n.name for n in node.body.nodes] for node in result.graph.nodes if node.is_region]


def reasons(result):
    return {miss.reason for miss in result.misses}


def test_a_chain_of_any_length_is_one_region():
    calls = [f"y{i} = rms_norm(y{i - 1}, w)" for i in range(1, 40)]
    text = "input y0: bf16[T, 256]\nconstant w: bf16[256]\n" + "\n".join(calls) + "\nreturn y39\n"
    assert regions(rows(text)) == [["rms_norm"] * 39]


def test_a_single_row_operator_stays_as_it_is():
    result = rows("input x: bf16[T, 256]\ny = softmax(x)\nreturn y\n")
    assert result.fusions == {}
    assert [stats.rewrites for stats in result.stats] == [0]


def test_values_read_elsewhere_are_written_as_well():
    result = rows(
        """
        input x: bf16[T, 256]
        constant m: bf16[8, 256]
        a = softmax(x)
        b = rms_norm(a)
        c = rms_norm(b)
        z = matmul(b, m)
        return a, c, z
        """
    )
    (region,) = [node for node in result.graph.nodes if node.is_region]
    assert region.outputs == ["a", "b", "c"]


def test_heads_fold_into_the_row():
    result = rows(
        """
        input x: bf16[T, 1024]
        constant w: bf16[128]
        input positions: i64[T]
        constant table: f32[P, 128]
        heads = reshape(x, shape=[0, 8, 128])
        a = rms_norm(heads, w)
        b = rotary_embedding(a, positions, table)
        flat = reshape(b, shape=[0, 1024])
        c = softmax(flat)
        return c
        """
    )
    assert regions(result) == [["rms_norm", "rotary_embedding", "reshape", "softmax"]]
    assert next(node.name for node in result.graph.nodes) == "reshape"


def test_two_leading_dimensions_are_a_common_prefix():
    result = rows("input x: bf16[B, S, 256]\na = softmax(x)\nb = softmax(a)\nreturn b\n")
    assert regions(result) == [["softmax", "softmax"]]


def test_a_reshape_of_the_rows_moves_behind():
    result = rows(
        """
        input x: bf16[4*T, 256]
        constant w: bf16[256]
        a = rms_norm(x, w)
        v = reshape(a, shape=[4, -1, 256])
        q, s = per_token_group_quant_fp8(v)
        return q, s
        """
    )
    assert result.fusions == {"rms_norm_group_quant_fp8": 1}
    assert [node.name for node in result.graph.nodes][1:] == ["reshape", "reshape"]


def test_readers_of_one_value_join():
    result = rows("input x: bf16[T, 256]\na = softmax(x)\nb = cast(x, dtype=f32)\nreturn a, b\n")
    assert result.fusions == {"cast+softmax": 1}


def test_named_operators_that_read_parts_of_one_value_stay_apart():
    result = rows(
        """
        input x: bf16[T, 512]
        constant w: bf16[256]
        a = slice(x, start=0, stop=256)
        b = slice(x, start=256, stop=512)
        c = rms_norm(a, w)
        q, s = per_token_group_quant_fp8(c)
        d = rms_norm(b, w)
        return q, s, d
        """
    )
    assert result.fusions == {"rms_norm_group_quant_fp8": 1}


def test_unrelated_rows_stay_apart():
    result = rows(
        """
        input x: bf16[T, 256]
        input y: bf16[T, 256]
        a = softmax(x)
        b = softmax(y)
        return a, b
        """
    )
    assert result.fusions == {}
    assert result.misses == []


def test_a_name_does_not_depend_on_the_order_of_independent_nodes():
    lines = ["a = add(x, x)", "b = rms_norm(a)", "c = softmax(x)"]
    names = set()
    for order in ((0, 1, 2), (0, 2, 1), (2, 0, 1)):
        body = "\n".join(lines[i] for i in order)
        names |= set(rows(f"input x: f32[T, 64]\n{body}\nreturn b, c\n").fusions)
    assert names == {"add+softmax+rms_norm"}


def test_a_matmul_parts_regions_without_a_miss():
    result = rows(
        """
        input x: bf16[T, 256]
        constant m: bf16[256, 256]
        a = softmax(x)
        b = matmul(a, m)
        c = add(b, a)
        return c
        """
    )
    assert result.fusions == {}
    assert result.misses == []


def test_a_cache_update_is_no_row_operator():
    result = rows(
        """
        input k: bf16[T, 2, 64]
        input slots: i64[T]
        updated kc: bf16[4, 16, 2, 64]
        updated vc: bf16[4, 16, 2, 64]
        a = softmax(k)
        kc2, vc2 = kv_cache_update(a, k, slots, kc, vc)
        return kc2, vc2
        """
    )
    assert result.fusions == {}
    assert [(miss.node, miss.reason) for miss in result.misses] == [("kc2", "not_rows")]
    assert result.misses[0].hint == "kv_cache_update gives no rows: it changes a whole tensor"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("t = transpose(a, dims=[1, 0])\nb = softmax(t)", "leading_dims"),
        ("c = cast(a, dtype=f16)\nb = embedding(ids, c)", "whole_operand"),
        ('g: bf16[T, 256] = opaque(a, name="gate")\nb = add(g, a)', "cycle"),
        ('g: bf16[T, 256] = opaque(a, name="gate")\nb = softmax(g)', "not_rows"),
        ('g: bf16[T, 256] = opaque(x, a, name="gate")\nb = softmax(g)', "not_rows"),
        ('g: bf16[T, 256] = opaque(a, name="sync", mutates=true)\nb = softmax(g)', "order"),
        ('g: bf16[1] = opaque(x, name="sync", mutates=true)\nb = softmax(a)', "order"),
    ],
)
def test_boundaries_have_reasons(body, reason):
    text = f"input x: bf16[T, 256]\ninput ids: i64[T]\na = softmax(x)\n{body}\nreturn a, b\n"
    result = rows(text)
    assert reason in reasons(result)
    assert {miss.rule for miss in result.misses} == {"rows"}


@pytest.mark.parametrize(("scratch", "count"), [(256, 0), (512, 1), (1024, 1)])
def test_rows_fit_the_scratch_of_the_target(scratch, count):
    target = fusible.Target(
        name="small", pipeline="fuse-rows", all_operators=True, scratch_bytes=scratch
    )
    result = rows("input x: bf16[T, 256]\na = softmax(x)\nb = softmax(a)\nreturn b\n", target)
    assert len(regions(result)) == count
    assert reasons(result) == (set() if count else {"scratch"})


def test_a_long_chain_is_cut_where_the_scratch_ends_and_not_before():
    # Values die as soon as they are read, so two live rows are enough for any length.
    target = fusible.Target(
        name="small", pipeline="fuse-rows", all_operators=True, scratch_bytes=1024
    )
    calls = [f"y{i} = softmax(y{i - 1})" for i in range(1, 20)]
    text = "input y0: bf16[T, 256]\n" + "\n".join(calls) + "\nreturn y19\n"
    assert regions(rows(text, target)) == [["softmax"] * 19]


def test_a_chain_of_any_length_is_cut_into_regions_of_a_bounded_length():
    calls = [f"y{i} = softmax(y{i - 1})" for i in range(1, 200)]
    text = "input y0: bf16[T, 256]\n" + "\n".join(calls) + "\nreturn y199\n"
    result = rows(text)
    assert [len(region) for region in regions(result)] == [64, 64, 64, 7]
    assert reasons(result) == {"length"}


def test_a_symbol_behind_the_rows_has_no_scratch():
    result = rows("input x: bf16[T, C]\na = softmax(x)\nb = softmax(a)\nreturn b\n")
    assert result.fusions == {}
    assert reasons(result) == {"scratch"}


def test_a_second_run_changes_nothing():
    result = rows(
        """
        input x: bf16[T, 256]
        input residual: bf16[T, 256]
        constant w: bf16[256]
        y, sum = fused_add_rms_norm(x, residual, w)
        q, s = per_token_group_quant_fp8(y)
        return q, s, sum
        """
    )
    again = fusible.optimize(result.graph, "cpu", "fuse-rows")
    assert again.graph == result.graph
    assert again.fusions == result.fusions == {"fused_add_rms_norm_group_quant_fp8": 1}
