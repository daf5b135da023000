"""Promises about bits: in place, split batches, the caller's floating-point mode, layouts."""

import numpy as np
import pytest

import fusible
from fusible import _core, ops
from support.case import cases_of, dtypes_under_test, stored
from support.contract import ISAS, OPS, ROW_OPS, call, machine
from support.tolerance import assert_same_bits

COMPUTING = [name for name in ROW_OPS if all(r["leading"] for r in OPS[name]["results"])]
IN_PLACE = [name for name in ROW_OPS if any(r["alias"] for r in OPS[name]["results"])]


def tests_of(names):
    return [
        pytest.param(name, case, dtype, id=f"{name}-{case.id}-{dtype}")
        for name in names
        for case in cases_of(OPS[name])
        for dtype in dtypes_under_test(OPS[name])
    ]


def row_operands(name, operands):
    """Names of the operands that have rows (leading dimensions)."""
    leading = {param["name"]: param["leading"] for param in OPS[name]["params"]}
    return [key for key in operands if leading[key]]


@pytest.mark.parametrize(("name", "case", "dtype"), tests_of(IN_PLACE))
def test_in_place_gives_the_same_bits(name, case, dtype):
    operands = case.make(dtype)
    expected = call(name, operands, case.attrs)
    # Arrays of their own, so that a result's strides equal those of the operand it takes.
    packed = {key: np.array(value, order="C") for key, value in operands.items()}
    out = tuple(
        packed[spec["alias"]] if spec["alias"] else np.zeros_like(result)
        for spec, result in zip(OPS[name]["results"], expected, strict=True)
    )
    results = call(name, packed, case.attrs, out=out if len(out) > 1 else out[0])
    for got, want, place in zip(results, expected, out, strict=True):
        assert_same_bits(got, want, name)
        assert_same_bits(place, want, f"{name}: out")


