"""Cases of attention. Slots that no query may see hold NaN, table entries without keys -1."""

import itertools

import numpy as np

from support.case import Case, Normal, Values


def reference(
    *, q, k_cache, v_cache, block_table, query_start, lengths, scale, window=0, softcap=0.0
):
    heads_per_kv = q.shape[1] // max(k_cache.shape[2], 1)
    y = np.zeros((*q.shape[:2], v_cache.shape[3]))
    for s, (begin, end) in enumerate(itertools.pairwise(query_start)):
        if lengths[s] == 0:
            continue
        keys = gather(k_cache, block_table[s], lengths[s]).repeat(heads_per_kv, axis=1)
        values = gather(v_cache, block_table[s], lengths[s]).repeat(heads_per_kv, axis=1)
        for token in range(begin, end):
            last = lengths[s] - (end - token)
            seen = slice(max(0, last - window + 1) if window else 0, last + 1)
            scores = np.einsum("hd,khd->hk", q[token], keys[seen]) * scale
            if softcap:
                scores = softcap * np.tanh(scores / softcap)
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            y[token] = np.einsum("hk,khe->he", weights, values[seen])
    return y


def gather(cache, table, length):
    """The first `length` rows of a sequence, [length, N, D]."""
    page = cache.shape[1]
    return np.array([cache[table[j // page], j % page] for j in range(length)])


def paged(queries, lengths, *, heads=4, kv_heads=2, size=16, value_size=None, page=16):
    """Sequences with so many queries and keys, their blocks in no order."""
    rng = np.random.default_rng(sum(lengths) + size)
    pages = [-(-length // page) for length in lengths]
    table = np.full((len(lengths), max([*pages, 1])), -1)
    order = iter(rng.permutation(sum(pages) + 1))
    k_cache = np.full((sum(pages) + 1, page, kv_heads, size), np.nan)
    v_cache = np.full((sum(pages) + 1, page, kv_heads, value_size or size), np.nan)
    for s, length in enumerate(lengths):
        for j in range(length):
            if j % page == 0:
                table[s, j // page] = next(order)
            slot = table[s, j // page], j % page
            k_cache[slot] = rng.standard_normal(k_cache.shape[2:])
            v_cache[slot] = rng.standard_normal(v_cache.shape[2:])
    return {
        "q": Normal((sum(queries), heads, size)),
        "k_cache": Values(k_cache),
        "v_cache": Values(v_cache),
        "block_table": Values(table, "i32"),
        "query_start": Values([0, *itertools.accumulate(queries)], "i32"),
        "lengths": Values(lengths, "i32"),
    }


SCALE = {"scale": 0.25}
SIZES = [
    (64, 64, 9, 3),
    (80, 80, 2, 2),
    (96, 96, 6, 2),
    (192, 128, 4, 4),
    (128, 128, 4, 1),
    (256, 40, 2, 1),
    (33, 17, 3, 1),
    (1, 1, 1, 1),
]

CASES = [
    *(
        Case(
            f"size-{d}-{e}-heads-{h}-{n}",
            paged([5, 1], [5, 40], heads=h, kv_heads=n, size=d, value_size=e),
            {"scale": d**-0.5},
        )
        for d, e, h, n in SIZES
    ),
    *(
        Case(f"prefill-of-{n}", paged([n], [n], heads=2, kv_heads=1), SCALE)
        for n in (0, 1, 7, 64, 150, 513)
    ),
    Case("chunk", paged([40], [170]), SCALE),
    Case("decode", paged([1, 1, 1, 1], [1, 128, 129, 300]), SCALE),
    Case("mixed", paged([3, 0, 1, 20], [3, 50, 7, 133]), SCALE),
    Case("page-of-1", paged([2, 1], [20, 3], page=1), SCALE),
    Case("page-of-300", paged([2, 1], [280, 3], page=300), SCALE),
    Case("window", paged([1, 30], [290, 150]), {"scale": 0.25, "window": 100}),
    Case("window-of-1", paged([3], [130]), {"scale": 0.25, "window": 1}),
    Case("window-behind-a-block", paged([4], [260]), {"scale": 0.25, "window": 130}),
    Case("softcap", paged([9], [140]), {"scale": 1.0, "softcap": 2.0}),
    Case("softcap-and-window", paged([9], [140]), {"scale": 1.0, "softcap": 2.0, "window": 20}),
    Case("large-scores", paged([3], [140]), {"scale": 8.0}),
    Case("empty-sequence", paged([2, 3, 1], [5, 0, 2]), SCALE),
    Case("no-queries", paged([0, 0], [5, 9]), SCALE),
    Case("no-sequences", paged([], []), SCALE),
]
