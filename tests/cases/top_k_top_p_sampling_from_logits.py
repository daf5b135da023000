"""Cases of top_k_top_p_sampling_from_logits."""

from support.case import Case, Normal
from support.sampling import common_cases, drawn, tokens

reference = tokens
COUNTS, SHARES = [0, 5, 1, 99, 50, 0], [1, 1, 1, 0.5, 0, 0.9]
CASES = [
    *(
        Case(f"{k}-of-{n}-{p}", drawn(Normal((6, n), 2.0), top_k=k, top_p=p))
        for n, k, p in ((7, 3, 0.5), (576, 50, 0.9), (4095, 2000, 0.95))
    ),
    Case("each-its-own", drawn(Normal((6, 99), 2.0), top_k=COUNTS, top_p=SHARES)),
    *common_cases(top_k=30, top_p=0.8),
]
