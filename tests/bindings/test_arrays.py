"""Arrays in and out: what is taken without a copy, what is refused, and who owns what."""

import gc
import sys
import threading

import ml_dtypes
import numpy as np
import pytest

import fusible
from fusible import ops
from support.arrays import OnDevice2, OnlyDLPack, OnlyInterface, Unexported
from support.contract import machine

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("wrap", [OnlyDLPack, OnlyInterface])
def test_reads_other_arrays(wrap):
    np.testing.assert_array_equal(ops.add(wrap(X), X), X + X)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_result_has_the_operand_dtype(dtype):
    x = X.astype(dtype)
    result = ops.add(x, x)
    assert result.dtype == x.dtype
    assert result.flags.c_contiguous


@pytest.mark.parametrize("bad", [[1.0, 2.0], 3.0, "x", object()])
def test_refuses_what_is_no_array(bad):
    with pytest.raises(fusible.DTypeError, match=r"add: y: expected an array, got"):
        ops.add(X, bad)


@pytest.mark.parametrize("dtype", [np.float64, np.int8, ">f4", np.complex64])
def test_refuses_dtypes_that_are_not_ours(dtype):
    with pytest.raises(fusible.DTypeError, match=r"add: x: expected"):
        ops.add(X.astype(dtype), X)


def test_takes_row_strides_and_refuses_column_strides():
    wide = np.arange(24, dtype=np.float32).reshape(3, 8)
    np.testing.assert_array_equal(ops.add(wide[:, 2:6], X), wide[:, 2:6] + X)
    with pytest.raises(fusible.ShapeError, match=r"add: x: .*contiguous.*ascontiguousarray"):
        ops.add(wide[:, ::2], X)


def test_takes_negative_and_broadcast_row_strides():
    np.testing.assert_array_equal(ops.add(X[::-1], X), X[::-1] + X)
    row = np.broadcast_to(X[0], X.shape)
    np.testing.assert_array_equal(ops.add(row, X), row + X)


def test_strides_that_are_no_whole_elements_are_refused():
    raw = np.zeros((3, 18), np.uint8)
    x = raw[:, :16].view(np.float32)
    assert x.strides == (18, 4)
    with pytest.raises(fusible.ShapeError, match="multiples of 4 bytes"):
        ops.add(x, x)


def test_out_is_written_and_returned():
    out = np.empty_like(X)
    assert ops.add(X, X, out=out) is out
    np.testing.assert_array_equal(out, X + X)


def test_out_may_be_the_operand_that_the_signature_names():
    x = X.copy()
    assert ops.add(x, X, out=x) is x
    np.testing.assert_array_equal(x, X + X)


def test_out_may_not_be_another_operand_nor_overlap():
    y = X.copy()
    with pytest.raises(fusible.ArgumentError, match="sum: expected memory apart from y"):
        ops.add(X, y, out=y)
    block = np.zeros((4, 4), np.float32)
    with pytest.raises(fusible.ArgumentError, match="or exactly its memory"):
        ops.add(block[:3], X, out=block[1:])
    np.testing.assert_array_equal(block, 0)


@pytest.mark.parametrize("strides", [(0, 4), (8, 4), (-8, 4)])
def test_out_may_not_overlap_itself(strides):
    out = np.lib.stride_tricks.as_strided(np.zeros(64, np.float32)[16:], (3, 4), strides)
    with pytest.raises(fusible.ArgumentError, match="sum: expected an array whose elements lie"):
        ops.add(X, X, out=out)
    assert not out.any()


def test_out_may_be_rows_backwards():
    out = np.zeros((3, 4), np.float32)
    ops.add(X, X, out=out[::-1])
    np.testing.assert_array_equal(out[::-1], X + X)


def test_unknown_dtypes_name_what_the_operand_may_have():
    with pytest.raises(fusible.DTypeError, match=r"^add: x: expected f32, bf16 or f16, got float"):
        ops.add(X.astype(np.float64), X)


@pytest.mark.parametrize("wrap", [np.asarray, OnlyDLPack, OnlyInterface])
def test_more_dimensions_than_there_may_be_are_refused(wrap):
    with pytest.raises(fusible.ShapeError, match=r"^add: x: expected at most 8 dimensions, got 9"):
        ops.add(wrap(X.reshape((3, 4) + (1,) * 7)), X)


