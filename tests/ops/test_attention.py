"""Attention: a query has the same bits in any batch, and bad indices never reach the cache."""

import numpy as np
import pytest

import fusible
from cases.attention import paged
from fusible import ops
from support.case import Case
from support.contract import ISAS, machine
from support.tolerance import assert_same_bits

SCALE = 0.25
SETTINGS = [{}, {"window": 100}, {"softcap": 3.0}, {"window": 7, "softcap": 3.0}]


def made(*args, dtype="bf16", **sizes):
    return Case("made", paged(*args, **sizes)).make(dtype)


def attend(operands, **attrs):
    return ops.attention(*operands.values(), scale=SCALE, **attrs)


def one_query(operands, sequence, query):
    """The call that decodes this query alone."""
    start = operands["query_start"]
    token, end = start[sequence] + query, start[sequence + 1]
    return operands | {
        "q": operands["q"][token : token + 1],
        "block_table": operands["block_table"][sequence : sequence + 1],
        "query_start": np.array([0, 1], np.int32),
        "lengths": operands["lengths"][sequence : sequence + 1] - (end - token - 1),
    }


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("attrs", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
def test_prefill_equals_decoding(isa, attrs, dtype):
    operands = made([5, 0, 133], [300, 20, 140], dtype=dtype, heads=3, kv_heads=1)
    with machine(isa, 3):
        together = attend(operands, **attrs)
    with machine(isa, 1):
        alone = [
            attend(one_query(operands, s, i), **attrs)
            for s, n in ((0, 5), (2, 133))
            for i in range(n)
        ]
    assert_same_bits(together, np.concatenate(alone), f"{attrs}")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("heads", [(8, 8), (8, 2), (40, 1), (128, 1)], ids=str)
def test_threads_do_not_change_bits(isa, heads):
    operands = made([1, 2, 1], [700, 260, 1], heads=heads[0], kv_heads=heads[1])
    with machine(isa, 1):
        expected = attend(operands)
    for threads in (2, 3, 13):
        with machine(isa, threads):
            assert_same_bits(attend(operands), expected, f"{threads} threads")


def test_the_size_of_a_page_does_not_change_bits():
    keys, width = 200, 16
    rng = np.random.default_rng(1)
    k, v = (rng.standard_normal((keys, 2, width)).astype(np.float32) for _ in range(2))
    q = rng.standard_normal((9, 4, width)).astype(np.float32)
    results = []
    for page in (1, 8, 25, 200):
        table = np.arange(keys // page, dtype=np.int32)[None]
        caches = (c.reshape(-1, page, 2, width) for c in (k, v))
        start, lengths = np.array([0, 9], np.int32), np.array([keys], np.int32)
        results.append(ops.attention(q, *caches, table, start, lengths, scale=SCALE))
    for result in results[1:]:
        assert_same_bits(result, results[0], "page")


def test_one_key_gives_its_value():
    operands = made([1], [1], heads=2, kv_heads=2)
    block = operands["block_table"][0, 0]
    np.testing.assert_array_equal(attend(operands)[0], operands["v_cache"][block, 0])


def test_a_window_over_all_keys_is_none():
    operands = made([9], [140])
    for window in (140, 141, 2**62):
        assert_same_bits(attend(operands, window=window), attend(operands), f"{window}")


def test_scores_of_infinity_behave_as_in_numpy():
    operands = made([1], [130], dtype="f32", heads=1, kv_heads=1, size=1)
    operands["q"][...] = 1
    k_cache, table = operands["k_cache"], operands["block_table"][0]
    k_cache[table[0], 3] = -np.inf
    assert np.isfinite(attend(operands)).all()
    k_cache[table[: 128 // 16]] = -np.inf
    last = operands["v_cache"][table[8], :2, 0, 0]
    weights = np.exp(k_cache[table[8], :2, 0, 0] * SCALE)
    np.testing.assert_allclose(attend(operands)[0, 0, 0], weights @ last / weights.sum(), rtol=1e-5)
    k_cache[table[8]] = -np.inf
    assert np.isnan(attend(operands)).all()


def test_a_nan_in_a_query_stays_in_its_head():
    operands = made([3], [40])
    operands["q"][1, 2, 5] = np.nan
    wrong = np.isnan(attend(operands).astype(np.float32))
    assert wrong[1, 2].all()
    assert wrong.sum() == wrong[1, 2].size


def test_blocks_before_the_window_need_no_entry():
    operands = made([2], [200])
    expected = attend(operands, window=20)
    operands["block_table"][0, : (200 - 21) // 16] = -1
    assert_same_bits(attend(operands, window=20), expected, "dropped blocks")


BAD = [
    ("query_start", [1, 2, 5], "query_start: expected 0 first, got 1"),
    ("query_start", [0, 6, 5], r"query_start: expected values that do not fall, got 6 and then 5"),
    ("query_start", [0, 2, 4], r"query_start: expected 5 \(the rows of q\) last, got 4"),
    ("lengths", [20, 1000], r"lengths: expected values from 0 to 48 .*, got 1000 at \[1\]"),
    ("lengths", [20, -1], r"lengths: expected values from 0 to 48 .*, got -1 at \[1\]"),
    ("lengths", [20, 2], r"lengths: expected 0, or at least the 3 queries .*, got 2 at \[1\]"),
    ("block_table", [[0, -1, 0], [0, 1, 2]], r"block_table: expected .*, got -1 at \[0, 1\]"),
    ("block_table", [[0, 1, 0], [0, 1, 99]], r"block_table: expected .*, got 99 at \[1, 2\]"),
]


@pytest.mark.parametrize(("name", "values", "message"), BAD)
def test_bad_indices_are_refused_before_writing(name, values, message):
    operands = made([2, 3], [20, 40])
    operands[name] = np.array(values, np.int32)
    out = np.full_like(operands["q"], 7)
    with pytest.raises(fusible.RangeError, match=f"^attention: {message}"):
        attend(operands, out=out)
    np.testing.assert_array_equal(out, 7)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(
        fusible.ShapeError, match=r"^attention: q: expected H divisible by N, got H = 3, N = 2"
    ):
        attend(made([1], [5], heads=3, kv_heads=2))


@pytest.mark.parametrize("attrs", [{"window": -1}, {"softcap": -2.0}], ids=str)
def test_bad_settings_are_refused(attrs):
    message = f"^attention: {next(iter(attrs))}: expected .*, at least 0, got -"
    with pytest.raises(fusible.ArgumentError, match=message):
        attend(made([1], [5]), **attrs)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
def test_latent_attention_reads_values_from_the_rows_of_keys(isa, dtype):
    operands = made([1, 40], [300, 130], dtype=dtype, heads=20, kv_heads=1, size=40)
    cache, rank = operands.pop("k_cache"), 24
    del operands["v_cache"]
    q, *integers = operands.values()
    attrs = {"scale": SCALE, "window": 90, "softcap": 5.0}
    with machine(isa, 3):
        latent = ops.latent_attention(q, cache, *integers, rank=rank, **attrs)
        view = ops.attention(q, cache, cache[..., :rank], *integers, **attrs)
        copied = ops.attention(q, cache, cache[..., :rank].copy(), *integers, **attrs)
    assert_same_bits(latent, view, "beside attention")
    assert_same_bits(view, copied, "beside values of their own")


@pytest.mark.parametrize("name", ["k_cache", "v_cache"])
@pytest.mark.parametrize("axis", [0, 1])
def test_caches_with_gaps_between_pages_or_tokens_are_refused(name, axis):
    operands = made([1], [40])
    wide = operands[name].repeat(2, axis=axis)
    operands[name] = wide[(slice(None),) * axis + (slice(None, None, 2),)]
    with pytest.raises(fusible.ShapeError, match=f"^attention: {name}: expected a contiguous"):
        attend(operands)


# What AVX512-BF16 takes for zero: subnormals, and products below the smallest normal f32.
TINY = {
    "usual": (1.0, 1.0),
    "subnormal-keys": (2.0**-130, 2.0**120),
    "subnormal-queries": (2.0**120, 2.0**-130),
    "small-products": (2.0**-66, 2.0**-66),
    "least-usual": (2.0**-50, 2.0**40),
}


@pytest.mark.skipif("avx3_bf16" not in ISAS, reason="this CPU has no dot product of bf16")
@pytest.mark.parametrize("scales", TINY.values(), ids=TINY)
def test_dot_products_of_bf16_have_the_bits_of_fma(scales):
    of_keys, of_queries = scales
    operands = made([3, 30], [200, 150], heads=6, kv_heads=2, size=64)
    for name, by in (("k_cache", of_keys), ("q", of_queries)):
        operands[name] = (operands[name].astype(np.float32) * by).astype(operands[name].dtype)
    scale = 0.25 / (of_keys * of_queries)
    results = []
    for isa in ("avx3_bf16", "avx3"):
        with machine(isa, 1):
            results.append(ops.attention(*operands.values(), scale=min(scale, 3e38)))
    assert_same_bits(*results, "avx3_bf16 and avx3")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("cache", ["k_cache", "v_cache"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_a_query_does_not_see_does_not_reach_it(isa, cache, value):
    operands = made([40], [170], heads=6, kv_heads=2)
    bad, position = 150, np.arange(130, 170)
    operands[cache][operands["block_table"][0, bad // 16], bad % 16, :, 3] = value
    with machine(isa, 2):
        whole = attend(operands)
        windowed = attend(operands, window=10)
    sees = np.isin(position, range(bad, bad + 10))
    finite = [np.isfinite(y.astype(np.float32)).all(axis=(1, 2)) for y in (whole, windowed)]
    if cache == "v_cache" or np.isnan(value):
        np.testing.assert_array_equal(finite[0], position < bad)
        np.testing.assert_array_equal(finite[1], ~sees)
    else:  # the sign of the query decides between a weight of 0 and NaN
        assert finite[0][position < bad].all()
        assert finite[1][~sees].all()
        assert not finite[0].all()


@pytest.mark.parametrize("window", [0, 4])
def test_a_cache_without_pages_for_no_queries(window):
    cache = np.zeros((1, 0, 1, 4), np.float32)
    sequence = np.zeros((1, 1), np.int32), np.zeros(2, np.int32), np.zeros(1, np.int32)
    q = np.zeros((0, 1, 4), np.float32)
    y = ops.attention(q, cache, cache, *sequence, scale=1.0, window=window)
    assert y.shape == (0, 1, 4)
    assert ops.latent_attention(q, cache, *sequence, rank=2, scale=1.0, window=window).shape == (
        0,
        1,
        2,
    )


@pytest.mark.parametrize("softcap", [1e-46, 1e-45, 1e-300])
def test_the_smallest_cap_is_a_cap(softcap):
    """Scores of zero: every key counts alike."""
    q = np.full((1, 1, 4), 100, np.float32)
    keys = np.arange(8, dtype=np.float32).reshape(1, 2, 1, 4)
    sequence = np.zeros((1, 1), np.int32), np.array([0, 1], np.int32), np.array([2], np.int32)
    y = ops.attention(q, keys, keys, *sequence, scale=1.0, softcap=softcap)
    np.testing.assert_allclose(y[0, 0], keys[0].mean(axis=(0, 1)), rtol=1e-6)
