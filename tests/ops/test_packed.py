"""Packed weights: the same bits as the array's, in memory and from files, and no mix-ups."""

import copy
import hashlib
import pickle
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import fusible
from fusible import ops
from fusible.packed import BEGIN, HEADER
from support.calls import numpy_dtype
from support.contract import FMA_ISAS, ISAS, machine, needs_fma
from support.tolerance import assert_same_bits

FLOATS = ("f32", "bf16", "f16")
FP8 = ("e4m3fn", "e4m3fnuz", "e5m2")
SHAPES = ((1, 1), (1, 40), (31, 7), (33, 301), (70, 512), (128, 9), (5, 0), (0, 16))  # N, K


def normal(shape, dtype="f32"):
    values = np.random.default_rng(sum(shape)).standard_normal(shape)
    return values.astype(numpy_dtype(dtype))


def any_bits(shape, seed=0):
    """Bf16 of every kind: subnormals, both infinities, NaN."""
    bits = np.random.default_rng(seed).integers(0, 1 << 16, shape, np.uint16)
    return bits.view(ml_dtypes.bfloat16)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_packed_weight_gives_the_bits_of_the_array(isa, dtype, shape):
    w, bias = normal(shape, dtype), normal(shape[:1], dtype)
    for rows in (0, 1, 2, 3, 5, 12, 13, 30):
        x = normal((rows, shape[1]), dtype)
        with machine(isa, 2):
            packed = fusible.pack_weight(w)
            assert_same_bits(ops.matmul(x, packed, bias), ops.matmul(x, w, bias), f"{rows} rows")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", FP8)
