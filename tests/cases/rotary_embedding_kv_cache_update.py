"""Cases of rotary_embedding_kv_cache_update."""

from support.case import Case, Integers, Normal, Strided, Values


def update(slots, *, heads=2, size=16, value_size=16, rotated=16, table=None):
    return {
        "k": Normal((len(slots), heads, size)),
        "v": Normal((len(slots), heads, value_size)),
        "positions": Integers((len(slots),), 0, 40),
        "cos_sin": Normal((40, rotated), 0.7, table),
        "slots": Values(slots, "i64"),
        "k_cache": Normal((3, 4, heads, size)),
        "v_cache": Normal((3, 4, heads, value_size)),
    }


CASES = [
    Case("plain", update([3, 0, 11])),
    Case("interleaved", update([3, 0, 11], rotated=8), {"style": "interleaved"}),
    Case("skipped", update([-1, 5, -7, 6], table="f32")),
    Case("twice", update([4, 4, 4])),
    Case("other-value-size", update([1, 2, 9], value_size=7)),
    Case("no-rows", update([])),
    Case("odd", update([10, 2], heads=3, size=33, value_size=1, rotated=6)),
    Case("many-rows", update([i % 12 for i in range(70)], heads=8, size=128, rotated=128)),
    Case("strided", update([7, 5], heads=1) | {"k": Strided(Normal((2, 1, 16)))}),
]
