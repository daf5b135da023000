"""One executable, called from many threads at once, and on any number of them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fusible
from fusible import ops, spec
from support.graphs import bits, normal


def layer(x, w, a):
    y = ops.rms_norm(ops.add(x, x), w)
    return ops.softmax(ops.matmul(y, a)), y


TYPES = {
    "x": spec("f32[T, 64]"),
    "w": spec("f32[64]", constant=True),
    "a": spec("f32[96, 64]", constant=True),
}
WEIGHTS = {"w": normal(1, (64,), "f32"), "a": normal(2, (96, 64), "f32")}


def test_calls_at_once():
    run = fusible.compile(fusible.trace(layer, **TYPES), weights=WEIGHTS)
    inputs = [normal(i, (1 + 37 * i % 90, 64), "f32") for i in range(40)]
    expected = [[bits(a) for a in layer(x, **WEIGHTS)] for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: run(x=x), inputs * 5))
    assert [[bits(a) for a in r] for r in results] == expected * 5


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_bits_do_not_depend_on_threads(threads):
    run = fusible.compile(fusible.trace(layer, **TYPES), weights=WEIGHTS)
    x = normal(3, (777, 64), "f32")
    fusible._core.set_threads(1)
    expected = [bits(a) for a in run(x=x)]
    fusible._core.set_threads(threads)
    assert [bits(a) for a in run(x=x)] == expected


def test_eager_calls_at_once():
    w = np.ones(256, np.float32)
    inputs = [normal(i, (1 + i % 7, 256), "f32") for i in range(60)]

    def call(x):
        return [bits(a) for a in ops.fused_add_rms_norm(x, x, w)]

    expected = [call(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, inputs)) == expected


def test_an_error_in_one_call_leaves_the_others_alone():
    def look_up(ids, w):
        return ops.softmax(ops.embedding(ids, w))

    types = {"ids": spec("i32[T]"), "w": spec("f32[10, 64]", constant=True)}
    weights = {"w": normal(1, (10, 64), "f32")}
    run = fusible.compile(fusible.trace(look_up, **types), weights=weights)
    good, bad = np.array([1, 9], np.int32), np.array([1, 10], np.int32)
    expected = bits(run(ids=good))

    def call(ids):
        try:
            return bits(run(ids=ids))
        except fusible.RangeError:
            return None

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, [good, bad] * 50)) == [expected, None] * 50
