"""What quantizers promise beside their formulas: layouts, floors, padding, one norm for several."""

import numpy as np
import pytest

import fusible
from fusible import ops
from support.case import numpy_dtype, stored
from support.contract import ISAS, machine
from support.tolerance import assert_same_bits

QUANTIZERS = [ops.per_token_group_quant_fp8, ops.per_token_group_quant_int8]


def rows_of(rows, columns, dtype="bf16"):
    return stored(np.random.default_rng(7).standard_normal((rows, columns)), dtype)


@pytest.mark.parametrize("rows", [1, 4, 5, 7, 300])
@pytest.mark.parametrize("quantize", QUANTIZERS)
def test_aligned_columns_are_a_multiple_of_four_rows_apart(quantize, rows):
    x = rows_of(rows, 384)
    codes, scales = quantize(x)
    aligned_codes, aligned = quantize(x, layout="col_aligned4")
    assert aligned.strides == (4, -(-rows // 4) * 16)
    assert_same_bits(aligned_codes, codes, "codes")
    assert_same_bits(aligned, scales, "scales")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("quantize", [*QUANTIZERS, ops.per_token_group_quant_fp8_packed])
def test_padding_behind_columns_is_not_written(quantize, threads):
    x = rows_of(5, 512)
    codes, scales = quantize(x)
    memory = np.full((scales.shape[1], 8), 7, scales.dtype)
    with machine(ISAS[0], threads):
        quantize(x, layout="col_aligned4", out=(codes, memory.T[:5]))
    assert_same_bits(memory.T[:5], scales, "scales")
    assert np.all(memory[:, 5:] == 7)


def test_a_compiled_graph_keeps_aligned_columns():
    def quantize(x, w):
        q, s = ops.per_token_group_quant_fp8(ops.rms_norm(x, w), layout="col_aligned4")
        p, t = ops.per_token_group_quant_fp8_packed(x)
        return q, s, p, t

    x, w = rows_of(7, 256), rows_of(1, 256)[0]
    types = {"x": fusible.spec("bf16[T, 256]"), "w": fusible.spec("bf16[256]")}
    results = fusible.compile(fusible.trace(quantize, **types))(x=x, w=w)
    for got, want in zip(results, quantize(x, w), strict=True):
        assert got.strides == want.strides
        assert_same_bits(got, want, "result")
    assert [r.strides[1] for r in results[1::2]] == [32, 32]


def test_packed_scales_are_the_exponents_of_the_others():
    x = rows_of(6, 5 * 64)
    codes, scales = ops.per_token_group_quant_fp8(x, group_size=64, scale_format="ue8m0")
    packed_codes, packed = ops.per_token_group_quant_fp8_packed(x, group_size=64)
    assert_same_bits(packed_codes, codes, "codes")
    exponents = np.ascontiguousarray(packed).view(np.uint8)
    np.testing.assert_array_equal(exponents[:, :5], scales.view(np.uint32) >> 23)
    np.testing.assert_array_equal(exponents[:, 5:], 0)


def test_codes_belong_to_the_stored_scale():
    x = np.zeros((1, 128), np.float32)
    x[0, :2] = 449.0, 300.0  # 449 / 448 is above 1, so the scale is 2
    codes, scales = ops.per_token_group_quant_fp8(x, scale_format="ue8m0")
    assert scales[0, 0] == 2.0
    np.testing.assert_array_equal(codes[0, :2].astype(np.float32), [224.0, 144.0])


@pytest.mark.parametrize(
    ("quantize", "floor", "scale"),
    [
        (ops.per_token_group_quant_fp8, 1e-10, np.float32(1e-10) / np.float32(448)),  # SGLang
        (ops.per_token_group_quant_fp8, 1e-4, np.float32(1e-4) / np.float32(448)),  # its act_quant
        (ops.per_token_quant_fp8, 2.0**-9, np.float32(1 / (448 * 512))),  # vLLM
        (ops.per_token_quant_int8, 127 * 2.0**-23, np.float32(2.0**-23)),  # vLLM
    ],
)
def test_zeros_have_the_scale_of_the_floor(quantize, floor, scale):
    codes, scales = quantize(np.zeros((2, 128), np.float32), amax_floor=floor)
    assert np.all(scales == scale)
    assert not codes.view(np.uint8).any()


@pytest.mark.parametrize("isa", ISAS)
def test_a_nan_is_seen_in_the_scale_of_int8(isa):
    x = np.ones((3, 64), np.float32)
    x[1, 40], x[2, 3] = np.nan, np.inf
    with machine(isa, 1):
        codes, scales = ops.per_token_group_quant_int8(x, group_size=32)
    expected = np.full((3, 64), 127)
    expected[1, 32:], expected[2, :32] = 0, 0
    np.testing.assert_array_equal(codes, expected)
    one = np.float32(1) / np.float32(127)
    np.testing.assert_array_equal(scales, [[one, one], [one, np.nan], [np.inf, one]])


def test_one_norm_feeds_several_quantizations_in_one_row_program():
    def several(x, w, scale):
        y = ops.rms_norm(x, w)
        q0, s0 = ops.per_token_group_quant_fp8(y, group_size=64)
        q1, s1 = ops.per_token_quant_int8(y)
        q2 = ops.static_quant_fp8(y, scale, dtype="e5m2")
        q3, s3 = ops.per_token_group_quant_fp8_packed(y)
        return q0, s0, q1, s1, q2, q3, s3

    types = {
        "x": fusible.spec("bf16[T, 256]"),
        "w": fusible.spec("bf16[256]"),
        "scale": fusible.spec("f32[1]"),
    }
    result = fusible.optimize(fusible.trace(several, **types))
    assert result.operators == (5, 1)
    arrays = (rows_of(9, 256), rows_of(1, 256)[0], np.array([0.02], np.float32))
    fused = fusible.compile(result)(**dict(zip(types, arrays, strict=True)))
    for got, want in zip(fused, several(*arrays), strict=True):
        assert_same_bits(got, want, "result")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("quantize", [*QUANTIZERS, ops.per_token_quant_fp8])
def test_stores_past_the_caches_give_the_same_bits(quantize, isa):
    # Codes of 4 MiB are stored so; those of the same rows in two parts are not.
    x = rows_of(1025, 4224)
    with machine(isa, 1):
        codes, scales = quantize(x)
        for part in (slice(0, 500), slice(500, None)):
            some_codes, some_scales = quantize(x[part])
            assert_same_bits(codes[part], some_codes, "codes")
            assert_same_bits(scales[part], some_scales, "scales")
    assert some_codes.nbytes < 4 << 20 <= codes.nbytes


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"group_size": 48}, "group_size: expected 16, 32, 64 or 128, got 48"),
        ({"amax_floor": 0.0}, "amax_floor: expected .* at least 1e-30, got 0"),
        ({"amax_floor": float("nan")}, "amax_floor: expected"),
        ({"layout": "column"}, 'layout: expected "row", "col" or "col_aligned4", got "column"'),
        ({"scale_format": "e8m0"}, 'scale_format: expected "float" or "ue8m0", got "e8m0"'),
        ({"dtype": "i8"}, "dtype: expected e4m3fn, e4m3fnuz or e5m2, got i8"),
        ({"dtype": "e5m2", "fp8_max": 61440.0}, "fp8_max: expected .* to 57344, as e5m2 has"),
    ],
)
def test_refuses_what_no_contract_has(attrs, message):
    with pytest.raises(fusible.ArgumentError, match=f"per_token_group_quant_fp8: {message}"):
        ops.per_token_group_quant_fp8(np.ones((2, 128), np.float32), **attrs)


def test_int8_and_e5m2_arrays_keep_their_dtype():
    codes, _ = ops.per_token_quant_int8(rows_of(2, 8))
    assert codes.dtype == np.int8
    codes, _ = ops.per_token_quant_fp8(rows_of(2, 8), dtype="e5m2")
    assert codes.dtype == numpy_dtype("e5m2")
    assert_same_bits(ops.cast(ops.cast(codes, dtype="f32"), dtype="e5m2"), codes, "e5m2")
