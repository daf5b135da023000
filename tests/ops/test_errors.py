"""Errors that follow from the signatures: each names operator, argument, expected and got."""

import re

import numpy as np
import pytest

import fusible
from fusible import _core, ops
from support.calls import legal_call

NAMES = _core.op_names()
DESCRIBED = {name: _core.find_op(name).describe() for name in NAMES}
OPERANDS = [(name, operand["name"]) for name in NAMES for operand in DESCRIBED[name]["params"]]
SHAPED = [
    (name, operand["name"])
    for name in NAMES
    for operand in DESCRIBED[name]["params"]
    if not operand["any_shape"]
]
ATTRS = [(name, attr["name"]) for name in NAMES for attr in DESCRIBED[name]["attrs"]]
WRITING = [name for name in NAMES if DESCRIBED[name]["kind"] != "view"]


def call(name, operands, attrs, out=None):
    return _core.find_op(name)(tuple(operands.values()), attrs, out)


def operand_of(name, operand):
    return next(p for p in DESCRIBED[name]["params"] if p["name"] == operand)


def attr_of(name, attr):
    return next(a for a in DESCRIBED[name]["attrs"] if a["name"] == attr)


@pytest.mark.parametrize("name", NAMES)
def test_the_legal_call_is_legal(name):
    operands, attrs = legal_call(name)
    call(name, operands, attrs)


BOUNDED = [(n, a) for n, a in ATTRS if attr_of(n, a)["bound"].startswith(">=")]


@pytest.mark.parametrize(("name", "attr"), BOUNDED)
def test_rejects_a_number_below_its_bound(name, attr):
    operands, attrs = legal_call(name)
    attrs[attr] = -1
    lowest = attr_of(name, attr)["bound"].removeprefix(">= ")
    message = rf"^{name}: {attr}: expected .* {lowest}, got -1"
    with pytest.raises(fusible.ArgumentError, match=message):
        call(name, operands, attrs)


@pytest.mark.parametrize(("name", "operand"), OPERANDS)
def test_rejects_another_dtype(name, operand):
    operands, attrs = legal_call(name)
    operands[operand] = np.zeros(operands[operand].shape, np.float64)
    with pytest.raises(fusible.DTypeError, match=rf"^{name}: {operand}: expected .*, got "):
        call(name, operands, attrs)


CHOOSY = [(n, o) for n, o in SHAPED if operand_of(n, o)["dtype"] != "A"]


@pytest.mark.parametrize(("name", "operand"), CHOOSY)
def test_rejects_another_dtype_of_ours(name, operand):
    operands, attrs = legal_call(name)
    wrong = np.float32 if operands[operand].dtype != np.float32 else np.int32
    operands[operand] = np.zeros(operands[operand].shape, wrong)
    with pytest.raises(fusible.DTypeError, match=rf"^{name}: {operand}: expected .*, got "):
        call(name, operands, attrs)


def call_with_rows_of(name, size):
    """The legal call with that many elements in the last dimension of every operand."""
    operands, attrs = legal_call(name)
    rows = {key: np.ones((*a.shape[:-1], size), a.dtype) for key, a in operands.items()}
    return call(name, rows, attrs)


@pytest.mark.parametrize("size", [1, 192, 4095])
@pytest.mark.parametrize("name", ["per_token_group_quant_fp8", "rms_norm_group_quant_fp8"])
def test_rejects_rows_that_are_no_whole_groups(name, size):
    message = f"expected C divisible by group_size, got C = {size}, group_size = 128"
    with pytest.raises(fusible.ShapeError, match=rf"^{name}: x: {message}$"):
        call_with_rows_of(name, size)


@pytest.mark.parametrize("size", [1, 7, 4095])
@pytest.mark.parametrize(
    "name", ["silu_and_mul", "gelu_tanh_and_mul", "silu_and_mul_group_quant_fp8"]
)
def test_rejects_rows_that_are_not_two_halves(name, size):
    message = rf"expected a last dimension of 2\*D, got \[2, {size}\]"
    with pytest.raises(fusible.ShapeError, match=rf"^{name}: x: {message}$"):
        call_with_rows_of(name, size)


def letters(dim):
    return set(re.findall(r"[A-Za-z_]+", dim)) - {"ceil"}


def is_tied(name, operand):
    """Whether the operand's last dimension must agree with another operand's."""
    own = operand_of(name, operand)
    others = [p for p in DESCRIBED[name]["params"] if p is not own]
    if not own["dims"]:
        return any(p["leading"] for p in others)
    last = letters(own["dims"][-1])
    return any(last & letters(dim) for p in others for dim in p["dims"])


RANKED = [(n, o) for n, o in SHAPED if operand_of(n, o)["dims"] or is_tied(n, o)]
TIED = [(n, o) for n, o in SHAPED if is_tied(n, o)]


