"""Cases of top_k_sampling_from_logits."""

import numpy as np

from support.case import Case, Normal, Strided, Values
from support.sampling import SEEDS, SPECIAL, tokens

reference = tokens


def drawn(logits, top_k, **more):
    top_k = np.broadcast_to(top_k, SEEDS.shape)
    given = {"logits": logits, "seeds": Values(SEEDS, "u64"), "top_k": Values(top_k, "i32")}
    return given | {name: Values(np.array(row), "f32") for name, row in more.items()}


CASES = [
    *(
        Case(f"{k}-of-{n}", drawn(Normal((6, n), 2.0), k))
        for n, k in ((1, 1), (7, 3), (33, 32), (576, 50), (4095, 1000))
    ),
    Case("all", drawn(Normal((6, 300), 2.0), [0, -1, 300, 301, 2**31 - 1, -(2**31)])),
    Case("temperature", drawn(Normal((6, 77), 2.0), 20, temperature=[0.5, 1, 2, 1e30, 1e-30, 0.7])),
    Case("greedy", drawn(Normal((6, 77)), 20, temperature=[0, -1, np.nan, np.inf, -np.inf, -0.0])),
    Case("special", drawn(Values(SPECIAL), 2)),
    Case("strided", drawn(Strided(Normal((6, 65))), 9)),
    Case(
        "draws",
        drawn(Normal((6, 100)), 30)
        | {"temperature": Values(np.ones(6), "f32"), "draws": Values(SEEDS[::-1], "u64")},
    ),
    Case(
        "no-rows",
        {
            "logits": Normal((0, 8)),
            "seeds": Values(SEEDS[:0], "u64"),
            "top_k": Values(np.zeros(0), "i32"),
        },
    ),
]
