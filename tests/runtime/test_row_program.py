"""Row programs: the same bits as call by call, for chains, fan-outs, folds, views and strides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fusible
from fusible import ops, spec
from support.graphs import bits, check, normal, packed, padded, unfused

W = normal(9, (256,))


def specs(**types):
    return {name: spec(text, constant=name.startswith("w")) for name, text in types.items()}


ROWS = specs(x="bf16[T, 256]", r="bf16[T, 256]", w="bf16[256]")


def rows(n):
    return {"x": normal(1, (n, 256)), "r": normal(2, (n, 256)), "w": W}


def add_norm_quant(x, r, w):
    total = ops.add(x, r)
    q, s = ops.per_token_group_quant_fp8(ops.rms_norm(total, w), group_size=64)
    return q, s, total


@pytest.mark.parametrize("n", [0, 1, 2, 7, 33, 700])
def test_chain_with_an_escaping_value(n):
    fused, _ = check(add_norm_quant, ROWS, rows(n))
    assert len(fused.graph.nodes) == 1


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_split_over_threads(threads):
    fusible._core.set_threads(threads)
    check(add_norm_quant, ROWS, rows(2000))


def test_fan_out():
    def fan_out(x, r, w):
        y = ops.rms_norm(ops.add(x, r), w)
        return ops.softmax(y), ops.silu_and_mul(y), ops.mul(y, y, by=0.5), y

    check(fan_out, ROWS, rows(37))


def test_column_scales_inside_and_out():
    def columns(x, r, w):
        q, s = ops.per_token_group_quant_fp8(ops.add(x, r), group_size=32, layout="col")
        return q, s, ops.mul(packed(s), by=2.0), ops.rms_norm(x, w)

    _, (_, scales, _, _) = check(columns, ROWS, rows(19))
    assert scales.strides == (4, 4 * 19)


def test_a_result_twice_and_an_input_as_result():
    def returns(x, r, w):
        y = ops.rms_norm(ops.add(x, r), w)
        return y, x, y

    _, (first, given_back, second) = check(returns, ROWS, rows(5))
    assert not np.shares_memory(first, second)
    assert given_back.ctypes.data % 2 == 0


@pytest.mark.parametrize("n", [1, 6, 200])
def test_heads_fold_into_rows(n):
    def heads(qkv, w, positions, table):
        q = ops.reshape(ops.slice(qkv, stop=6 * 64), shape=[0, 6, 64])
        k = ops.reshape(ops.slice(qkv, start=6 * 64, stop=8 * 64), shape=[0, 2, 64])
        turned = [ops.rotary_embedding(ops.rms_norm(z, w), positions, table) for z in (q, k)]
        return ops.reshape(turned[0], shape=[0, -1]), turned[1]

    types = specs(qkv="bf16[T, 640]", w="bf16[64]", positions="i64[T]", table="f32[128, 64]")
    arrays = {
        "qkv": normal(3, (n, 640)),
        "w": normal(4, (64,)),
        "positions": np.arange(n, dtype=np.int64) % 128,
        "table": normal(5, (128, 64), "f32"),
    }
    check(heads, types, arrays)


@pytest.mark.parametrize("n", [1, 6, 200])
def test_queries_and_keys_where_they_stand_in_their_row(n):
    qkv, table = normal(3, (n, 640)), normal(5, (128, 64), "f32")
    positions = np.arange(n, dtype=np.int64) % 128
    want = qkv.copy()
    for start, heads in ((0, 6), (6 * 64, 2)):
        columns = slice(start, start + heads * 64)
        w = normal(start, (64,))
        alone = np.ascontiguousarray(qkv[:, columns]).reshape(n, heads, 64)
        turned = ops.rotary_embedding(ops.rms_norm(alone, w), positions, table)
        want[:, columns] = turned.reshape(n, -1)
        part = ops.reshape(ops.slice(qkv, start=start, stop=columns.stop), shape=[0, heads, 64])
        ops.rms_norm_rotary_embedding(part, w, positions, table, out=part)
    assert bits(qkv) == bits(want)


HEAD = 64


def query_and_key_norm(qkv, wq, wk):
    """The norms of a model with 6 query heads and 2 of keys, in one row with the values."""
    q = ops.reshape(ops.slice(qkv, stop=6 * HEAD), shape=[0, 6, HEAD])
    k = ops.reshape(ops.slice(qkv, start=6 * HEAD, stop=8 * HEAD), shape=[0, 2, HEAD])
    return ops.rms_norm(q, wq), ops.rms_norm(k, wk)


@pytest.mark.parametrize("n", [1, 5, 130])
def test_norms_of_heads_read_the_row_where_it_is(n):
    types = specs(qkv="bf16[T, 640]", wq="bf16[64]", wk="bf16[64]")
    arrays = {"qkv": normal(3, (n, 640)), "wq": normal(4, (HEAD,)), "wk": normal(5, (HEAD,))}
    fused, _ = check(query_and_key_norm, types, arrays)
    graph = fusible.trace(query_and_key_norm, **types)
    assert fusible.optimize(graph).operators == (2, 1)
    qkv = arrays.pop("qkv")
    for run in (fused, unfused(graph, arrays)):
        run(qkv=qkv)
        assert run.arena_bytes == 0


@pytest.mark.parametrize("heads", [slice(0, 6), slice(6, 8)], ids=["query", "key"])
@pytest.mark.parametrize("n", [1, 5, 130])
def test_norms_of_heads_in_place(heads, n):
    qkv, w = normal(3, (n, 10, HEAD)), normal(4, (HEAD,))
    before, part = qkv.copy(), qkv[:, heads]
    ops.rms_norm(part, w, out=part)
    assert bits(part) == bits(ops.rms_norm(before[:, heads].copy(), w))
    before[:, heads] = part
    assert bits(qkv) == bits(before)


@pytest.mark.parametrize("size", [8, 64, 1100])
def test_rows_without_heads(size):
    """Rows of the program, and none of the operator."""

    def body(x, w, positions, table):
        return ops.rotary_embedding(ops.rms_norm(x, w), positions, table), ops.layer_norm(x, w, w)

    types = specs(x=f"f32[T, 0, {size}]", w=f"f32[{size}]", positions="i64[T]")
    types["table"] = spec("f32[2, 2]")
    arrays = {"x": np.ones((3, 0, size), np.float32), "w": normal(1, (size,), "f32")}
    arrays |= {"positions": np.zeros(3, np.int64), "table": np.ones((2, 2), np.float32)}
    check(body, types, arrays)


@pytest.mark.parametrize("shape", [(3, 4), (1, 9), (9, 1), (1, 1)])
def test_two_leading_dimensions_and_padded_rows(shape):
    def block(x, r, w):
        y = ops.rms_norm(ops.add(x, r), w)
        return ops.silu_and_mul(y), ops.add(y, r)

    types = specs(x="f16[B, S, 96]", r="f16[B, S, 96]", w="f16[96]")
    arrays = {
        "x": padded(normal(1, (*shape, 96), "f16")),
        "r": normal(2, (shape[0], 2 * shape[1], 96), "f16")[:, ::2],
        "w": normal(3, (96,), "f16"),
    }
    check(block, types, arrays)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kept", [1, 3])
def test_large_results_that_are_read_back(kept, threads):
    """Large results: a sum goes past the caches as it is read, a product ends a phase."""
    fusible._core.set_threads(threads)

    def body(x, r, w):
        steps = [ops.add(x, r)]
        steps.append(ops.mul(steps[-1], r))  # needed in a scratch while the next one is not kept
        steps.append(ops.add(steps[-1], x))
        return ops.rms_norm(steps[-1], w), *steps[:kept]

    sizes = {"rows": 430, "width": 5000}
    types = specs(x="bf16[2, R, 5000]", r="bf16[2, R, 5000]", w="bf16[5000]")
    shape = (2, sizes["rows"] + 3, sizes["width"])
    arrays = {"x": normal(1, shape)[:, :-3], "r": normal(2, shape)[:, :-3]}
    _, results = check(body, types, {**arrays, "w": normal(9, (sizes["width"],))})
    assert all(result.nbytes >= 8 << 20 for result in results)


LOGITS = "input x: f32[T, 4096]\nl = mul(x, by=0.5)\nv, i = topk(l, k=5)\nreturn l, i\n"
QUANTIZED = (
    "input x: bf16[T, 4096]\na = mul(x, by=0.5)\nq, s = per_token_group_quant_fp8(a)\nreturn a, q\n"
)
FIRST = (
    "input x: bf16[T, 4096]\nq, s = per_token_group_quant_fp8(x)\n"
    "a = mul(x, x)\nn = rms_norm(a)\nreturn q, a, n\n"
)


@pytest.mark.parametrize("text", [LOGITS, QUANTIZED, FIRST])
def test_results_that_nobody_reads_beside_large_ones(text):
    """They have a scratch as well: of a block, whatever the phase."""
    graph = fusible.Graph.parse(text)
    x = normal(1, (1100, 4096), graph.inputs[0].dtype)
    for result, want in zip(fusible.compile(graph)(x=x), unfused(graph)(x=x), strict=True):
        assert bits(result) == bits(want)


def test_a_scratch_that_is_needed_later_keeps_the_phase_whole():
    def body(x, r, w):
        product, total = ops.mul(x, r), ops.add(x, r)
        return ops.rms_norm(ops.add(total, product), w), total

    types = specs(x="bf16[T, 4096]", r="bf16[T, 4096]", w="bf16[4096]")
    arrays = {"x": normal(1, (1100, 4096)), "r": normal(2, (1100, 4096)), "w": normal(9, (4096,))}
    _, (_, total) = check(body, types, arrays)
    assert total.nbytes >= 8 << 20


def test_no_heads_beside_large_results():
    def body(x, r):
        heads = ops.slice(ops.reshape(x, shape=[0, 64, 64]), dim=1, start=0, stop=0)
        return ops.add(x, r), ops.softmax(heads)

    types = specs(x="f32[T, 4096]", r="f32[T, 4096]")
    check(body, types, {name: normal(1, (1024, 4096), "f32") for name in ("x", "r")})


def test_one_row_in_place_whatever_its_stride():
    room, r = normal(1, (4, 64), "f32"), normal(2, (1, 64), "f32")
    x, same = room[::2][:1], room[:1]
    want = ops.rms_norm(ops.add(x, r), r[0])
    y, total = ops.fused_add_rms_norm(x, r, r[0].copy(), out=(same, r))
    assert (y is same, total is r) == (True, True)
    assert bits(y) == bits(want)
    assert ops.rms_norm(x, r[0], out=same) is same


def test_in_place_and_kept_large_results_agree():
    x, r, w = normal(1, (1100, 4096)), normal(2, (1100, 4096)), normal(9, (4096,))
    y, total = ops.fused_add_rms_norm(x, r, w)
    assert bits(total) == bits(ops.add(x, r))
    assert bits(y) == bits(ops.rms_norm(total, w))
    ops.fused_add_rms_norm(x, r, w, out=(x, r))
    assert x.nbytes >= 8 << 20
    assert (bits(x), bits(r)) == (bits(y), bits(total))


def test_views_that_need_a_copy():
    def transposed(x, w):
        y = packed(ops.transpose(ops.add(x, x), dims=[0, 2, 1]))
        flat = ops.reshape(y, shape=[0, -1])
        return ops.rms_norm(flat, w), ops.softmax(y)

    types = specs(x="f32[T, 4, 24]", w="f32[96]")
    check(transposed, types, {"x": normal(1, (11, 4, 24), "f32"), "w": normal(2, (96,), "f32")})


def test_an_index_is_checked_before_anything_is_written():
    ids = np.arange(5000, dtype=np.int32) % 10
    ids[-1] = 10
    out = np.zeros((5000, 64), np.float32)
    with pytest.raises(fusible.RangeError, match=r"^embedding: ids: .* below 10, got 10"):
        ops.embedding(ids, normal(1, (10, 64), "f32"), out=out)
    assert not out.any()


def test_a_program_that_meets_a_wrong_index_touches_nothing_out_of_bounds():
    def step(ids, slots, w, keys, values):
        x = ops.reshape(ops.embedding(ids, w), shape=[0, 4, 16])
        return ops.kv_cache_update(x, x, slots, keys, values)

    types = specs(ids="i32[T]", slots="i64[T]") | {"w": spec("f32[10, 64]", constant=True)}
    types |= {name: spec("f32[2, 8, 4, 16]", updated=True) for name in ("keys", "values")}
    weights = {"w": normal(1, (10, 64), "f32")}
    run = fusible.compile(fusible.trace(step, **types), weights=weights)
    guarded = np.full((8, 2, 8, 4, 16), 7, np.float32)
    caches = {"keys": guarded[2], "values": guarded[5]}
    run(ids=np.array([0, 9], np.int32), slots=np.array([0, 15]), **caches)
    guards = np.delete(guarded, [2, 5], axis=0)
    for ids, slots, message in (
        ([0, 10], [1, 2], r"^embedding: ids: .* below 10, got 10"),
        ([0, -1], [1, 2], r"^embedding: ids: .*, got -1"),
        ([0, 9], [1, 16], r"^kv_cache_update: slots: .* below 16, got 16"),
    ):
        with pytest.raises(fusible.RangeError, match=message):
            run(ids=np.array(ids, np.int32), slots=np.array(slots), **caches)
        np.testing.assert_array_equal(np.delete(guarded, [2, 5], axis=0), guards)


def in_place(fused, x, r, w, out):
    """Whatever memory the results take, the bits are those of fresh memory."""
    fresh = fused(x, r, w)
    given = [x.copy(), r.copy()]
    results = fused(given[0], given[1], w, out=out(given))
    assert [bits(a) for a in results] == [bits(a) for a in fresh]


@pytest.mark.parametrize(
    "out",
    [
        lambda g: (g[0], g[1]),
        lambda g: (g[0], np.empty_like(g[1])),
        lambda g: (np.empty_like(g[0]), g[1]),
    ],
)
@pytest.mark.parametrize("n", [1, 3, 65])
def test_results_take_operands_of_a_fused_operator(n, out):
    in_place(ops.fused_add_rms_norm, **rows(n), out=out)


def test_eager_refuses_other_overlaps():
    x, r = rows(4)["x"], rows(4)["r"]
    with pytest.raises(fusible.ArgumentError, match="overlap"):
        ops.fused_add_rms_norm(x, r, W, out=(r, x))


def test_eager_keeps_column_layout_and_padded_rows():
    x, r = padded(rows(6)["x"]), rows(6)["r"]
    fused = ops.fused_add_rms_norm_group_quant_fp8(x, r, W, group_size=64, layout="col")
    y, total = ops.fused_add_rms_norm(x, r, W)
    parts = (*ops.per_token_group_quant_fp8(y, group_size=64, layout="col"), total)
    assert [bits(a) for a in fused] == [bits(a) for a in parts]
    assert fused[1].strides == parts[1].strides


STEPS = {
    "add": lambda a, b, w: ops.add(a, b),
    "norm": lambda a, b, w: ops.rms_norm(a, w),
    "gemma": lambda a, b, w: ops.gemma_rms_norm(b, w),
    "scale": lambda a, b, w: ops.mul(a, by=0.75),
    "mul": lambda a, b, w: ops.mul(a, b),
    "weight": lambda a, b, w: ops.mul(a, weight=w),
    "layer": lambda a, b, w: ops.layer_norm(b, w, w),
    "softmax": lambda a, b, w: ops.softmax(b),
    "folded": lambda a, b, w: ops.reshape(
        ops.softmax(ops.reshape(b, shape=[0, 4, 16])), shape=[0, -1]
    ),
}


CHAINS = {
    "names": st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=9),
    "kept": st.sets(st.integers(0, 9), max_size=3),
}


def check_chain(names, kept, n):
    def chain(x, r, w):
        values = [x, r]
        for name in names:
            values.append(STEPS[name](values[-1], values[-2], w))
        return (values[-1], *(values[i + 2] for i in sorted(kept) if i < len(names)))

    types = specs(x="bf16[T, 64]", r="bf16[T, 64]", w="bf16[64]")
    check(chain, types, {"x": normal(1, (n, 64)), "r": normal(2, (n, 64)), "w": normal(3, (64,))})


@given(**CHAINS, n=st.integers(0, 40))
def test_any_chain_gives_the_bits_of_its_calls(names, kept, n):
    check_chain(names, kept, n)


@given(**CHAINS)
@settings(max_examples=12)
def test_any_chain_of_large_results_does_too(names, kept):
    check_chain(names, kept, (8 << 20) // 128 + 77)
