"""Products of int8: exact sums, scales in a fixed order, the same bits however they are made."""

import numpy as np
import pytest

import fusible
from fusible import _core, ops
from support.calls import numpy_dtype
from support.contract import ISAS, machine
from support.tolerance import assert_same_bits

COLS, DEPTH = 70, 1030
MOST = 131071  # k whose sum of products of -128 by -128 is below 2^31


def codes(rows, depth, seed=0):
    rng = np.random.default_rng((seed, rows, depth))
    return rng.integers(-128, 128, (rows, depth), np.int8)


def floats(*shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32) * np.float32(0.01)


def operands(rows, cols=COLS, depth=DEPTH):
    """Rows, a weight, their scales, and a bias."""
    x, w = codes(rows, depth), codes(cols, depth, 1)
    return x, w, floats(rows, 1), floats(cols), floats(cols)


def in_order(x, w, x_scale, w_scale, bias=None, *, dtype="bf16"):
    """What the contract says, step by step in float32."""
    exact = x.astype(np.int64) @ w.astype(np.int64).T
    y = exact.astype(np.float32) * x_scale * w_scale
    return (y if bias is None else y + bias).astype(numpy_dtype(dtype))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
@pytest.mark.parametrize("cols", [1, 31, COLS])
@pytest.mark.parametrize("depth", [0, 1, 3, 64, 513, DEPTH])
def test_every_instruction_set_gives_the_bits_of_the_contract(isa, dtype, cols, depth):
    for rows in (0, 1, 2, 5, 12, 13, 40):
        x, w, x_scale, w_scale, bias = operands(rows, cols, depth)
        for given in ((x_scale, w_scale), (x_scale, w_scale, bias)):
            with machine(isa, 2):
                y = ops.int8_scaled_mm(x, w, *given, dtype=dtype)
                packed = ops.int8_scaled_mm(x, fusible.pack_weight(w), *given, dtype=dtype)
            assert_same_bits(y, in_order(x, w, *given, dtype=dtype), f"{rows} rows")
            assert_same_bits(packed, y, f"{rows} rows, packed")


def test_the_order_of_the_scales_is_seen():
    x, w, x_scale, w_scale, bias = operands(40)
    exact = x.astype(np.int64) @ w.astype(np.int64).T
    other = exact.astype(np.float32) * (x_scale * w_scale) + bias
    y = ops.int8_scaled_mm(x, w, x_scale, w_scale, bias, dtype="f32")
    assert y.tobytes() != other.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_the_largest_sums_fit(isa):
    """Of -128 by -128, and of -128 by 127, over the largest depth."""
    x = np.full((3, MOST), -128, np.int8)
    w = np.stack([np.full(MOST, -128, np.int8), np.full(MOST, 127, np.int8)])
    one, ones = np.ones((3, 1), np.float32), np.ones(2, np.float32)
    exact = np.array([MOST * 16384, -MOST * 16256], np.int64).astype(np.float32)
    with machine(isa, 1):
        y = ops.int8_scaled_mm(x, w, one, ones, dtype="f32")
        packed = ops.int8_scaled_mm(x, fusible.pack_weight(w), one, ones, dtype="f32")
    np.testing.assert_array_equal(y, np.tile(exact, (3, 1)))
    np.testing.assert_array_equal(packed, y)


