"""A call like an earlier one takes a shorter way, and nothing that differs is taken for like."""

import threading

import ml_dtypes
import numpy as np
import pytest

import fusible
from fusible import ops

RNG = np.random.default_rng(5)
X = RNG.standard_normal((3, 8)).astype(np.float32)
Y = RNG.standard_normal((3, 8)).astype(np.float32)
W = RNG.standard_normal(8).astype(np.float32)


def test_other_values_in_the_same_layout():
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((3, 8)).astype(np.float32)
        np.testing.assert_array_equal(ops.add(x, Y), x + Y)


@pytest.mark.parametrize("by", [0.0, -0.0, 1, 1.0, np.float32(3), np.float64(0.5)])
def test_attributes_are_told_apart(by):
    for _ in range(2):  # once as the first of its kind, once like it
        for other in (0.0, -0.0, by, 2.0):
            np.testing.assert_array_equal(
                ops.mul(X, by=other).view(np.int32), (X * np.float32(other)).view(np.int32)
            )


def test_a_list_that_changes_is_read_again():
    shape = [4, 6]
    assert ops.reshape(X, shape=shape).shape == (4, 6)
    shape[:] = [6, 4]
    assert ops.reshape(X, shape=shape).shape == (6, 4)


def test_layouts_are_told_apart():
    wide = np.concatenate([X, Y], 1)
    for x in (X, X[::-1], wide[:, :8], wide[:, 8:], X[:2], X[:0], np.broadcast_to(X[0], (3, 8))):
        for _ in range(2):
            np.testing.assert_array_equal(ops.add(x, x), x + x)
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32):
        assert ops.add(X.astype(dtype), Y.astype(dtype)).dtype == dtype


def test_absent_operands_are_told_apart():
    ones = np.ones(8, np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(ops.rms_norm(X), ops.rms_norm(X, ones))
        assert not np.array_equal(ops.rms_norm(X), ops.rms_norm(X, W))


def test_results_are_fresh_each_time():
    first, second = ops.add(X, Y), ops.add(X, Y)
    first[:] = 0
    np.testing.assert_array_equal(second, X + Y)


def test_given_results_may_be_the_operands_and_may_be_others():
    expected = [a.tobytes() for a in ops.fused_add_rms_norm(X, Y, W)]
    for _ in range(3):
        x, residual = X.copy(), Y.copy()
        apart = np.empty_like(X), np.empty_like(X)
        for out in (apart, (apart[0], residual), (x, apart[1])):
            ops.fused_add_rms_norm(x, Y if out[1] is not residual else residual, W, out=out)
            assert [a.tobytes() for a in out] == expected
        x = X.copy()
        residual = Y.copy()
        ops.fused_add_rms_norm(x, residual, W, out=(x, residual))
        assert [x.tobytes(), residual.tobytes()] == expected


def test_an_overlap_is_refused_after_calls_without_one():
    block = np.zeros((6, 8), np.float32)
    for _ in range(2):
        ops.add(block[:3], X, out=block[3:])
    before = block.copy()
    with pytest.raises(fusible.ArgumentError, match="or exactly its memory"):
        ops.add(block[:3], X, out=block[1:4])
    with pytest.raises(fusible.ArgumentError, match="apart from y"):
        ops.add(X, block[:3], out=block[:3])
    np.testing.assert_array_equal(block, before)


def test_results_may_not_overlap_each_other_after_calls_where_they_did_not():
    out = np.zeros((2, 3, 8), np.float32)
    ops.fused_add_rms_norm(X, Y, W, out=(out[0], out[1]))
    with pytest.raises(fusible.ArgumentError, match="sum: expected memory apart from y"):
        ops.fused_add_rms_norm(X, Y, W, out=(out[0], out[0]))


def test_an_operand_given_twice_is_refused_where_the_result_takes_it():
    x = X.copy()
    for _ in range(2):
        ops.add(x, Y, out=x)
    before = x.copy()
    with pytest.raises(fusible.ArgumentError, match="apart from y"):
        ops.add(x, x, out=x)
    np.testing.assert_array_equal(x, before)


def test_other_columns_of_the_same_rows():
    block = np.zeros((3, 16), np.float32)
    block[:, :8] = X
    for _ in range(3):
        ops.add(block[:, :8], Y, out=block[:, 8:])
        np.testing.assert_array_equal(block[:, 8:], X + Y)


def test_a_read_only_result_is_refused_after_calls_with_one_that_is_not():
    out = np.zeros_like(X)
    ops.add(X, Y, out=out)
    out.flags.writeable = False
    with pytest.raises(fusible.ArgumentError, match="read-only"):
        ops.add(X, X, out=out)
    np.testing.assert_array_equal(out, X + Y)


def test_indices_are_checked_each_time():
    table = np.arange(32, dtype=np.float32).reshape(8, 4)
    for _ in range(2):
        ops.embedding(np.array([0, 7]), table)
        with pytest.raises(
            fusible.RangeError, match=r"embedding: .*expected values from 0 to below 8"
        ):
            ops.embedding(np.array([0, 8]), table)


def test_errors_say_the_same_before_and_after():
    def message():
        with pytest.raises(fusible.Error) as caught:
            ops.rms_norm(X, W[:7])
        return str(caught.value)

    first = message()
    ops.rms_norm(X, W)
    assert message() == first == "rms_norm: weight: expected C = 8, got [7]"


@pytest.mark.parametrize("out", [tuple, list])
def test_one_result_may_stand_in_a_sequence(out):
    for _ in range(2):
        y = np.empty_like(X)
        assert ops.add(X, Y, out=out([y])) is y
        np.testing.assert_array_equal(y, X + Y)


def test_several_results_are_a_tuple_of_what_was_given():
    given = [np.empty_like(X), np.empty_like(X)]
    for out in (given, tuple(given), given):
        returned = ops.fused_add_rms_norm(X, Y, W, out=out)
        assert isinstance(returned, tuple)
        assert all(a is b for a, b in zip(returned, given, strict=True))


def test_subclasses_of_arrays_are_read():
    class Mine(np.ndarray):
        pass

    for _ in range(2):
        np.testing.assert_array_equal(ops.add(X.view(Mine), Y), X + Y)


def test_a_wrong_number_of_arguments_by_position():
    with pytest.raises(TypeError, match="by position"):
        fusible._core.find_op("add").by_position(X)


def test_more_layouts_than_are_kept_from_several_threads():
    x = RNG.standard_normal((100, 8)).astype(np.float32)
    expected = [ops.fused_add_rms_norm(x[:n], x[:n], W)[0].tobytes() for n in range(100)]
    wrong = []

    def work(order):
        for n in order:
            if ops.fused_add_rms_norm(x[:n], x[:n], W)[0].tobytes() != expected[n]:
                wrong.append(n)

    orders = [np.random.default_rng(i).integers(0, 100, 300) for i in range(4)]
    threads = [threading.Thread(target=work, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