def test_an_array_on_another_device_is_refused():
    message = r"^add: y: expected an array on the CPU, got one on DLPack device 2$"
    with pytest.raises(fusible.UnsupportedError, match=message):
        ops.add(X, OnDevice2(X))
    out = X.copy()
    with pytest.raises(fusible.UnsupportedError, match=r"^add: out sum: .* DLPack device 2$"):
        ops.add(X, X, out=OnDevice2(out))
    np.testing.assert_array_equal(out, X)


def test_an_array_that_is_not_exported_says_why():
    x = np.ones(4, np.float32)
    message = "^add: y: expected an array that DLPack exports, got Unexported: call detach.. first$"
    with pytest.raises(fusible.ArgumentError, match=message):
        ops.add(x, Unexported(x))


def test_out_may_be_other_columns_of_the_same_rows():
    block = np.zeros((3, 8), np.float32)
    block[:, :4] = X
    ops.add(block[:, :4], X, out=block[:, 4:])
    np.testing.assert_array_equal(block[:, 4:], X + X)


HEADS = np.arange(2 * 5 * 4 * 8, dtype=np.float32).reshape(2, 5, 4, 8)


@pytest.mark.parametrize(
    ("x", "out"),
    [
        (np.s_[:, :, :2], np.s_[:, :, 2:]),  # other heads
        (np.s_[:, :, 2:], np.s_[:, :, :2]),
        (np.s_[..., :4], np.s_[..., 4:]),  # other columns of the same heads
        (np.s_[:, :2], np.s_[:, 3:]),  # other rows of the same sequences
        (np.s_[:, ::-1, 1:3, :3], np.s_[:, :, 1:3, 3:6]),
    ],
)
def test_out_may_be_another_slice_of_the_same_rows(x, out):
    block = HEADS.copy()
    ops.add(block[x], block[x], out=block[out])
    expected = HEADS.copy()
    expected[out] = 2 * HEADS[x]
    np.testing.assert_array_equal(block, expected)


@pytest.mark.parametrize(
    ("x", "out"),
    [
        (np.s_[:, :, :3], np.s_[:, :, 1:]),
        (np.s_[..., :5], np.s_[..., 3:]),
        (np.s_[:, :3], np.s_[:, 2:]),
        (np.s_[:, :, :2], np.s_[:, ::-1, 1:3]),
        (np.s_[:, 1:3, ::-1], np.s_[:, 2:4]),
    ],
)
def test_out_may_not_be_a_slice_that_shares_elements(x, out):
    block = HEADS.copy()
    with pytest.raises(fusible.ArgumentError, match="sum: expected memory apart from x"):
        ops.add(block[x], block[x].copy(), out=block[out])
    np.testing.assert_array_equal(block, HEADS)


@pytest.mark.parametrize(
    "place",
    [
        lambda memory: memory[:3, :2],
        lambda memory: memory[:2, :3].T,
        lambda memory: memory[:3, 1:6:3],
        lambda memory: memory[:6:2, 1::-1],
    ],
)
def test_scales_in_columns_go_to_memory_of_any_layout(place):
    x = np.random.default_rng(0).standard_normal((3, 256)).astype(np.float32)
    codes, scales = ops.per_token_group_quant_fp8(x, layout="col")
    assert scales.strides == (4, 12)
    memory = np.zeros((8, 8), np.float32)
    out = np.empty_like(codes), place(memory)
    assert ops.per_token_group_quant_fp8(x, layout="col", out=out)[1] is out[1]
    np.testing.assert_array_equal(out[1], scales)
    assert np.count_nonzero(memory) == scales.size


EPS = [
    np.float32(0.5),
    np.float16(0.5),
    ml_dtypes.bfloat16(0.5),
    np.array(0.5),
    np.array(0.5, ml_dtypes.bfloat16),
]


@pytest.mark.parametrize("eps", EPS, ids=repr)
def test_attributes_may_be_numbers_of_numpy(eps):
    np.testing.assert_array_equal(ops.rms_norm(X, eps=eps), ops.rms_norm(X, eps=0.5))


@pytest.mark.parametrize(
    "eps", [np.complex64(1), np.complex128(1), 1j, np.array([0.5]), np.array(1j), b"1"], ids=repr
)
def test_attributes_that_are_no_numbers_are_refused(eps):
    with pytest.raises(fusible.ArgumentError, match=r"^rms_norm: eps: expected .*, got "):
        ops.rms_norm(X, eps=eps)


