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


PARTED = """
input codes: e4m3fn[T, 256]
input x: bf16[T, 256]
input ids: i64[T]
updated r: bf16[T, 256]
constant table: bf16[64, 256]
constant m: bf16[256, 256]
v = {maker}
a = softmax(v)
b = matmul(a, m)
c = add(b, v)
d = rms_norm(c)
return d, {result}
"""


def test_a_cheap_step_runs_again_instead_of_being_read_back():
    result = rows(PARTED.format(maker="cast(codes)", result="b"))
    assert regions(result) == [["cast", "softmax"], ["cast", "add", "rms_norm"]]
    (choice,) = result.choices
    # codes, a; codes, b, d: the matmul's own bytes are the same either way.
    assert (choice.kind, choice.node) == ("recompute", "v")
    assert choice.bytes == (256 + 512) + (256 + 512 + 512)
    # codes, v, a; v, b, d
    assert choice.otherwise == (256 + 512 + 512) + 3 * 512
    assert choice.hint == "cast runs in 2 regions, instead of being written and read back"
    assert result.misses == []


@pytest.mark.parametrize(
    ("maker", "why"),
    [
        ("add(x, x)", "x is half of what v would take"),
        ("mul(x, none, by=2.0)", "and so is it here"),
    ],
)
def test_what_reads_one_row_runs_again(maker, why):
    result = rows(PARTED.format(maker=maker, result="b"))
    assert [choice.kind for choice in result.choices] == ["recompute"], why


@pytest.mark.parametrize(
    ("maker", "result", "why"),
    [
        ("add(x, a0)", "b", "two rows are read for it, and two saved"),
        ("rms_norm(x)", "b", "it computes more than it moves"),
        ("embedding(ids, table)", "b", "rows of a table lie anywhere"),
        ("mul(r, none, by=2.0)", "r", "an updated input is not read later than it is"),
    ],
)
def test_what_saves_nothing_is_written_and_read_back(maker, result, why):
    text = PARTED.format(maker=maker, result=result)
    text = text.replace("input x:", "input a0: bf16[T, 256]\ninput x:")
    made = rows(text)
    assert made.choices == [], why


def test_what_is_written_anyhow_runs_again_where_that_reads_less():
    (choice,) = rows(PARTED.format(maker="cast(codes)", result="v")).choices
    assert (choice.kind, choice.otherwise - choice.bytes) == ("recompute", 512 - 256)


def test_steps_do_not_run_again_across_a_mutation():
    text = PARTED.format(maker="cast(codes)", result="b")
    text = text.replace("matmul(a, m)", 'opaque(a, name="sync", mutates=true)')
    result = rows(text.replace("b = opaque", "b: bf16[T, 256] = opaque"))
    assert regions(result) == [["cast", "softmax"], ["add", "rms_norm"]]
    assert result.choices == []


def test_groups_too_large_to_search_keep_together_and_share_what_is_cheap():
    chain = "\n".join(f"a{i} = softmax({'v' if i == 0 else f'a{i - 1}'})" for i in range(12))
    text = PARTED.format(maker="cast(codes)", result="b").replace("a = softmax(v)", chain)
    result = rows(text.replace("matmul(a,", "matmul(a11,"))
    assert regions(result) == [["cast"] + ["softmax"] * 12, ["cast", "add", "rms_norm"]]


def test_a_split_by_scratch_says_what_one_region_would_move_and_need():
    target = fusible.Target(
        name="small", pipeline="fuse-rows", all_operators=True, scratch_bytes=512
    )
    text = """
        input x: bf16[T, 256]
        a = rms_norm(x)
        b = softmax(a)
        c = add(a, b)
        return c
        """
    result = rows(text, target)
    assert regions(result) == [["softmax", "add"]]
    (choice,) = result.choices
    assert (choice.kind, choice.node) == ("split", "a")
    assert (choice.bytes, choice.otherwise) == (4 * 512, 2 * 512)
    assert choice.hint == (
        "one region of these 3 row operators needs 1024 bytes of scratch a row; small has 512"
    )
    assert rows(text).choices == []
