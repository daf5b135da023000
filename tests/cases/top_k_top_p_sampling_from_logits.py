"""Cases of top_k_top_p_sampling_from_logits."""

import numpy as np

from support.case import Case, Normal, Values
from support.sampling import SEEDS, SPECIAL, tokens

reference = tokens


def drawn(logits, top_k, top_p):
    return {
        "logits": logits,
        "seeds": Values(SEEDS, "u64"),
        "top_k": Values(np.broadcast_to(top_k, SEEDS.shape), "i32"),
        "top_p": Values(np.broadcast_to(top_p, SEEDS.shape), "f32"),
    }


CASES = [
    *(
        Case(f"{k}-of-{n}-{p}", drawn(Normal((6, n), 2.0), k, p))
        for n, k, p in ((7, 3, 0.5), (576, 50, 0.9), (4095, 2000, 0.95))
    ),
    Case("each-its-own", drawn(Normal((6, 99), 2.0), [0, 5, 1, 99, 50, 0], [1, 1, 1, 0.5, 0, 0.9])),
    Case("equal", drawn(Values(np.zeros((6, 400))), 100, 0.25)),
    Case("special", drawn(Values(SPECIAL), 3, 0.8)),
]
