"""Cases of kv_cache_update."""

from support.case import Case, Normal, Values


def reference(k, v, slots, k_cache, v_cache):
    keys, values = k_cache.copy(), v_cache.copy()
    pages = k_cache.shape[1]
    flat = slots.reshape(-1)
    for row, slot in enumerate(flat):
        if slot >= 0:
            keys[slot // pages, slot % pages] = k.reshape(len(flat), *k.shape[-2:])[row]
            values[slot // pages, slot % pages] = v.reshape(len(flat), *v.shape[-2:])[row]
    return keys, values


def update(slots, *, heads=2, size=16, value_size=16, blocks=3, page=4):
    return {
        "k": Normal((len(slots), heads, size)),
        "v": Normal((len(slots), heads, value_size)),
        "slots": Values(slots, "i64"),
        "k_cache": Normal((blocks, page, heads, size)),
        "v_cache": Normal((blocks, page, heads, value_size)),
    }


CASES = [
    Case("plain", update([3, 0, 11])),
    Case("skipped", update([-1, 5, -7, 6])),
    Case("twice", update([4, 4, 4])),
    Case("other-value-size", update([1, 2, 9], value_size=7)),
    Case("no-rows", update([])),
    Case("odd", update([10, 2], heads=3, size=33, value_size=1)),
    Case("long", update(list(range(96)), heads=4, size=64, value_size=64, blocks=6, page=16)),
]
