"""Cases of top_p_sampling_from_logits."""

import numpy as np

from support.case import Case, Normal, Values
from support.sampling import SEEDS, SPECIAL, tokens

reference = tokens


def drawn(logits, top_p, **more):
    top_p = np.broadcast_to(top_p, SEEDS.shape)
    given = {"logits": logits, "seeds": Values(SEEDS, "u64"), "top_p": Values(top_p, "f32")}
    return given | {name: Values(np.array(row), "f32") for name, row in more.items()}


CASES = [
    *(
        Case(f"row-{n}-{p}", drawn(Normal((6, n), 3.0), p))
        for n, p in ((1, 0.5), (7, 0.9), (33, 0.1), (576, 0.99), (4095, 0.8))
    ),
    Case("shares", drawn(Normal((6, 300), 2.0), [0.0, 1.0, 1.5, -0.5, np.nan, 1e-30])),
    Case("equal", drawn(Values(np.zeros((6, 1500))), [0.1, 0.5, 0.75, 0.999, 1e-6, 1.0])),
    Case("two-values", drawn(Values(np.arange(6 * 130).reshape(6, 130) % 2 * 3.0), 0.97)),
    Case("peaked", drawn(Normal((6, 2000), 12.0), 0.95)),
    Case("temperature", drawn(Normal((6, 77), 2.0), 0.9, temperature=[0.5, 1, 2, 1e30, 1e-30, 0])),
    Case("special", drawn(Values(SPECIAL), 0.6)),
    Case(
        "three-dimensions",
        {
            "logits": Normal((2, 3, 64)),
            "seeds": Values(SEEDS.reshape(2, 3), "u64"),
            "top_p": Values(np.full((2, 3), 0.7), "f32"),
        },
    ),
]