@pytest.mark.parametrize(("name", "case", "dtype"), tests_of(COMPUTING))
def test_a_row_alone_equals_the_row_in_a_batch(name, case, dtype):
    operands = case.make(dtype)
    rows = row_operands(name, operands)
    count = min(operands[key].shape[0] if operands[key].ndim else 0 for key in rows)
    # A row of one dimension is the only one; the leading dimension is the first.
    batch = call(name, operands, case.attrs)
    if batch[0].ndim < 2 or count == 0:
        return
    for row in {0, count // 2, count - 1}:
        alone = {k: v[row : row + 1] if k in rows else v for k, v in operands.items()}
        for got, want in zip(call(name, alone, case.attrs), batch, strict=True):
            assert_same_bits(got, want[row : row + 1], f"{name}: row {row}")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "name", ["add", "cast", "mul", "rms_norm", "silu_and_mul", "static_quant_fp8"]
)
def test_stores_past_the_caches_give_the_same_bits(name, isa):
    # Results of 4 MiB are stored so; those of the same rows in two parts are not.
    rows = 1040 if name == "static_quant_fp8" else 520 if name == "silu_and_mul" else 260
    x = np.random.default_rng(2).standard_normal((rows, 4112), np.float32)
    scale = {"scale": np.array([0.01], np.float32)} if name == "static_quant_fp8" else {}
    attrs = {"dtype": "f32"} if name == "cast" else {}
    with machine(isa, 1):
        (whole,) = call(name, {"x": x, **({"y": x} if name == "add" else scale)}, attrs)
        for part in (slice(0, rows // 2), slice(rows // 2, rows)):
            second = {"y": x[part]} if name == "add" else scale
            (half,) = call(name, {"x": x[part], **second}, attrs)
            assert_same_bits(whole[part], half, name)
    assert half.nbytes < 4 << 20 <= whole.nbytes


def lying_at(shape, dtype, offset, multiple=64):
    """An array that begins so many bytes behind a multiple of some, and all memory around it."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.full(size + multiple + 128, 0xA5, np.uint8)
    begin = -memory.ctypes.data % multiple + offset
    around = memory[:begin], memory[begin + size :]
    return memory[begin : begin + size].view(dtype).reshape(shape), around


# NumPy aligns large arrays to 16 bytes; a step of f32 is two lines of AVX-512, one of codes half.
# Rows of 576 end within a line that the next ones begin in.
@pytest.mark.parametrize("width", [576, 4112])
@pytest.mark.parametrize("offset", [4, 16, 32, 48])
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("isa", ISAS)
def test_stores_past_the_caches_go_wherever_results_lie(isa, dtype, offset, width):
    rows = (9 << 20) // width
    x = stored(np.random.default_rng(3).standard_normal((rows, width), np.float32), dtype)
    with machine(isa, 1):
        for name in ("rms_norm", "add", "per_token_quant_fp8"):
            more = (x,) if name == "add" else ()
            expected = getattr(ops, name)(x, *more)
            fresh = expected if isinstance(expected, tuple) else (expected,)
            assert fresh[0].nbytes >= 8 << 20
            given, around = lying_at(x.shape, fresh[0].dtype, offset)
            getattr(ops, name)(x, *more, out=(given, fresh[1]) if fresh[1:] else given)
            assert_same_bits(given, fresh[0], name)
            assert all(np.all(memory == 0xA5) for memory in around)


@pytest.mark.parametrize("megabytes", [1, 5])
@pytest.mark.parametrize("behind", ["x", "y"])
@pytest.mark.parametrize("bytes_behind", [4, 16, 64, 256])
@pytest.mark.parametrize("isa", ISAS)
def test_results_just_behind_operands_but_for_whole_megabytes(isa, bytes_behind, behind, megabytes):
    """Loads of some CPUs wait for stores there, so such rows may be written from their end."""
    shape = (megabytes << 18) // 1031, 1031
    random = np.random.default_rng(4)
    offsets = {"x": 2112, "y": 4224}
    operands = {}
    for name, offset in offsets.items():
        operands[name], _ = lying_at(shape, np.float32, offset, 1 << 20)
        operands[name][:] = random.standard_normal(shape, np.float32)
    out, around = lying_at(shape, np.float32, offsets[behind] + bytes_behind, 1 << 20)
    with machine(isa, 1):
        for op in (ops.add, ops.mul):
            expected = op(**operands)
            op(**operands, out=out)
            assert_same_bits(out, expected, f"{op.__name__} {bytes_behind} behind {behind}")
    assert all(np.all(memory == 0xA5) for memory in around)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ROW_OPS)
def test_flush_to_zero_of_the_caller_changes_nothing(name, isa):
    for case in cases_of(OPS[name]):
        for dtype in dtypes_under_test(OPS[name]):
            operands = case.make(dtype)
            with machine(isa, 2):
                expected = call(name, operands, case.attrs)
                _core.set_flush_to_zero(True)
                try:
                    results = call(name, operands, case.attrs)
                finally:
                    _core.set_flush_to_zero(False)
            for got, want in zip(results, expected, strict=True):
                assert_same_bits(got, want, f"{name}-{case.id}-{dtype}")


@pytest.mark.parametrize("isa", ISAS)
def test_subnormals_are_kept(isa):
    tiny = np.array([[1e-40, -3e-45, 1e-38]], np.float32)
    with machine(isa, 1):
        assert_same_bits(ops.add(tiny, np.zeros_like(tiny)), tiny, "add")
        np.testing.assert_array_equal(ops.mul(tiny, by=0.5), tiny * np.float32(0.5))


@pytest.mark.parametrize("name", ["silu_and_mul", "gelu_tanh_and_mul"])
@pytest.mark.parametrize("isa", ISAS)
def test_gates_at_minus_infinity_are_minus_zero(name, isa):
    for dtype in ("f32", "bf16", "f16"):
        x = stored(np.array([[-np.inf, np.inf, 1.0, 1.0]]), dtype)
        with machine(isa, 1):
            (result,) = call(name, {"x": x}, {})
        expected = stored(np.array([[-0.0, np.inf]]), dtype)
        assert_same_bits(result, expected, f"{name} {dtype}")


@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
@pytest.mark.parametrize("isa", ISAS)
def test_nans_are_canonical(dtype, isa):
    x = stored(np.array([[np.nan, 1.0]]), dtype)
    with machine(isa, 1):
        for payload in (x, -x):
            result = ops.mul(payload, by=1.0)
            assert_same_bits(result[:, :1], stored(np.array([[np.nan]]), dtype), dtype)


def test_column_scales_lie_column_by_column():
    x = np.random.default_rng(0).standard_normal((6, 256)).astype(np.float32)
    _, rows = ops.per_token_group_quant_fp8(x, layout="row")
    _, columns = ops.per_token_group_quant_fp8(x, layout="col")
    assert rows.strides == (8, 4)
    assert columns.strides == (4, 24)
    assert_same_bits(rows, columns, "scales")


# Below the format's smallest value the scale would overflow; above its largest, codes would clip.
@pytest.mark.parametrize("clamp", [-1.0, 0.0, 1e-45, 449.0, 1e30])
def test_a_clamp_is_a_positive_value_of_the_format(clamp):
    x = fusible.spec("f32[T, 128]")
    with pytest.raises(fusible.ArgumentError, match=r"fp8_max: expected .* 448, as e4m3fn has"):
        fusible.trace(lambda x: ops.per_token_group_quant_fp8(x, fp8_max=clamp), x=x)
