"""Cases of latent_attention: pages hold one row for each token."""

from cases import attention
from cases.attention import SCALE, paged
from support.case import Case


def reference(*, cache, rank, **others):
    return attention.reference(k_cache=cache, v_cache=cache[..., :rank], **others)


def latent(queries, lengths, *, heads=4, size=24, page=16):
    """As cases of attention, with the keys alone in the cache."""
    operands = paged(queries, lengths, heads=heads, kv_heads=1, size=size, page=page)
    del operands["v_cache"]
    operands["cache"] = operands.pop("k_cache")
    order = ("q", "cache", "block_table", "query_start", "lengths")
    return {name: operands[name] for name in order}


CASES = [
    Case("prefill", latent([150], [150]), {"rank": 16, **SCALE}),
    Case("decode", latent([1, 1, 1], [1, 128, 300], heads=16), {"rank": 16, **SCALE}),
    Case("mixed", latent([3, 0, 1, 20], [3, 50, 7, 133]), {"rank": 20, **SCALE}),
    Case("deepseek", latent([2], [140], heads=128, size=576), {"rank": 512, "scale": 0.02}),
    Case("all-is-value", latent([2], [9], size=8), {"rank": 8, **SCALE}),
    Case("odd", latent([2], [130], heads=3, size=33), {"rank": 17, **SCALE}),
    Case("window", latent([1, 30], [290, 150]), {"rank": 16, "scale": 0.25, "window": 100}),
    Case("softcap", latent([9], [140]), {"rank": 16, "scale": 1.0, "softcap": 2.0}),
    Case("empty-sequence", latent([2, 3], [5, 0]), {"rank": 16, **SCALE}),
    Case("no-sequences", latent([], []), {"rank": 16, **SCALE}),
]
