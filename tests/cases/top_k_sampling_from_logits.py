"""Cases of top_k_sampling_from_logits."""

from support.case import Case, Normal
from support.sampling import common_cases, drawn, tokens

reference = tokens
CASES = [
    *(
        Case(f"{k}-of-{n}", drawn(Normal((6, n), 2.0), top_k=k))
        for n, k in ((1, 1), (7, 3), (33, 32), (576, 50), (4095, 1000))
    ),
    Case("all", drawn(Normal((6, 300), 2.0), top_k=[0, -1, 300, 301, 2**31 - 1, -(2**31)])),
    *common_cases(top_k=3),
]
