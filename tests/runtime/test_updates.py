"""Updated inputs: written in place where the old value is not needed, else left alone."""

import numpy as np
import pytest

import fusible
from fusible import ops, spec
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
    assert bits(new) == bits(want)
    assert bits(y) == bits(ops.rms_norm(want, w))