@pytest.mark.parametrize("isa", ISAS)
def test_every_product_of_two_codes_is_exact(isa):
    """Neighbours too: products of bytes that saturate in 16 bits would not be."""
    every = np.arange(-128, 128, dtype=np.int8)
    x = np.repeat(every[:, None], 8, axis=1)
    ones = np.ones((256, 1), np.float32)
    with machine(isa, 2):
        y = ops.int8_scaled_mm(x, x, ones, ones[:, 0], dtype="f32")
    np.testing.assert_array_equal(y, 8 * np.multiply.outer(every.astype(int), every.astype(int)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("packed", [False, True], ids=["array", "packed"])
def test_a_row_has_the_same_bits_in_any_batch_on_any_threads(isa, packed):
    x, w, x_scale, w_scale, bias = operands(512)
    weight = fusible.pack_weight(w) if packed else w
    expected = in_order(x, w, x_scale, w_scale, bias)  # what each row gives alone, see above
    for threads in (1, 3):
        for rows in (1, 2, 3, 13, 96, 511, 512):
            with machine(isa, threads):
                y = ops.int8_scaled_mm(x[:rows], weight, x_scale[:rows], w_scale, bias)
            assert_same_bits(y, expected[:rows], f"{rows} rows on {threads} threads")


def test_every_number_of_rows_gives_the_bits_of_the_rows():
    x, w, x_scale, w_scale, bias = operands(512, depth=40)
    alone = in_order(x, w, x_scale, w_scale, bias)
    for rows in range(513):
        y = ops.int8_scaled_mm(x[:rows], w, x_scale[:rows], w_scale, bias)
        assert_same_bits(y, alone[:rows], f"{rows} rows")


def test_more_rows_than_a_chunk():
    x, w, x_scale, w_scale, _ = operands(1100, 9, 24)
    with machine(_core.chosen_isa(), 3):
        y = ops.int8_scaled_mm(x, w, x_scale, w_scale)
    assert_same_bits(y, in_order(x, w, x_scale, w_scale), "chunks")


def test_rows_and_scales_may_have_any_strides():
    x, w, _, w_scale, _ = operands(24)
    x, x_scale = x.reshape(4, 6, -1), floats(4, 6, 1)
    for view in (lambda a: a.transpose(1, 0, 2), lambda a: a[::2, 1:5], lambda a: a[:, ::-1]):
        y = ops.int8_scaled_mm(view(x), w, view(x_scale), w_scale)
        assert_same_bits(y, in_order(view(x), w, view(x_scale), w_scale), "a view")


def test_it_takes_what_the_quantizer_gives():
    """The product of quantized rows and weights is near that of the floats."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 512)).astype(np.float32)
    w = rng.standard_normal((COLS, 512)).astype(np.float32)
    x_codes, x_scale = ops.per_token_quant_int8(x)
    w_codes, w_scale = ops.per_token_quant_int8(w)
    y = ops.int8_scaled_mm(x_codes, w_codes, x_scale, w_scale[:, 0], dtype="f32")
    # Each operand is off by half a step of 1/127 of its row's largest at most.
    steps = (np.abs(x) + x_scale / 2) @ np.abs(w_scale / 2).T.repeat(512, axis=0)
    steps += x_scale / 2 @ np.abs(w).sum(axis=1)[None]
    assert (np.abs(y - x @ w.T) <= steps * 1.001).all()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("x", lambda a: a.astype(np.float32), r"x: expected i8"),
        ("w", lambda a: a[:, 1:].copy(), r"w: expected"),
        ("w", lambda a: a.view(np.uint8), r"w: expected"),
        ("x_scale", lambda a: a[:, 0].copy(), r"x_scale: expected"),
        ("w_scale", lambda a: a[:-1].copy(), r"w_scale: expected N = 70, got \[69\]"),
        ("bias", lambda a: a.astype(np.float64), r"bias: expected f32"),
    ],
    ids=("x", "w", "w-u8", "x_scale", "w_scale", "bias"),
)
def test_bad_operands_are_named(name, change, message):
    names = ("x", "w", "x_scale", "w_scale", "bias")
    given = dict(zip(names, operands(3), strict=True))
    given[name] = change(given[name])
    with pytest.raises(
        (fusible.ShapeError, fusible.DTypeError), match=f"^int8_scaled_mm: {message}"
    ):
        ops.int8_scaled_mm(*given.values())


def test_a_depth_whose_sums_may_overflow_is_refused():
    x, one = np.zeros((1, MOST + 1), np.int8), np.ones((1, 1), np.float32)
    with pytest.raises(
        fusible.ShapeError, match=r"^int8_scaled_mm: x: expected K <= 131071, got 131072"
    ):
        ops.int8_scaled_mm(x, x, one, one[0])
    with pytest.raises(fusible.ShapeError, match=r"^pack_weight: w: expected K <= 131071 of i8"):
        fusible.pack_weight(x)


def test_packed_weights_of_other_dtypes_are_refused():
    x, _, x_scale, w_scale, _ = operands(3)
    packed = fusible.pack_weight(np.zeros((COLS, DEPTH), np.float32))
    with pytest.raises(fusible.DTypeError, match=r"^int8_scaled_mm: w: expected i8, got f32"):
        ops.int8_scaled_mm(x, packed, x_scale, w_scale)


def test_a_packed_weight_survives_its_file(tmp_path):
    x, w, x_scale, w_scale, _ = operands(3)
    fusible.pack_weight(w).save(tmp_path / "w")
    loaded = fusible.PackedWeight.load(tmp_path / "w")
    assert (loaded.dtype, loaded.shape) == ("i8", w.shape)
    y = ops.int8_scaled_mm(x, loaded, x_scale, w_scale)
    assert_same_bits(y, in_order(x, w, x_scale, w_scale), "from a file")


def test_every_instruction_set_packs_alike():
    w, made = codes(COLS, DEPTH), set()
    for isa in ISAS:
        with machine(isa, 2):
            made.add(fusible.pack_weight(w).__fusible_packed__()[0].tobytes())
    assert len(made) == 1


def test_an_executable_packs_its_constant():
    text = (
        f"input x: i8[T, {DEPTH}]\ninput s: f32[T, 1]\n"
        f"constant w: i8[{COLS}, {DEPTH}]\nconstant t: f32[{COLS}]\n"
        "y = int8_scaled_mm(x, w, s, t)\nreturn y\n"
    )
    x, w, x_scale, w_scale, _ = operands(20)
    run = fusible.compile(fusible.Graph.parse(text), weights={"w": w, "t": w_scale})
    y = run(x=x, s=x_scale)
    assert_same_bits(y, in_order(x, w, x_scale, w_scale), "compiled")
