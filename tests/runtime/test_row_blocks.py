"""Products and rows around them, a few hundred rows at a time: bits, memory, and what stays out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusible
from fusible import _core, ops, spec
from support.graphs import bits, check, normal, padded

WEIGHTS = {
    "wo": (64, 48),
    "norm": (64,),
    "gate_up": (192, 64),
    "down": (64, 96),
    "qkv": (96, 64),
}
TYPES = {
    name: spec(f"bf16[{', '.join(map(str, shape))}]", constant=True)
    for name, shape in WEIGHTS.items()
}
ARRAYS = {name: normal(i, shape) for i, (name, shape) in enumerate(WEIGHTS.items())}
ROWS = {"x": spec("bf16[T, 48]"), "residual": spec("bf16[T, 64]")}
MANY = 1100  # rows: some blocks, and a last one that is shorter


def layer(x, residual, *, wo, norm, gate_up, down, qkv):
    y, total = ops.fused_add_rms_norm(ops.matmul(x, wo), residual, norm)
    y = ops.matmul(ops.silu_and_mul(ops.matmul(y, gate_up)), down)
    y, total = ops.fused_add_rms_norm(y, total, norm)
    q = ops.slice(ops.matmul(y, qkv), start=32, stop=96)
    return ops.softmax(ops.reshape(q, shape=[-1, 4, 16])), total


def rows(count):
    return {"x": normal(8, (count, 48)), "residual": normal(9, (count, 64))}


def block_counts(run, **inputs):
    """How many times each result was made by steps of one call."""
    made = [step.result for step in run.profile(**inputs).steps]
    return {made.count(name) for name in made}


def blocks_of(count):
    return -(-count // _core.block_rows(count))


@pytest.mark.parametrize("count", [0, 1, 512, 513, MANY])
def test_same_bits_in_blocks(count):
    run = fusible.compile(fusible.trace(layer, **ROWS, **TYPES), weights=ARRAYS)
    given = rows(count)
    together = run(**given)
    # A row has the same bits alone and in any batch, so any other split is a reference.
    parts = [run(**{k: v[at : at + 100] for k, v in given.items()}) for at in range(0, count, 100)]
    for k, result in enumerate(together):
        assert bits(result) == b"".join(bits(part[k]) for part in parts)
    if count:
        assert block_counts(run, **given) == {blocks_of(count)}


def test_same_bits_as_call_by_call():
    def chain(x, wo, gate_up):
        y = ops.silu_and_mul(ops.matmul(ops.matmul(x, wo), gate_up))
        return ops.softmax(y), y

    types = {"x": ROWS["x"], "wo": TYPES["wo"], "gate_up": TYPES["gate_up"]}
    arrays = {"wo": ARRAYS["wo"], "gate_up": ARRAYS["gate_up"]}
    x = rows(MANY)["x"]
    check(chain, types, arrays | {"x": x})
    check(chain, types, arrays | {"x": padded(x)})


def test_memory_is_a_block_s():
    def chain(x, wo, gate_up, down):
        return ops.matmul(ops.silu_and_mul(ops.matmul(ops.matmul(x, wo), gate_up)), down)

    names = ("wo", "gate_up", "down")
    graph = fusible.trace(chain, x=ROWS["x"], **{name: TYPES[name] for name in names})
    run = fusible.compile(graph, weights={name: ARRAYS[name] for name in names})
    arenas = []
    for count in (2048, 4096, 8192):
        assert _core.block_rows(count) == _core.block_rows(2048)
        run(x=normal(1, (count, 48)))
        arenas.append(run.arena_bytes)
    assert len(set(arenas)) == 1
    run(x=normal(1, (_core.block_rows(2048), 48)))
    assert run.arena_bytes <= arenas[0]


def test_a_whole_operand_is_never_a_block_of_what_is_made():
    # All rows of y are columns of the last product.
    def fn(x, wo):
        y = ops.softmax(ops.matmul(x, wo))
        return ops.softmax(ops.matmul(y, y))

    check(fn, {"x": ROWS["x"], "wo": TYPES["wo"]}, {"x": rows(600)["x"], "wo": ARRAYS["wo"]})


def test_whole_operands_may_be_plain_inputs_or_views_of_weights():
    def fn(x, scale, wide):
        w = ops.slice(wide, dim=0, start=16, stop=80)
        turned = ops.transpose(wide, dims=[1, 0])
        y = ops.rms_norm(ops.matmul(x, w), ops.slice(scale, start=1, stop=65))
        return ops.softmax(ops.matmul(ops.slice(y, start=0, stop=48), w)), turned

    types = {
        "x": ROWS["x"],
        "scale": spec("bf16[66]"),
        "wide": spec("bf16[96, 48]", constant=True),
    }
    arrays = {"x": rows(MANY)["x"], "scale": normal(2, (66,)), "wide": normal(3, (96, 48))}
    check(fn, types, arrays)


@pytest.mark.parametrize("layout", ["row", "col", "col_aligned4"])
def test_scales_in_columns_inside_and_outside(layout):
    def inner(x, wq, ws):
        q, s = ops.per_token_group_quant_fp8(x, layout=layout)
        y = ops.block_scaled_matmul(q, wq, s, ws)
        return ops.per_token_group_quant_fp8(ops.softmax(y), layout=layout)

    wq = ops.per_token_group_quant_fp8(normal(1, (128, 256)))[0]
    arrays = {"x": normal(2, (MANY, 256)), "wq": wq, "ws": np.ones((1, 2), np.float32)}
    types = {
        "x": spec("bf16[T, 256]"),
        "wq": spec("e4m3fn[128, 256]", constant=True),
        "ws": spec("f32[1, 2]", constant=True),
    }
    check(inner, types, arrays)


def test_sizes_that_depend_on_the_rows_stay_whole():
    # [T, T]: fewer rows would have fewer columns too.
    def fn(x, y):
        return ops.softmax(ops.softmax(ops.matmul(x, y)))

    types = {"x": ROWS["x"], "y": spec("bf16[T, 48]")}
    arrays = {"x": normal(1, (600, 48)), "y": normal(2, (600, 48))}
    run, _ = check(fn, types, arrays)
    assert block_counts(run, **arrays) == {1}


def test_an_updated_input_with_rows_stays_the_caller_s_array():
    text = (
        "updated state: f32[T, 64]\ninput x: f32[T, 48]\nconstant w: f32[64, 48]\n"
        "a = matmul(x, w)\nb = softmax(a)\nnew = add(state, b)\nreturn new\n"
    )
    run = fusible.compile(fusible.Graph.parse(text), weights={"w": normal(1, (64, 48), "f32")})
    state, x = normal(2, (MANY, 64), "f32"), normal(3, (MANY, 48), "f32")
    before = state.copy()
    assert run(state=state, x=x) is state
    expected = ops.add(before, ops.softmax(ops.matmul(x, normal(1, (64, 48), "f32"))))
    assert bits(state) == bits(expected)


def test_an_index_in_a_later_block_is_refused():
    text = (
        "input ids: i64[T]\nconstant table: bf16[10, 64]\nconstant w: bf16[48, 64]\n"
        "e = embedding(ids, table)\na = matmul(e, w)\nb = softmax(a)\nreturn b\n"
    )
    weights = {"table": normal(1, (10, 64)), "w": normal(2, (48, 64))}
    run = fusible.compile(fusible.Graph.parse(text), weights=weights)
    ids = np.arange(MANY) % 10
    want = ops.softmax(ops.matmul(ops.embedding(ids, weights["table"]), weights["w"]))
    assert bits(run(ids=ids)) == bits(want)
    ids[-1] = 10
    with pytest.raises(fusible.RangeError, match="embedding: "):
        run(ids=ids)


@given(st.integers(0, 1 << 40))
def test_blocks_are_even_and_no_larger_than_what_a_product_takes_at_once(count):
    block = _core.block_rows(count)
    most = _core.matmul_plan(1 << 20, 64, 64)["chunk_rows"]
    assert block <= most
    if count <= most:
        assert block == count
        return
    blocks = -(-count // block)
    assert blocks == -(-count // most)
    assert block - count / blocks < 32