@pytest.mark.parametrize(("name", "operand"), RANKED)
def test_rejects_another_rank(name, operand):
    operands, attrs = legal_call(name)
    array = operands[operand]
    has_dims = bool(operand_of(name, operand)["dims"])
    operands[operand] = array.ravel()[:1].reshape(()) if has_dims else array[None, None]
    with pytest.raises(fusible.ShapeError, match=rf"^{name}: \w+: expected .*, got \["):
        call(name, operands, attrs)


@pytest.mark.parametrize(("name", "operand"), TIED)
def test_rejects_another_size(name, operand):
    operands, attrs = legal_call(name)
    whole = operands[operand]
    operands[operand] = np.concatenate([whole, whole[..., :1]], axis=-1)
    with pytest.raises(fusible.ShapeError, match=rf"^{name}: \w+: expected .*, got "):
        call(name, operands, attrs)


@pytest.mark.parametrize(("name", "operand"), OPERANDS)
def test_rejects_an_absent_operand(name, operand):
    operands, attrs = legal_call(name)
    operands[operand] = None
    if operand_of(name, operand)["optional"]:
        call(name, operands, attrs)
        return
    with pytest.raises(
        fusible.DTypeError, match=rf"^{name}: {operand}: expected an array, got none"
    ):
        call(name, operands, attrs)


# Rows of one element have no gaps, and scales may be stored column by column.
GAPPED = [
    (n, o)
    for n, o in SHAPED
    if operand_of(n, o)["dims"] and o != "x_scale" and legal_call(n)[0][o].shape[-1] > 1
]


@pytest.mark.parametrize(("name", "operand"), GAPPED)
def test_rejects_gaps_between_the_elements_of_a_row(name, operand):
    operands, attrs = legal_call(name)
    array = operands[operand]
    operands[operand] = np.repeat(array, 2, axis=-1)[..., ::2]
    with pytest.raises(fusible.ShapeError, match=rf"^{name}: {operand}: .*ascontiguousarray"):
        call(name, operands, attrs)


@pytest.mark.parametrize(
    ("name", "operand"), [(n, o) for n, o in SHAPED if operand_of(n, o)["bound"]]
)
@pytest.mark.parametrize("value", [-1, 2**31 - 1])
def test_rejects_an_index_out_of_range(name, operand, value):
    operands, attrs = legal_call(name)
    operands[operand].flat[-1] = value
    if value < 0 and operand_of(name, operand)["skips_negative"]:
        call(name, operands, attrs)
        return
    with pytest.raises(fusible.RangeError, match=rf"^{name}: {operand}: expected .*, got {value}"):
        call(name, operands, attrs)


@pytest.mark.parametrize(("name", "attr"), ATTRS)
def test_rejects_an_attribute_of_another_kind(name, attr):
    operands, attrs = legal_call(name)
    attrs[attr] = {"int": "three", "float": "three"}.get(attr_of(name, attr)["kind"], 1.5)
    with pytest.raises(fusible.ArgumentError, match=rf"^{name}: {attr}: expected .*, got "):
        call(name, operands, attrs)


@pytest.mark.parametrize(
    ("k", "shown"),
    [(2**63, str(2**63)), (-(2**70), str(-(2**70))), (10**300, "1" + "0" * 199 + "...")],
    ids=["above", "below", "long"],
)
def test_rejects_ints_beyond_64_bits(k, shown):
    message = f"topk: k: expected ints of at most 64 bits, got {shown}"
    with pytest.raises(fusible.ArgumentError, match=f"^{re.escape(message)}$"):
        ops.topk(np.ones((2, 8), np.float32), k=k)


def test_a_value_without_a_text_is_named_by_its_type():
    with pytest.raises(fusible.ArgumentError, match=r"got a value of type int$"):
        ops.topk(np.ones((2, 8), np.float32), k=10**5000)


