"""Matrix products: a row has the same bits in any batch, and layouts do not matter."""

import ml_dtypes
import numpy as np
import pytest

import fusible
from fusible import ops
from support.calls import numpy_dtype
from support.contract import FMA_ISAS, ISAS, machine
from support.tolerance import assert_same_bits

FLOATS = ("f32", "bf16", "f16")
FP8 = ("e4m3fn", "e4m3fnuz", "e5m2")
ROWS = 40
COLS = 70
BLOCK = 128


def normal(shape, dtype="f32", scale=1.0):
    values = np.random.default_rng(sum(shape)).standard_normal(shape) * scale
    return values.astype(numpy_dtype(dtype))


def quantized(rows, depth=256, dtype="e4m3fn", group_size=128):
    """Operands of block_scaled_matmul."""
    return (
        normal((rows, depth), dtype, 50.0),
        normal((COLS, depth), dtype, 50.0),
        normal((rows, depth // group_size), scale=0.01),
        normal((1, -(-depth // BLOCK)), scale=0.01),
    )


def fma(a, b, c):
    """A * b + c of float32 in one rounding: the sum in float64, rounded to odd, then to float32."""
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)
    total = product + addend
    seen = total - product
    lost = (product - (total - seen)) + (addend - seen)
    even = total.view(np.int64) % 2 == 0
    odd = np.nextafter(total, np.copysign(np.inf, lost))
    return np.where((lost != 0) & even, odd, total).astype(np.float32)


def multiply_add(isa):
    """How an instruction set adds a product to a sum: rounded once, or without FMA twice."""
    return fma if isa in FMA_ISAS else lambda a, b, c: a * b + c


def chain(x, w, add, order=1):
    """X @ w.T in float32: for each output one chain of sums, k ascending (or descending)."""
    x, w = x.astype(np.float32), w.astype(np.float32)
    total = np.zeros((len(x), len(w)), np.float32)
    for k in range(x.shape[1])[::order]:
        total = add(x[:, k, None], w[None, :, k], total)
    return total


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_an_output_is_one_chain_over_k_ascending(isa, dtype):
    x, w = normal((13, 301), dtype), normal((COLS, 301), dtype)
    add = multiply_add(isa)
    with machine(isa, 2):
        y = ops.matmul(x, w)
    assert_same_bits(y, chain(x, w, add).astype(x.dtype), isa)
    assert y.tobytes() != chain(x, w, add, order=-1).astype(x.dtype).tobytes()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("group_size", [32, 64, 128])
@pytest.mark.parametrize("dtype", ["e4m3fn", "e4m3fnuz"])
def test_groups_are_chains_that_are_scaled_and_added_in_ascending_order(isa, group_size, dtype):
    x, w = normal((5, 384), dtype, 50.0), normal((130, 384), dtype, 50.0)
    x_scale, w_scale = normal((5, 384 // group_size), scale=0.01), normal((2, 3), scale=0.01)
    columns = np.arange(130) // BLOCK
    add, total, wide = multiply_add(isa), np.zeros((5, 130), np.float32), {}
    for group in range(384 // group_size):
        k = slice(group * group_size, (group + 1) * group_size)
        scale = x_scale[:, group, None] * w_scale[columns, k.start // BLOCK]
        dot = chain(x[:, k], w[:, k], add)
        total, wide[group] = add(dot, scale, total), dot * scale
    with machine(isa, 2):
        y = ops.block_scaled_matmul(x, w, x_scale, w_scale, group_size=group_size, dtype="f32")
    assert_same_bits(y, total, isa)
    assert y.tobytes() != sum(reversed(wide.values())).tobytes()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("codes", FP8)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("depth", [384, 301, 5])
def test_blocks_of_codes_are_chains_that_are_scaled_and_added(isa, codes, dtype, depth):
    """For rows that are floats; with exponents so low, too, that pairs may not be multiplied."""
    w, w_scale = normal((130, depth), codes, 50.0), normal((2, -(-depth // BLOCK)), scale=0.01)
    columns, add = np.arange(130) // BLOCK, multiply_add(isa)
    for rows, scale in ((5, 1.0), (13, 1.0), (30, 1.0), (3, 2.0**-120)):
        x = normal((rows, depth), dtype, scale)
        total = np.zeros((rows, 130), np.float32)
        for block in range(w_scale.shape[1]):
            k = slice(block * BLOCK, (block + 1) * BLOCK)
            total = add(chain(x[:, k], w[:, k], add), w_scale[columns, block][None], total)
        with machine(isa, 2):
            y = ops.w8a16_block_fp8_matmul(x, w, w_scale)
            packed = ops.w8a16_block_fp8_matmul(x, fusible.pack_weight(w), w_scale)
        assert_same_bits(y, total.astype(x.dtype), isa)
        assert_same_bits(packed, y, f"{isa}, packed")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("packed", [False, True], ids=["array", "packed"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_row_by_codes_has_the_same_bits_in_any_batch_on_any_threads(isa, packed, dtype):
    x, w = normal((512, 301), dtype), normal((COLS, 301), "e4m3fn", 50.0)
    w_scale, weight = normal((1, 3), scale=0.01), fusible.pack_weight(w) if packed else w
    with machine(isa, 1):
        alone = np.concatenate([ops.w8a16_block_fp8_matmul(row[None], w, w_scale) for row in x])
    for threads in (1, 3):
        for rows in (1, 2, 12, 13, 47, 300, 512):
            with machine(isa, threads):
                batch = ops.w8a16_block_fp8_matmul(x[:rows], weight, w_scale)
            assert_same_bits(batch, alone[:rows], f"{rows} rows on {threads} threads")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_row_has_the_same_bits_in_any_batch_on_any_threads(isa, dtype):
    x, w, bias = normal((ROWS, 301), dtype), normal((COLS, 301), dtype), normal((COLS,), dtype)
    with machine(isa, 1):
        alone = np.concatenate([ops.matmul(row[None], w, bias) for row in x])
    for threads in (1, 3):
        for rows in (2, 3, 13, ROWS):
            with machine(isa, threads):
                batch = ops.matmul(x[:rows], w, bias)
            assert_same_bits(batch, alone[:rows], f"{rows} rows on {threads} threads")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("packed", [False, True], ids=["array", "packed"])
@pytest.mark.parametrize("dtype", FP8)
def test_a_scaled_row_has_the_same_bits_in_any_batch_on_any_threads(isa, packed, dtype):
    x, w, x_scale, w_scale = quantized(ROWS, dtype=dtype)
    weight = fusible.pack_weight(w) if packed else w
    with machine(isa, 1):
        alone = np.concatenate(
            [
                ops.block_scaled_matmul(x[i : i + 1], w, x_scale[i : i + 1], w_scale)
                for i in range(ROWS)
            ]
        )
    for threads in (1, 3):
        for rows in (1, 2, 3, 13, ROWS):
            with machine(isa, threads):
                batch = ops.block_scaled_matmul(x[:rows], weight, x_scale[:rows], w_scale)
            assert_same_bits(batch, alone[:rows], f"{rows} rows on {threads} threads")


@pytest.mark.parametrize("isa", ISAS)
def test_more_rows_than_a_chunk_and_columns_than_threads(isa):
    x, w = normal((1100, 24)), normal((9, 24))
    with machine(isa, 3):
        y = ops.matmul(x, w)
        assert_same_bits(y[1024:], ops.matmul(x[1024:], w), "the last rows")


@pytest.mark.parametrize("dtype", FLOATS)
def test_integers_are_exact(dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (5, 500)).astype(numpy_dtype(dtype))
    w = rng.integers(-3, 4, (33, 500)).astype(numpy_dtype(dtype))
    exact = x.astype(np.float64) @ w.astype(np.float64).T
    np.testing.assert_array_equal(ops.matmul(x, w), exact.astype(x.dtype))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_every_code_of_a_weight_is_exact(isa, dtype):
    codes = np.arange(1 << 16, dtype=np.uint16).view(numpy_dtype(dtype)).reshape(-1, 64)
    finite = np.where(np.isfinite(codes.astype(np.float32)), codes, 0).astype(codes.dtype)
    with machine(isa, 2):
        y = ops.matmul(np.eye(64, dtype=codes.dtype), finite)
    np.testing.assert_array_equal(y.T.astype(np.float32), finite.astype(np.float32))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", FP8)
def test_every_8_bit_code_is_exact_and_a_nan_stays_one(isa, dtype):
    codes = np.arange(256, dtype=np.uint8).view(numpy_dtype(dtype))
    w = np.zeros((256, 32), codes.dtype)
    w[:, 7] = codes
    x = np.zeros((1, 32), codes.dtype)
    x[0, 7] = 1
    one = np.ones((1, 1), np.float32)
    with machine(isa, 1):
        y = ops.block_scaled_matmul(
            x, w, one, np.ones((2, 1), np.float32), group_size=32, dtype="f32"
        )
        same = ops.block_scaled_matmul(
            w, x, np.tile(one, (256, 1)), one, group_size=32, dtype="f32"
        )
        of_floats = [
            ops.w8a16_block_fp8_matmul(x.astype(np.float32), weight, np.ones((2, 1), np.float32))
            for weight in (w, fusible.pack_weight(w))
        ]
    np.testing.assert_array_equal(y[0], codes.astype(np.float32))
    np.testing.assert_array_equal(same[:, 0], codes.astype(np.float32))
    for result in of_floats:
        np.testing.assert_array_equal(result[0], codes.astype(np.float32))


def test_scales_apply_to_their_blocks():
    x, w = np.ones((1, 256), ml_dtypes.float8_e4m3fn), np.ones((130, 256), ml_dtypes.float8_e4m3fn)
    x_scale = np.array([[1, 2, 4, 8]], np.float32)
    w_scale = np.array([[1, -10], [100, 1000]], np.float32)
    y = ops.block_scaled_matmul(x, w, x_scale, w_scale, group_size=64, dtype="f32")
    np.testing.assert_array_equal(y[0, :128], 64 * (3 - 120))
    np.testing.assert_array_equal(y[0, 128:], 64 * (300 + 12000))


def test_scales_may_lie_in_columns():
    x, w, x_scale, w_scale = quantized(13)
    by_rows = ops.block_scaled_matmul(x, w, x_scale, w_scale)
    columns = np.asfortranarray(x_scale)
    assert_same_bits(ops.block_scaled_matmul(x, w, columns, w_scale), by_rows, "columns")


def test_quantized_scales_in_columns_go_straight_in():
    x = normal((13, 256), "bf16")
    w, w_scale = quantized(1)[1], quantized(1)[3]
    by_rows = ops.per_token_group_quant_fp8(x)
    by_columns = ops.per_token_group_quant_fp8(x, layout="col")
    y = ops.block_scaled_matmul(by_rows[0], w, by_rows[1], w_scale)
    assert_same_bits(
        ops.block_scaled_matmul(by_columns[0], w, by_columns[1], w_scale), y, "columns"
    )


def test_leading_dimensions_may_have_any_strides():
    x, w = normal((4, 6, 40)), normal((COLS, 40))
    for view in (x.transpose(1, 0, 2), x[::2, 1:5], x[:, ::-1], x[:, :1]):
        y = ops.matmul(view, w)
        assert_same_bits(y, ops.matmul(np.ascontiguousarray(view), w), f"{view.strides}")


def test_results_may_go_to_rows_of_a_wider_array():
    x, w = normal((5, 40)), normal((9, 40))
    wide = np.zeros((5, 12), np.float32)
    ops.matmul(x, w, out=wide[:, :9])
    assert_same_bits(wide[:, :9], ops.matmul(x, w), "out")
    np.testing.assert_array_equal(wide[:, 9:], 0)


def test_a_transposed_weight_is_refused():
    with pytest.raises(fusible.ShapeError, match=r"^matmul: w: expected a contiguous array, got "):
        ops.matmul(normal((5, 40)), normal((40, 9)).T)


def test_a_strided_last_dimension_is_refused():
    with pytest.raises(fusible.ShapeError, match=r"^matmul: x: expected a contiguous last"):
        ops.matmul(normal((5, 80))[:, ::2], normal((9, 40)))
