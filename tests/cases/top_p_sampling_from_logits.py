"""Cases of top_p_sampling_from_logits."""

import numpy as np

from support.case import Case, Normal, Values
from support.sampling import common_cases, drawn, tokens

reference = tokens
CASES = [
    *(
        Case(f"row-{n}-{p}", drawn(Normal((6, n), 3.0), top_p=p))
        for n, p in ((1, 0.5), (7, 0.9), (33, 0.1), (576, 0.99), (4095, 0.8))
    ),
    Case("shares", drawn(Normal((6, 300), 2.0), top_p=[0.0, 1.0, 1.5, -0.5, np.nan, 1e-30])),
    Case("ties", drawn(Values(np.zeros((6, 1500))), top_p=[0.1, 0.5, 0.75, 0.999, 1e-6, 1.0])),
    Case("two-values", drawn(Values(np.arange(780).reshape(6, 130) % 2 * 3.0), top_p=0.97)),
    Case("peaked", drawn(Normal((6, 2000), 12.0), top_p=0.95)),
    *common_cases(top_p=0.8),
]