@pytest.mark.parametrize(
    ("name", "attr"), [(n, a) for n, a in ATTRS if attr_of(n, a)["kind"] == "float"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_rejects_floats_that_are_not_finite(name, attr, value):
    operands, attrs = legal_call(name)
    attrs[attr] = value
    with pytest.raises(fusible.ArgumentError, match=rf"^{name}: {attr}: expected a finite float"):
        call(name, operands, attrs)


@pytest.mark.parametrize(
    ("name", "attr", "value"),
    [
        (n, a, value)
        for n, a in ATTRS
        for value in (-64, 0, "sideways", "f32")
        if attr_of(n, a)["choices"] and value not in attr_of(n, a)["choices"]
    ],
)
def test_rejects_what_is_no_choice(name, attr, value):
    operands, attrs = legal_call(name)
    attrs[attr] = value
    with pytest.raises(fusible.ArgumentError, match=rf"^{name}: {attr}: expected .*, got "):
        call(name, operands, attrs)


@pytest.mark.parametrize("name", NAMES)
def test_rejects_an_unknown_attribute(name):
    operands, attrs = legal_call(name)
    with pytest.raises(fusible.ArgumentError, match=rf"^{name}: epsilon: expected one of its"):
        call(name, operands, attrs | {"epsilon": 1e-5})


@pytest.mark.parametrize("name", NAMES)
def test_rejects_too_many_operands(name):
    operands, attrs = legal_call(name)
    with pytest.raises(fusible.ArgumentError, match=rf"^{name}: expected at most {len(operands)} "):
        call(name, operands | {"one_more": np.zeros(1, np.float32)}, attrs)


def results_of(name):
    operands, attrs = legal_call(name)
    results = call(name, operands, attrs)
    return operands, attrs, results if isinstance(results, tuple) else (results,)


@pytest.mark.parametrize("name", WRITING)
def test_rejects_results_that_do_not_fit(name):
    operands, attrs, results = results_of(name)
    for i, result in enumerate(results):
        bad = list(results)
        bad[i] = np.empty((*result.shape, 2), result.dtype)
        with pytest.raises(
            fusible.ShapeError, match=rf"^{name}: out {DESCRIBED[name]['results'][i]['name']}: "
        ):
            call(name, operands, attrs, tuple(bad))
        bad[i] = np.empty(result.shape, np.float64)
        with pytest.raises(fusible.DTypeError, match=rf"^{name}: out "):
            call(name, operands, attrs, tuple(bad))


def zeros_like(results):
    return [np.zeros(result.shape, result.dtype) for result in results]


def assert_zeros(arrays):
    assert all(not np.any(array.view(np.uint8)) for array in arrays)


@pytest.mark.parametrize("name", WRITING)
def test_writes_nothing_where_the_last_result_does_not_fit(name):
    operands, attrs, results = results_of(name)
    out = zeros_like(results)
    out[-1] = np.zeros((*results[-1].shape, 2), results[-1].dtype)
    with pytest.raises(fusible.ShapeError, match=rf"^{name}: out "):
        call(name, operands, attrs, tuple(out))
    assert_zeros(out)


@pytest.mark.parametrize("name", WRITING)
def test_writes_nothing_where_the_last_result_overlaps_an_operand(name):
    operands, attrs, results = results_of(name)
    out = zeros_like(results)
    largest = max(operands, key=lambda key: operands[key].nbytes)
    array, last = operands[largest], results[-1]
    memory = np.zeros(array.nbytes + last.nbytes, np.uint8)
    operands[largest] = memory[: array.nbytes].view(array.dtype).reshape(array.shape)
    operands[largest][...] = array
    middle = array.nbytes // 2 // 8 * 8
    out[-1] = memory[middle : middle + last.nbytes].view(last.dtype).reshape(last.shape)
    before = memory.copy()
    with pytest.raises(fusible.ArgumentError, match=rf"^{name}: \w+: expected memory apart from "):
        call(name, operands, attrs, tuple(out))
    np.testing.assert_array_equal(memory, before)
    assert_zeros(out[:-1])


INDEXED = [(n, p["name"]) for n in WRITING for p in DESCRIBED[n]["params"] if p["bound"]]


@pytest.mark.parametrize(("name", "operand"), INDEXED)
def test_writes_nothing_where_the_last_index_is_out_of_range(name, operand):
    operands, attrs, results = results_of(name)
    out = zeros_like(results)
    operands[operand].flat[-1] = 2**31 - 1
    with pytest.raises(fusible.RangeError, match=rf"^{name}: {operand}: expected "):
        call(name, operands, attrs, tuple(out))
    assert_zeros(out)


@pytest.mark.parametrize("rows", [slice(None), slice(None, None, -1)])
@pytest.mark.parametrize("out_rows", [slice(None), slice(None, None, -1)])
def test_slices_of_the_same_rows_do_not_overlap_whichever_way_rows_go(rows, out_rows):
    qkv = np.random.default_rng(1).standard_normal((5, 48)).astype(np.float32)
    x, out = qkv[rows, :16], qkv[out_rows, 16:32]
    expected = ops.rms_norm(x.copy())
    ops.rms_norm(x, out=out)
    np.testing.assert_array_equal(out, expected)
    with pytest.raises(fusible.ArgumentError, match="overlaps"):
        ops.rms_norm(x, out=qkv[out_rows, 8:24])


def test_a_bound_is_given_with_all_its_digits():
    x, scale = np.ones((2, 8), np.float32), np.ones(1, np.float32)
    with pytest.raises(fusible.ArgumentError, match=r"float from 0\.001953125 to"):
        ops.static_quant_fp8(x, scale, fp8_max=0.00195312)
    ops.static_quant_fp8(x, scale, fp8_max=0.001953125)


# Arrays that lie on one element, so that only the results would need memory.
@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (1 << 40, MemoryError, "^rms_norm: y: no memory for f32"),
        (1 << 54, fusible.ShapeError, r"^rms_norm: y: expected at most 2\^58 elements"),
    ],
)
def test_results_that_no_memory_holds_are_named(rows, error, message):
    x = np.lib.stride_tricks.as_strided(np.zeros(64, np.float32), (rows, 64), (0, 4))
    with pytest.raises(error, match=message):
        ops.rms_norm(x)
