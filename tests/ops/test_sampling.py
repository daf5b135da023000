"""Random numbers and sampling: known answers, frequencies, whole vocabularies."""

import numpy as np
import pytest
from scipy import stats

import fusible
from fusible import ops
from support.calls import numpy_dtype
from support.case import stored
from support.contract import FMA_ISAS, ISAS, machine, needs_fma
from support.sampling import philox, random_bits, tokens
from support.tolerance import assert_same_bits

ONES = 0xFFFFFFFF
VOCABULARY = 128256


# Random123's kat_vectors, `philox4x32 10`: zeros, ones, and the digits of pi.
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_the_reference_gives_the_known_answers(counter, key, answer):
    assert philox(counter, key) == answer


def first_bits(seeds, draws=None, bits=12):
    """The leading random bits of each seed: equal logits make them the token."""
    logits = np.zeros((len(seeds), 1 << bits), np.float32)
    every = np.zeros(len(seeds), np.int32)
    return ops.top_k_sampling_from_logits(logits, seeds, every, None, draws)


def test_the_known_answer_for_zeros():
    assert first_bits(np.zeros(1, np.uint64), bits=16)[0] == 0xE169


def test_random_bits_are_those_of_the_reference():
    rng = np.random.default_rng(5)
    seeds = rng.integers(0, 2**64, 300, np.uint64)
    draws = rng.integers(0, 2**64, 300, np.uint64)
    for given in (None, draws):
        numbers = np.zeros_like(draws) if given is None else given
        want = [random_bits(int(s), int(n)) >> 52 for s, n in zip(seeds, numbers, strict=True)]
        assert first_bits(seeds, given).tolist() == want


LOGITS = np.array([2.0, -1.0, 0.5, 0.5, 3.0, -4.0, 1.0, 0.0], np.float32)


def frequencies(sample, rows=40_000):
    """How often each of the eight tokens comes, over seeds 0, 1, 2, ..."""
    logits = np.broadcast_to(LOGITS, (rows, len(LOGITS)))
    drawn = sample(np.ascontiguousarray(logits), np.arange(rows, dtype=np.uint64))
    return np.bincount(drawn, minlength=len(LOGITS))


def assert_fits(counts, kept, temperature=1.0):
    """A chi-square test at one in a thousand; other tokens must not come at all."""
    share = np.where(
        np.isin(np.arange(len(LOGITS)), kept), np.exp(LOGITS.astype(np.float64) / temperature), 0
    )
    share /= share.sum()
    assert counts[share == 0].sum() == 0
    expected = counts.sum() * share[share > 0]
    if len(expected) > 1:
        assert stats.chisquare(counts[share > 0], expected).pvalue > 1e-3


def filled(rows, value, dtype):
    return np.full(len(rows), value, dtype)


@pytest.mark.parametrize("temperature", [1.0, 0.7, 3.0])
@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (0, 1.0, range(8)),
        (3, 1.0, [0, 4, 6]),
        (4, 1.0, [0, 2, 4, 6]),  # of the two equal ones the first
        (0, 1e-6, [4]),
        (5, 1.0, [0, 2, 3, 4, 6]),
    ],
)
def test_frequencies_are_the_probabilities(top_k, top_p, kept, temperature):
    def sample(logits, seeds):
        return ops.top_k_top_p_sampling_from_logits(
            logits,
            seeds,
            filled(seeds, top_k, np.int32),
            filled(seeds, top_p, np.float32),
            filled(seeds, temperature, np.float32),
        )

    assert_fits(frequencies(sample), list(kept), temperature)


# The likeliest have shares of 0.576, 0.212, 0.078, 0.047, 0.047: sums 0.576, 0.788, 0.866, 0.913.
@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.57, [4]), (0.6, [0, 4]), (0.78, [0, 4]), (0.85, [0, 4, 6]), (0.9, [0, 2, 4, 6])],
)
def test_top_p_keeps_the_fewest(top_p, kept):
    counts = frequencies(
        lambda logits, seeds: ops.top_p_sampling_from_logits(
            logits, seeds, filled(seeds, top_p, np.float32)
        )
    )
    assert_fits(counts, kept)