@pytest.mark.parametrize(
    "shape",
    [(2, 6), np.array([2, 6]), np.array([2, 6], np.int8), [np.int64(2), 6], range(2, 7, 4)],
    ids=repr,
)
def test_lists_of_ints_may_be_any_sequence(shape):
    assert ops.reshape(X, shape=shape).shape == (2, 6)


@pytest.mark.parametrize(
    "shape",
    [
        np.array([2.0, 6.0]),
        [np.float32(2.5), 6],
        [2.0, 6],
        [True, 12],
        np.array([[2], [6]]),
        "26",
        b"26",
        [2**63, 6],
    ],
    ids=repr,
)
def test_lists_of_anything_else_are_refused(shape):
    with pytest.raises(fusible.ArgumentError, match=r"^reshape: shape: expected .*, got "):
        ops.reshape(X, shape=shape)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty((3, 5), np.float32), fusible.ShapeError, r"expected shape \[3, 4\]"),
        (np.empty((3, 4), np.float16), fusible.DTypeError, "expected f32, got f16"),
        ((X.copy(), X.copy()), fusible.ArgumentError, "expected 1 arrays, got 2"),
    ],
)
def test_out_that_does_not_fit(out, error, message):
    with pytest.raises(error, match=message):
        ops.add(X, X, out=out)


@pytest.mark.parametrize("wrap", [np.asarray, OnlyInterface])
def test_a_read_only_out_is_refused(wrap):
    out = X.copy()
    out.flags.writeable = False
    with pytest.raises(fusible.ArgumentError, match=r"^add: out sum: .*, got a read-only one$"):
        ops.add(X, X, out=wrap(out))
    np.testing.assert_array_equal(out, X)


def test_large_results_are_not_recycled_while_they_live():
    x = np.ones((256, 1024), np.float32)
    first = ops.add(x, x)
    kept = first[:2]
    del first
    gc.collect()
    second = ops.mul(x, by=7.0)
    np.testing.assert_array_equal(kept, 2)
    np.testing.assert_array_equal(second, 7)


def test_views_share_memory_and_keep_it_alive():
    x = np.arange(12, dtype=np.float32)
    seen = ops.reshape(x, shape=[3, -1])
    assert seen.shape == (3, 4)
    seen[0, 0] = 42
    assert x[0] == 42
    del x
    gc.collect()
    assert ops.slice(seen, start=1, stop=3).tolist()[0] == [1, 2]


def test_calls_from_several_threads_give_the_same_bits():
    x = np.random.default_rng(0).standard_normal((512, 576)).astype(ml_dtypes.bfloat16)
    w = np.ones(576, ml_dtypes.bfloat16)
    expected = ops.rms_norm(x, w).tobytes()
    found = []

    def call():
        found.extend(ops.rms_norm(x, w).tobytes() == expected for _ in range(20))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(found)


def eager():
    x = np.ones((64, 256), np.float32)
    return lambda: ops.matmul(x, x)


def compiled():
    run = fusible.compile(fusible.Graph.parse("input x: f32[T, 256]\ny = softmax(x)\nreturn y\n"))
    x = np.ones((1024, 256), np.float32)
    return lambda: run(x=x)


@pytest.mark.parametrize("call_of", [eager, compiled])
def test_other_threads_of_python_run_during_a_call(call_of):
    # Nobody asks for the interpreter within the test, so that it changes hands only where a call
    # lets go of it; else the worker has made all its calls before anything else runs.
    call, seen, most = call_of(), threading.Event(), 1000
    call()  # the first one imports and looks up

    def work():
        calls = 0
        while calls < most and not seen.is_set():
            call()
            calls += 1
        made.append(calls)

    made, interval = [], sys.getswitchinterval()
    worker = threading.Thread(target=work)
    sys.setswitchinterval(1000)
    try:
        with machine(fusible._core.chosen_isa(), 1):
            worker.start()
            seen.set()
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert made[0] < most


def test_an_unknown_operator_names_the_nearest():
    with pytest.raises(fusible.ArgumentError, match="the nearest is 'rms_norm'"):
        fusible._core.find_op("rmsnorm")
