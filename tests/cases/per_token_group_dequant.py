"""Cases of per_token_group_dequant."""

import numpy as np

from support.case import Case, Normal, Strided, Values


def reference(q, scales, dtype="bf16"):
    groups = q.reshape(*scales.shape, q.shape[-1] // scales.shape[-1] if q.size else 0)
    with np.errstate(over="ignore", invalid="ignore"):
        return (groups * scales[..., None]).astype(np.float32).astype(np.float64).reshape(q.shape)


def coded(*shape, groups, scale=0.02):
    return {"q": Normal(shape, 30.0), "scales": Normal((*shape[:-1], groups), scale, "f32")}


CASES = [
    *(
        Case(f"{columns}-in-{groups}-{dtype}", coded(5, columns, groups=groups), {"dtype": dtype})
        for columns, groups in ((1, 1), (33, 1), (99, 3), (4096, 32))
        for dtype in ("f32", "bf16", "f16")
    ),
    Case("batch", coded(2, 3, 64, groups=2)),
    Case("many-rows", coded(70, 256, groups=2)),
    Case("no-rows", coded(0, 64, groups=2)),
    Case("large", coded(3, 64, groups=2, scale=1e36), {"dtype": "f32"}),
    Case("tiny", coded(3, 64, groups=2, scale=1e-42), {"dtype": "f32"}),
    Case(
        "special",
        {
            "q": Values([[np.nan, 1.0, 0.0, -0.0], [2.0, -3.0, 0.0, 1.0]]),
            "scales": Values([[1.0, np.inf], [np.nan, 0.0]], "f32"),
        },
    ),
    Case(
        "strided",
        {"q": Strided(Normal((5, 64), 30.0)), "scales": Strided(Normal((5, 2), 1.0, "f32"))},
    ),
]