@pytest.mark.parametrize("group_size", [32, 128])
@pytest.mark.parametrize("cols", [1, 33, 70, 129])
def test_packed_codes_give_the_bits_of_the_array(isa, dtype, group_size, cols):
    """Of all 256 codes, a NaN among them, and infinities where the format has them."""
    codes = np.random.default_rng(0).integers(0, 256, (cols, 256), np.uint8)
    w = codes.view(numpy_dtype(dtype))
    w_scale = normal((-(-cols // 128), 2))
    for rows in (1, 2, 5, 8, 9, 12, 13, 30):
        x = normal((rows, 256), dtype)
        given = normal((rows, 256 // group_size)), w_scale
        with machine(isa, 2):
            y = ops.block_scaled_matmul(x, w, *given, group_size=group_size, dtype="f32")
            packed = fusible.pack_weight(w)
            again = ops.block_scaled_matmul(x, packed, *given, group_size=group_size, dtype="f32")
        assert_same_bits(again, y, f"{rows} rows")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("depth", [127, 129, 130, 131, 258])
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_a_sum_that_underflows_is_no_other_in_a_packed_weight(isa, depth, dtype):
    """-0, to which a product of zeros behind the row's end would add +0."""
    w = np.zeros((33, depth), ml_dtypes.float8_e4m3fn)
    w[:, -1] = 2**-9
    x = np.zeros((9, depth), numpy_dtype(dtype))
    x[:, -1] = -1e-45 if dtype == "f32" else -(2.0**-133)
    x[:, 0], w[:, 0] = -1e-30, 1
    scales = np.array([[1e-30, 1, 1][: -(-depth // 128)]], np.float32)
    with machine(isa, 1):
        packed = fusible.pack_weight(w)
        results = [ops.w8a16_block_fp8_matmul(x, given, scales) for given in (w, packed)]
        results += [np.vstack([ops.w8a16_block_fp8_matmul(row[None], packed, scales) for row in x])]
    for result in results[1:]:
        assert_same_bits(result, results[0], isa)


@needs_fma
@pytest.mark.parametrize("dtype", FP8)
def test_codes_give_the_same_bits_on_every_instruction_set_with_fma(dtype):
    codes = np.random.default_rng(1).integers(0, 256, (70, 256), np.uint8)
    x, w = normal((30, 256), dtype), codes.view(numpy_dtype(dtype))
    scales = normal((30, 2)), normal((1, 2))
    results = []
    for isa in FMA_ISAS:
        with machine(isa, 2):
            results.append(ops.block_scaled_matmul(x, w, *scales, dtype="f32").tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("dtype", [*FLOATS, *FP8])
def test_every_instruction_set_packs_alike(dtype):
    w, made = normal((70, 301), dtype), {}
    for isa in ISAS:
        with machine(isa, 1):
            made[isa] = fusible.pack_weight(w).__fusible_packed__()[0].tobytes()
    assert len(set(made.values())) == 1


@pytest.mark.parametrize("isa", ISAS)
def test_a_row_has_the_same_bits_in_up_to_512(isa):
    x, w = normal((512, 130), "bf16"), normal((37, 130), "bf16")
    packed = fusible.pack_weight(w)
    with machine(isa, 1):
        alone = np.concatenate([ops.matmul(row[None], packed) for row in x])
    for threads in (1, 2):
        for rows in (*range(1, 40), 64, 100, 192, 511, 512):
            with machine(isa, threads):
                for weight in (w, packed):
                    assert_same_bits(ops.matmul(x[:rows], weight), alone[:rows], f"{rows} rows")


@needs_fma
@pytest.mark.parametrize("tiny", ["none", "x", "w", "all"])
def test_dot_products_of_pairs_give_the_bits_of_fma(tiny):
    """Whatever the operands: where a subnormal could be lost, no dot product is used."""
    x, w = any_bits((30, 515), 1), any_bits((70, 515), 2)
    if tiny != "none":  # products around the smallest normal, with cancellation
        small = ml_dtypes.bfloat16(2**-60)
        x = normal((30, 515), "bf16") * (small if tiny in ("x", "all") else x.dtype.type(1))
        w = normal((70, 515), "bf16") * (small if tiny in ("w", "all") else x.dtype.type(1))
        x[7:9] = any_bits((2, 515)) if tiny == "all" else x[7:9]
        w[:, -1], x[3] = 2**-126, 0
    results = {}
    for isa in FMA_ISAS:
        with machine(isa, 2):
            results[isa] = ops.matmul(x, w), ops.matmul(x, fusible.pack_weight(w))
    first = results[FMA_ISAS[-1]][0]
    for isa, (plain, packed) in results.items():
        assert_same_bits(plain, first, isa)
        assert_same_bits(packed, first, f"{isa}, packed")


def factors_one_apart():
    """Four significands of bf16 (p, q, r, s) with p * q == r * s + 1."""
    products = {p * q: (p, q) for p in range(128, 256) for q in range(128, 256)}
    one = next(n for n in products if n + 1 in products)
    return (*products[one + 1], *products[one])


@needs_fma
@pytest.mark.parametrize("total", range(135, 150))
def test_dot_products_are_used_as_far_as_they_are_exact(total):
    """Two products cancel to 2^(total - 268), of exponent fields that add up to `total`."""
    p, q, r, s = factors_one_apart()
    one, other = (2.0 ** (field - 134) for field in (70, total - 70))
    x = np.array([[p * one, -r * one]]).astype(ml_dtypes.bfloat16)
    w = np.array([[q * other, s * other]] * 3).astype(ml_dtypes.bfloat16)
    for isa in FMA_ISAS:
        with machine(isa, 1):
            for weight in (w, fusible.pack_weight(w)):
                y = ops.matmul(x, weight).astype(np.float64)
                np.testing.assert_array_equal(y, 2.0 ** (total - 268), isa)


@pytest.mark.parametrize("isa", ISAS)
def test_sums_are_within_their_bound(isa):
    """|y - exact| <= K * 2^-24 / (1 - K * 2^-24) * sum of |x| * |w|, with cancellation."""
    rng = np.random.default_rng(0)
    depth = 2048
    size = np.ldexp(1.0, rng.integers(-40, 40, (9, depth)))
    x = (rng.standard_normal((9, depth)) * size).astype(np.float32)
    w = rng.standard_normal((33, depth)).astype(np.float32)
    x[:, 1::2], w[:, 1::2] = -x[:, ::2], w[:, ::2]  # the exact sum is zero
    x[:, 0] *= np.float32(1 + 2**-20)
    exact = x.astype(np.float64) @ w.astype(np.float64).T
    most = np.abs(x).astype(np.float64) @ np.abs(w).astype(np.float64).T
    roundings = (depth + 1) * (2.0**-24 if isa in FMA_ISAS else 2.0**-23)
    with machine(isa, 2):
        for weight in (w, fusible.pack_weight(w)):
            apart = np.abs(ops.matmul(x, weight) - exact)
            assert (apart <= roundings / (1 - roundings) * most).all()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("group", [32, 128, None])
def test_sums_of_scaled_blocks_are_within_their_bound(isa, group):
    """As the operators say it; None: of rows that are not quantized."""
    rng = np.random.default_rng(0)
    depth, cols = 1024, 130
    size = np.ldexp(1.0, rng.integers(-6, 6, (9, depth)))
    x = (rng.standard_normal((9, depth)) * size).astype(ml_dtypes.float8_e4m3fn)
    w = (3 * rng.standard_normal((cols, depth))).astype(ml_dtypes.float8_e4m3fn)
    x[:, 1::2], w[:, 1::2] = -x[:, ::2], w[:, ::2]  # the exact sum of a group is zero
    x[:, ::64] *= x.dtype.type(2)
    w_scale = rng.random((2, depth // 128), np.float32)
    x_scale = rng.random((9, depth // (group or depth)), np.float32)
    wide = w.astype(np.float64) * np.repeat(np.repeat(w_scale, 128, 0)[:cols], 128, 1)
    scaled = x.astype(np.float64)
    if group:
        scaled *= np.repeat(x_scale, group, 1)
    n = (group or 128) + depth // (group or 128) + (1 if group else 0)
    roundings = n * (2.0**-24 if isa in FMA_ISAS else 2.0**-23)
    most = roundings / (1 - roundings) * (np.abs(scaled) @ np.abs(wide).T)
    with machine(isa, 2):
        for weight in (w, fusible.pack_weight(w)):
            if group:
                scales = {"group_size": group, "dtype": "f32"}
                y = ops.block_scaled_matmul(x, weight, x_scale, w_scale, **scales)
            else:
                y = ops.w8a16_block_fp8_matmul(x.astype(np.float32), weight, w_scale)
            assert (np.abs(y - scaled @ wide.T) <= most).all()


def test_products_that_underflow_are_within_the_bound():
    x = np.full((1, 5), 1e-30, np.float32)
    assert abs(ops.matmul(x, x)[0, 0] - 5e-60) <= 5 * 2.0**-149


@pytest.mark.parametrize("again", [pickle.dumps, copy.deepcopy])
@pytest.mark.parametrize("shape", [(33, 7), (64, 48), (1, 1), (0, 16)], ids=str)
def test_a_copy_or_what_was_pickled_is_as_good(again, shape):
    w, x = normal(shape), normal((3, shape[1]))
    packed = fusible.pack_weight(w)
    for _ in range(5):
        copied = again(packed)
        copied = pickle.loads(copied) if isinstance(copied, bytes) else copied
        assert (copied.dtype, copied.shape, copied.digest) == ("f32", shape, packed.digest)
        assert_same_bits(ops.matmul(x, copied), ops.matmul(x, w), "copied")


class OnlyDlpack:
    """An array that tells nothing but DLPack, as tensors of bf16 do."""

    def __init__(self, array):
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__


def test_what_operators_take_can_be_packed():
    w = normal((33, 20))
    packed = fusible.pack_weight(OnlyDlpack(w))
    assert packed.digest == fusible.pack_weight(w).digest
    assert_same_bits(ops.matmul(w, packed), ops.matmul(w, w), "dlpack")


@pytest.mark.parametrize("rows", [1, 7, 600])
def test_gate_and_up_in_one_packed_weight(rows):
    x, w, bias = normal((rows, 40), "bf16"), normal((66, 40), "bf16"), normal((66,), "bf16")
    first, second = fusible.pack_weight(w), fusible.pack_weight(normal((66, 40), "bf16") + 1)
    y = ops.matmul_silu_and_mul(x, w, bias, limit=1.5)
    assert_same_bits(ops.matmul_silu_and_mul(x, first, bias, limit=1.5), y, "packed")
    other = ops.matmul_silu_and_mul(x, second)
    assert_same_bits(ops.matmul_silu_and_mul(x, first), ops.matmul_silu_and_mul(x, w), "again")
    assert other.tobytes() != ops.matmul_silu_and_mul(x, first).tobytes()
    out = np.empty((rows, 66), x.dtype)[:, :33]
    ops.matmul_silu_and_mul(x, first, bias, limit=1.5, out=out)
    assert_same_bits(np.ascontiguousarray(out), y, "out=")


def test_infinities_and_nan_propagate():
    x, w = np.ones((3, 40), np.float32), np.ones((33, 40), np.float32)
    x[1, 3], x[2, 3], w[5, 3] = np.inf, np.nan, 0
    y = ops.matmul(x, fusible.pack_weight(w))
    assert np.isposinf(y[1, :5]).all()
    assert np.isnan(y[1, 5])
    assert np.isnan(y[2]).all()
    np.testing.assert_array_equal(y[0], np.where(np.arange(33) == 5, 39, 40))


def test_rows_of_the_weight_may_be_apart():
    w = normal((40, 64), "bf16")
    assert_same_bits(
        ops.matmul(normal((3, 32), "bf16"), fusible.pack_weight(w[::2, :32])),
        ops.matmul(normal((3, 32), "bf16"), np.ascontiguousarray(w[::2, :32])),
        "strided",
    )


@pytest.mark.parametrize("dtype", [*FLOATS, *FP8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_file_holds_the_weight(tmp_path, dtype, shape):
    w = normal(shape, dtype)
    packed = fusible.pack_weight(w)
    packed.save(tmp_path / "w")
    loaded = fusible.PackedWeight.load(tmp_path / "w")
    assert (loaded.dtype, loaded.shape) == (dtype, shape)
    assert loaded.digest == hashlib.sha256(w.tobytes()).hexdigest()
    assert loaded.nbytes == packed.nbytes == (tmp_path / "w").stat().st_size - BEGIN
    if dtype in FLOATS:
        x = normal((3, shape[1]), dtype)
        assert_same_bits(ops.matmul(x, loaded), ops.matmul(x, w), "loaded")


def test_a_loaded_weight_is_the_files_own_memory(tmp_path):
    fusible.pack_weight(normal((64, 64))).save(tmp_path / "w")
    data = fusible.PackedWeight.load(tmp_path / "w").__fusible_packed__()[0]
    assert not data.flags.owndata
    assert not data.flags.writeable
    maps = Path("/proc/self/maps").read_text().splitlines()
    mapped = [line for line in maps if line.endswith("/w")]
    begin, end = (int(part, 16) for part in mapped[0].split()[0].split("-"))
    assert begin + BEGIN == data.__array_interface__["data"][0] < end


def changed(path, **fields):
    """The file with other fields in its header."""
    names = ("magic", "version", "dtype", "rows", "depth", "count", "digest")
    head = dict(zip(names, HEADER.unpack_from(path.read_bytes()), strict=True)) | fields
    path.write_bytes(HEADER.pack(*head.values()) + path.read_bytes()[HEADER.size :])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"magic": b"notapack"}, "expected a file that begins with"),
        ({"version": 2}, "expected version 1, got 2"),
        ({"dtype": b"f64"}, "expected one of f32, .*, got 'f64'"),
        ({"dtype": b"\xff"}, "expected one of f32, "),
        ({"rows": 1 << 60}, "expected at most"),
        ({"depth": 65}, r"expected \d+ bytes for bf16\[40, 65\], got "),
        ({"count": 1 << 20}, r"expected \d+ bytes for bf16\[40, 64\], got 1048576"),
    ],
    ids=str,
)
def test_a_damaged_file_is_refused(tmp_path, fields, message):
    path = tmp_path / "w"
    fusible.pack_weight(normal((40, 64), "bf16")).save(path)
    changed(path, **fields)
    with pytest.raises(fusible.ArgumentError, match=f"w: packed weight: {message}"):
        fusible.PackedWeight.load(path)


@pytest.mark.parametrize("size", [0, 7, BEGIN - 1, BEGIN, -1])
def test_a_file_cut_short_is_refused(tmp_path, size):
    path = tmp_path / "w"
    fusible.pack_weight(normal((40, 64), "bf16")).save(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(fusible.ArgumentError, match="w: packed weight: expected "):
        fusible.PackedWeight.load(path)


def test_a_file_of_words_is_refused(tmp_path):
    (tmp_path / "w").write_bytes(struct.pack("<1024I", *range(1024)))
    with pytest.raises(fusible.ArgumentError, match="expected a file that begins with"):
        fusible.PackedWeight.load(tmp_path / "w")


def test_mix_ups_are_refused_by_name():
    x, packed = normal((3, 64), "bf16"), fusible.pack_weight(normal((40, 64), "bf16"))
    with pytest.raises(fusible.DTypeError, match=r"^matmul: w: expected bf16"):
        ops.matmul(x, fusible.pack_weight(normal((40, 64), "f16")))
    with pytest.raises(fusible.ShapeError, match=r"^matmul: w: expected"):
        ops.matmul(x[:, :32].copy(), packed)
    with pytest.raises(
        fusible.DTypeError, match=r"^matmul: x: expected an array, got PackedWeight"
    ):
        ops.matmul(packed, x)
    with pytest.raises(fusible.DTypeError, match=r"^add: y: expected an array, got PackedWeight"):
        ops.add(x, packed)
    with pytest.raises(fusible.ShapeError, match=r"^pack_weight: w: expected shape \[N, K\], got "):
        fusible.pack_weight(normal((2, 3, 4)))
    with pytest.raises(fusible.DTypeError, match=r"^pack_weight: w: expected a float dtype, fp8"):
        fusible.pack_weight(np.ones((3, 4), np.int32))
    with pytest.raises(
        fusible.ShapeError, match=r"^pack_weight: w: expected a contiguous last dim"
    ):
        fusible.pack_weight(normal((40, 64))[:, ::2])
    data, dtype, shape = packed.__fusible_packed__()
    with pytest.raises(fusible.ArgumentError, match=r"^PackedWeight: expected \d+ bytes for bf16"):
        fusible.PackedWeight(data[:-4], dtype, shape, packed.digest)


def test_a_weight_that_is_not_aligned_is_refused():
    data, dtype, shape = fusible.pack_weight(normal((40, 64), "bf16")).__fusible_packed__()
    room = np.zeros(data.size + 64, np.uint8)
    begin = -room.ctypes.data % 64 + 4
    odd = room[begin : begin + data.size].view(np.int8)
    with pytest.raises(fusible.ArgumentError, match="aligned to 64 bytes"):
        ops.matmul(normal((3, 64), "bf16"), fusible.PackedWeight(odd, dtype, shape, "00" * 32))


TEXT = """
input x: bf16[T, 64]
constant w: bf16[40, 64]
y = matmul(x, w)
z = embedding(ids, w)
return y, z
"""


def test_an_executable_packs_its_constants_and_gives_the_same_bits():
    text = TEXT.replace("constant", "input ids: i64[T]\nconstant", 1)
    w = normal((40, 64), "bf16")
    run = fusible.compile(fusible.Graph.parse(text), weights={"w": w})
    for isa in ISAS:
        for rows in (1, 20):
            x, ids = normal((rows, 64), "bf16"), np.arange(rows, dtype=np.int64)
            with machine(isa, 2):
                y, z = run(x=x, ids=ids)
                assert_same_bits(y, ops.matmul(x, w), isa)
            assert_same_bits(z, w[:rows], "the weight itself")