def rows_of_logits(dtype):
    """Flat, as of a model, peaked, equal, and few different ones."""
    rng = np.random.default_rng(11)
    normal = rng.standard_normal((5, VOCABULARY))
    scales = np.array([[0.1], [3.0], [30.0], [0.0], [2.0]])
    rows = normal * scales
    rows[4] = np.round(rows[4])
    return stored(rows, dtype)


@needs_fma
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.9, 0.9999])
def test_whole_vocabularies(share, dtype):
    logits = rows_of_logits(dtype)
    seeds = np.arange(5, dtype=np.uint64)
    top_p = np.full(5, share, np.float32)
    for isa in FMA_ISAS:
        with machine(isa, 2):
            drawn = ops.top_p_sampling_from_logits(logits, seeds, top_p)
        np.testing.assert_array_equal(drawn, tokens(logits, seeds, top_p=top_p), err_msg=isa)


@pytest.mark.parametrize("isa", ISAS)
def test_topk_of_a_whole_vocabulary(isa):
    logits = rows_of_logits("f32")
    with machine(isa, 2):
        values, indices = ops.topk(logits, k=1000)
    order = np.argsort(-logits, axis=-1, kind="stable")[:, :1000]
    np.testing.assert_array_equal(indices, order)
    assert_same_bits(values, np.take_along_axis(logits, order, axis=-1), isa)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("dtype", "nan", "others"),
    [
        ("f32", 0x7FC00000, (0xFFC00000, 0x7FA00000, 0xFF800001)),
        ("bf16", 0x7FC0, (0xFFC0, 0x7FA0, 0xFF81)),
        ("f16", 0x7E00, (0xFE00, 0x7D00, 0xFC01)),
    ],
)
def test_topk_writes_canonical_nans_and_keeps_zeros(dtype, nan, others, isa):
    x = stored(np.array([[-0.0, np.nan, 0.0]]), dtype)
    bits = x.view(f"u{x.itemsize}")
    for quiet_or_signalling in others:
        bits[0, 1] = quiet_or_signalling
        with machine(isa, 1):
            values, indices = ops.topk(x, k=3)
        assert indices.tolist() == [[1, 0, 2]]
        assert values.view(bits.dtype).tolist() == [[nan, bits[0, 0], bits[0, 2]]]


def test_more_than_there_are_is_refused():
    with pytest.raises(fusible.ShapeError, match=r"^topk: k: expected k <= V, got 9 and 8$"):
        ops.topk(np.zeros((2, 8), np.float32), k=9)
    with pytest.raises(fusible.ShapeError, match=r"^greedy_sample: logits: expected 1 <= V, got 1"):
        ops.greedy_sample(np.zeros((2, 0), np.float32))


def test_seeds_are_not_signed():
    with pytest.raises(fusible.DTypeError, match=r"seeds: expected u64, got i64"):
        ops.top_p_sampling_from_logits(
            np.zeros((1, 8), np.float32), np.zeros(1, np.int64), np.ones(1, np.float32)
        )
    assert numpy_dtype("u64") == np.uint64


def test_tokens_feed_a_look_up():
    # Indices are checked before a row is written, so the two do not become one row program.
    graph = fusible.Graph.parse(
        "input logits: f32[T, 16]\nconstant table: f32[16, 8]\n"
        "token = greedy_sample(logits)\ny = embedding(token, table)\nreturn y\n"
    )
    result = fusible.optimize(graph)
    assert [(miss.reason, miss.rule) for miss in result.misses] == [("whole_operand", "rows")]
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((3, 16)).astype(np.float32)
    table = rng.standard_normal((16, 8)).astype(np.float32)
    y = fusible.compile(result, weights={"table": table})(logits=logits)
    np.testing.assert_array_equal(y, table[np.argmax(logits, axis=-1)])
