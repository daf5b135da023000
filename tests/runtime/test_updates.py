"""Updated inputs: written in place where the old value is not needed, else left alone."""

import numpy as np
import pytest

import fusible
from fusible import ops, spec
from support.arrays import OnlyInterface
from support.graphs import bits, normal, unfused

CACHE = (4, 8, 2, 16)
SPECS = {
    "k": spec("bf16[T, 2, 16]"),
    "v": spec("bf16[T, 2, 16]"),
    "slots": spec("i64[T]"),
    "keys": spec("bf16[4, 8, 2, 16]", updated=True),
    "values": spec("bf16[4, 8, 2, 16]", updated=True),
}


def arrays():
    return {
        "k": normal(1, (3, 2, 16)),
        "v": normal(2, (3, 2, 16)),
        "slots": np.array([31, -1, 4], np.int64),
        "keys": normal(3, CACHE),
        "values": normal(4, CACHE),
    }


def expected(given):
    keys, values = given["keys"].copy(), given["values"].copy()
    for row, slot in enumerate(given["slots"]):
        if slot >= 0:
            keys[slot // 8, slot % 8] = given["k"][row]
            values[slot // 8, slot % 8] = given["v"][row]
    return keys, values


def update(k, v, slots, keys, values):
    return ops.kv_cache_update(k, v, slots, keys, values)


@pytest.mark.parametrize("build", [fusible.compile, unfused])
def test_in_place(build):
    given = arrays()
    want = expected(given)
    keys, values = build(fusible.trace(update, **SPECS))(**given)
    assert keys is given["keys"]
    assert values is given["values"]
    assert (bits(keys), bits(values)) == (bits(want[0]), bits(want[1]))


@pytest.mark.parametrize("wrap", [np.asarray, OnlyInterface])
def test_what_is_read_only_is_not_updated(wrap):
    types = SPECS | {name: spec("f32[T, 2, 16]") for name in "kv"}
    types |= {name: spec("f32[4, 8, 2, 16]", updated=True) for name in ("keys", "values")}
    run = fusible.compile(fusible.trace(update, **types))
    given = {
        name: array if name == "slots" else array.astype(np.float32)
        for name, array in arrays().items()
    }
    keys, values = given["keys"], given["values"]
    before = bits(keys), bits(values)
    values.flags.writeable = False
    with pytest.raises(fusible.ArgumentError, match=r"^inputs: values: .*, got a read-only one$"):
        run(**given | {"values": wrap(values)})
    assert (bits(keys), bits(values)) == before


def test_read_by_others_after_the_update():
    def and_read(**given):
        keys, values = update(**given)
        return keys, values, ops.cast(keys, dtype="f32")

    given = arrays()
    want = expected(given)
    keys, _, read = fusible.compile(fusible.trace(and_read, **SPECS))(**given)
    assert keys is given["keys"]
    np.testing.assert_array_equal(read, want[0].astype(np.float32))


@pytest.mark.parametrize("old", ["returned", "read later"])
def test_an_old_value_that_is_needed_is_kept(old):
    def keeps(**given):
        keys, values = update(**given)
        late = given["keys"] if old == "returned" else ops.cast(given["keys"], dtype="f32")
        return keys, values, late

    given = arrays()
    before = given["keys"].copy()
    want = expected(given)
    keys, values, late = unfused(fusible.trace(keeps, **SPECS))(**given)
    assert keys is not given["keys"]
    assert values is given["values"]
    assert bits(keys) == bits(want[0])
    assert bits(given["keys"]) == bits(before)
    np.testing.assert_array_equal(late.astype(np.float32), before.astype(np.float32))


def test_a_new_value_that_nobody_asks_for_is_not_written():
    def reads(**given):
        keys, _ = update(**given)
        return ops.cast(keys, dtype="f32")

    given = arrays()
    before, want = given["keys"].copy(), expected(given)[0]
    result = fusible.compile(fusible.trace(reads, **SPECS))(**given)
    np.testing.assert_array_equal(result, want.astype(np.float32))
    assert bits(given["keys"]) == bits(before)


def test_row_operators_update_a_state():
    def step(x, state, w):
        state = ops.add(state, x)
        return ops.rms_norm(state, w), state

    types = {
        "x": spec("f32[T, 64]"),
        "state": spec("f32[T, 64]", updated=True),
        "w": spec("f32[64]", constant=True),
    }
    x, state, w = (normal(i, shape, "f32") for i, shape in enumerate([(5, 64), (5, 64), (64,)]))
    want = x + state
    graph = fusible.trace(lambda **given: step(**given)[1], **types)
    for build in (fusible.compile, unfused):
        given = state.copy()
        assert build(graph, weights={"w": w})(x=x, state=given) is given
        np.testing.assert_array_equal(given, want)


def test_the_new_value_goes_where_it_belongs_before_anywhere_else():
    """Both operands of the last call could be written; one is the state's memory already."""
    text = "input x: f32[4]\nupdated r: f32[4]\na = add(x, r)\nb = add(x, x)\n"
    run = unfused(fusible.Graph.parse(text + "c = add(b, a)\nreturn c -> r\n"))
    x, state = np.arange(4, dtype=np.float32), np.ones(4, np.float32)
    want = 3 * x + state
    new = run(x=x, r=state)
    assert new is state
    np.testing.assert_array_equal(new, want)


def test_two_updates_in_a_row():
    def twice(more, **given):
        keys, values = update(**given)
        return ops.kv_cache_update(given["v"], given["k"], more, keys, values)

    given = arrays() | {"more": np.array([0, 31, -1], np.int64)}
    first = expected(given)
    want = expected(
        {"k": given["v"], "v": given["k"], "slots": given["more"]}
        | dict(zip(("keys", "values"), first, strict=True))
    )
    run = fusible.compile(fusible.trace(twice, more=spec("i64[T]"), **SPECS))
    keys, values = run(**given)
    assert keys is given["keys"]
    assert (bits(keys), bits(values)) == (bits(want[0]), bits(want[1]))


@pytest.mark.parametrize("build", [fusible.compile, unfused])
def test_rotated_keys_in_place(build):
    def rotate_and_update(positions, cos_sin, **given):
        k, v, *rest = given.values()
        return ops.rotary_embedding_kv_cache_update(k, v, positions, cos_sin, *rest)

    more = {"positions": spec("i64[T]"), "cos_sin": spec("f32[9, 16]")}
    given = arrays() | {"positions": np.array([8, 0, 3]), "cos_sin": normal(7, (9, 16), "f32")}
    rotated = ops.rotary_embedding(given["k"], given["positions"], given["cos_sin"])
    want = expected(given | {"k": rotated})
    fresh = rotate_and_update(**given)
    keys, values = build(fusible.trace(rotate_and_update, **more, **SPECS))(**given)
    assert keys is given["keys"]
    assert values is given["values"]
    assert (bits(keys), bits(values)) == (bits(want[0]), bits(want[1]))
    assert (bits(fresh[0]), bits(fresh[1])) == (bits(want[0]), bits(want[1]))


def test_an_updated_input_apart_from_the_others():
    given = arrays()
    given["values"] = given["keys"]
    with pytest.raises(fusible.ArgumentError, match=r"inputs: (keys|values): .*updated in place"):
        fusible.compile(fusible.trace(update, **SPECS))(**given)


def test_a_slot_out_of_range_touches_nothing():
    given = arrays()
    given["slots"] = np.array([0, 32, 1], np.int64)
    before = bits(given["keys"])
    with pytest.raises(fusible.RangeError, match=r"kv_cache_update: slots: .* got 32"):
        fusible.compile(fusible.trace(update, **SPECS))(**given)
    assert bits(given["keys"]) == before


def test_a_strided_cache_is_refused():
    # A caller who keeps the array and not the result would go on with the old values.
    given = arrays()
    wide = np.zeros((4, 8, 2, 32), given["keys"].dtype)
    given["keys"] = wide[..., :16]
    with pytest.raises(fusible.ShapeError, match=r"^inputs: keys: expected a contiguous array"):
        fusible.compile(fusible.trace(update, **SPECS))(**given)
    assert not wide.any()


def test_a_new_state_and_what_is_made_from_it():
    def step(state, d, w):
        new = ops.add(state, d)
        return ops.rms_norm(new, w), new

    state, d, w = (normal(i, shape) for i, shape in enumerate([(3, 64), (3, 64), (64,)]))
    want = ops.add(state, d)
    graph = fusible.trace(
        step, state=spec("bf16[T, 64]", updated=True), d=spec("bf16[T, 64]"), w=spec("bf16[64]")
    )
    y, new = fusible.compile(graph)(state=state, d=d, w=w)
    assert new is state
    assert bits(new) == bits(want)
    assert bits(y) == bits(ops.rms_norm(want, w))


@pytest.mark.parametrize("build", [fusible.compile, unfused])
@pytest.mark.parametrize("first", ["the norm", "the sum"])
@pytest.mark.parametrize("operator", ["parts", "fused"])
@pytest.mark.parametrize("state_is", [0, 1])
def test_the_callers_array_is_the_new_value_and_no_other(build, first, operator, state_is):
    def step(**given):
        given = [given[name] for name in ("state", "d", "w")]
        pair = given[:2] if state_is == 0 else given[1::-1]
        if operator == "fused":
            y, total = ops.fused_add_rms_norm(*pair, given[2])
        else:
            total = ops.add(*pair)
            y = ops.rms_norm(total, given[2])
        return (y, total) if first == "the norm" else (total, y)

    state, d, w = (normal(i, shape) for i, shape in enumerate([(3, 64), (3, 64), (64,)]))
    types = {"state": spec("bf16[T, 64]", updated=True), "d": spec("bf16[T, 64]")}
    exe = build(fusible.trace(step, **types, w=spec("bf16[64]")))
    want = ops.add(*((state, d) if state_is == 0 else (d, state)))
    results = exe(state=state, d=d, w=w)
    y, new = results if first == "the norm" else results[::-1]
    assert new is state
    assert bits(state) == bits(want)
    assert bits(y) == bits(ops.rms_norm(want, w))


TWO_CHOICES = """
input x: f32[T, 64]
updated st: f32[T, 64]
a = mul(x, st)
b = softmax(st)
"""


@pytest.mark.parametrize("target", ["cpu", "cuda-sm90", "musa-s5000"])
@pytest.mark.parametrize("chosen", ["a", "b"])
def test_of_two_choices_the_one_that_is_said_is_written(target, chosen):
    with pytest.raises(fusible.GraphError, match="update-once: st: expected one new value, got a"):
        fusible.optimize(fusible.Graph.parse(f"{TWO_CHOICES}return a, b\n"), target)
    returned = ", ".join(f"{name} -> st" if name == chosen else name for name in "ab")
    result = fusible.optimize(fusible.Graph.parse(f"{TWO_CHOICES}return {returned}\n"), target)
    assert fusible.Graph.parse(str(result.graph)) == result.graph
    x, state = normal(1, (3, 64), "f32"), normal(2, (3, 64), "f32")
    want = {"a": x * state, "b": ops.softmax(state)}
    results = dict(zip("ab", fusible.compile(result)(x=x, st=state), strict=True))
    for name, value in want.items():
        assert bits(results[name]) == bits(value)
    if results[chosen] is state:  # else the old value was still needed
        assert bits(state) == bits(want[chosen])


def test_a_trace_says_which_result_is_the_new_value():
    def step(x, st):
        return ops.mul(x, st), ops.softmax(st)

    types = {"x": spec("f32[T, 64]"), "st": spec("f32[T, 64]", updated=True)}
    with pytest.raises(fusible.GraphError, match=r"^trace: update-once: st: .*new_value=N"):
        fusible.trace(step, **types)
    types["st"] = spec("f32[T, 64]", updated=True, new_value=1)
    assert "softmax(st)" in str(fusible.trace(step, **types))
    assert str(fusible.trace(step, **types)).splitlines()[-1].endswith("-> st")
    types["st"] = spec("f32[T, 64]", updated=True, new_value=2)
    with pytest.raises(fusible.GraphError, match=r"^trace: update-once: st: expected a result"):
        fusible.trace(step, **types)


def test_an_updated_input_apart_from_the_weights():
    def step(st, w):
        new = ops.add(st, w)
        return ops.add(ops.mul(w, by=3.0), new), new

    types = {"st": spec("f32[2, 64]", updated=True), "w": spec("f32[2, 64]", constant=True)}
    memory = np.ones((4, 64), np.float32)
    exe = fusible.compile(fusible.trace(step, **types), weights={"w": memory[1:3]})
    for begin in (0, 1, 2):
        with pytest.raises(fusible.ArgumentError, match=r"^inputs: st: expected memory apart from"):
            exe(st=memory[begin : begin + 2])
    assert (memory == 1).all()
    apart = np.ones((2, 64), np.float32)
    result, new = exe(st=apart)
    assert new is apart
    assert (result == 5).all()


@pytest.mark.parametrize("value", ["r", "v"], ids=["old", "new"])
def test_a_view_of_another_shape_is_an_array_of_its_own(value):
    graph = fusible.Graph.parse(
        "input x: f32[6, 8]\nupdated r: f32[6, 8]\nv = add(r, x)\n"
        f"u = reshape({value}, shape=[2, 3, 8])\nreturn v -> r, u\n"
    )
    for run in (unfused(graph), fusible.compile(graph)):
        x, r = np.ones((6, 8), np.float32), np.zeros((6, 8), np.float32)
        v, u = run(x=x, r=r)
        assert (v.shape, u.shape) == ((6, 8), (2, 3, 8))
        assert bits(v) == bits(x)
        assert bits(u) == bits(x if value == "v" else np.zeros((6, 8), np.float32))
        assert not np.shares_memory(u, r)
