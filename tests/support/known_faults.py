"""Graphs of the tests that are named after what users of other compilers have reported.

The end of such a name is the project and the number of its issue or pull request.
"""

from __future__ import annotations

import fusible
from fusible import rules

SM90 = "cuda-sm90"
PASSES = ("canonicalize", "share-common", "fuse-ops", "select-ops", "drop-dead")
NORM = """
input x: bf16[T, 512]
input residual: bf16[T, 512]
constant w: bf16[512]
"""
QUANT = "per_token_group_quant_fp8"
# A target with every operator of fusible, whatever hardware has it.
EVERY = fusible.Target(name="every", pipeline="canonicalize,fuse-ops", all_operators=True)
CACHE = """
input k: bf16[T, 2, 16]
input v: bf16[T, 2, 16]
input positions: i64[T]
input cos_sin: f32[9, 16]
input slots: i64[T]
updated keys: bf16[4, 8, 2, 16]
updated values: bf16[4, 8, 2, 16]
"""
ROTATE = "r = rotary_embedding(k, positions, cos_sin)\n"
UPDATE = "a, b = kv_cache_update(r, v, slots, keys, values)\n"


def parse(body: str, head: str = NORM) -> fusible.Graph:
    """The graph of a body with the inputs of a norm."""
    return fusible.Graph.parse(head + body)


def names(graph: fusible.Graph) -> list[str]:
    """Of its nodes, in order."""
    return [node.name for node in graph.nodes]


def optimized(body: str, *given: rules.Rule, head: str = NORM) -> fusible.Result:
    """What is made of a body for one target, with the rules of one's own."""
    return fusible.optimize(parse(body, head), SM90, rules=given)


def layers(count: int) -> str:
    """So many times residual, norm and quantization, with an opaque product between."""
    lines, residual = [], "residual"
    for i in range(count):
        lines += [
            f"sum{i} = add({'x' if i == 0 else f'o{i - 1}'}, {residual})",
            f"y{i} = rms_norm(sum{i}, w)",
            f"q{i}, s{i} = {QUANT}(y{i})",
            f'o{i}: bf16[T, 512] = opaque(q{i}, s{i}, name="product")',
        ]
        residual = f"sum{i}"
    return "\n".join([*lines, f"return o{count - 1}, {residual}\n"])
