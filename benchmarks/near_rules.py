"""Rules as a serving engine brings its own: they come near everywhere in `layered`, and miss.

Each finds calls that every layer has, and asks for one thing more that no layer has: a size, so
many readers, a shape that a view keeps, an attribute, or what a predicate says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fusible.bodies import Names
from fusible.rules import Found, Predicate, Rule

ADD_NORM = "(x: F[..., C], r: F[..., C], w: F[C], *, eps: float) -> y: F[..., C], sum: F[..., C]"
ADD_NORM_QUANT = (
    "(x: F[..., C], r: F[..., C], w: F[C], *, eps: float)"
    " -> q: e4m3fn[..., C], s: f32[..., C/128], sum: F[..., C]"
)
NORM_QUANT = "(x: F[..., C], w: F[C], *, eps: float) -> q: e4m3fn[..., C], s: f32[..., C/128]"
NORM_ROTARY = (
    "(x: F[..., H, C], w: F[C], p: I[...] in P, t: F2[P, 2*R], *, eps: float) -> y: F[..., H, C]"
)
GATE_QUANT = "(x: F[..., 2*C]) -> q: e4m3fn[..., C], s: f32[..., C/128]"
MUL_ADD = "(x: F[..., C], r: F[..., C], *, by: float) -> y: F[..., C]"


def add_norm(op: Any, x: Any, r: Any, w: Any, *, eps: Any) -> Any:
    """The end of a block."""
    total = op.add(x, r)
    return op.rms_norm(total, w, eps=eps), total


def add_norm_quant(op: Any, x: Any, r: Any, w: Any, *, eps: Any) -> Any:
    """The same before a product in fp8."""
    total = op.add(x, r)
    return *op.per_token_group_quant_fp8(op.rms_norm(total, w, eps=eps)), total


def norm_quant(op: Any, x: Any, w: Any, *, eps: Any) -> Any:
    """Without the addition."""
    return op.per_token_group_quant_fp8(op.rms_norm(x, w, eps=eps))


def norm_rotary(op: Any, x: Any, w: Any, p: Any, t: Any, *, eps: Any) -> Any:
    """Of heads, in one of two styles."""
    style = op.any_of("neox", "interleaved")
    return op.rotary_embedding(op.rms_norm(x, w, eps=eps), p, t, style=style)


def gate_quant(op: Any, x: Any) -> Any:
    """One of two gates before a product in fp8."""
    gate = op.any_of(op.silu_and_mul, op.gelu_and_mul)
    return op.per_token_group_quant_fp8(gate(x))


def mul_add(op: Any, x: Any, r: Any, *, by: Any) -> Any:
    """Scaled experts beside a shared one."""
    return op.add(op.mul(x, by=by), r)


FOUND = {
    ADD_NORM: add_norm,
    ADD_NORM_QUANT: add_norm_quant,
    NORM_QUANT: norm_quant,
    NORM_ROTARY: norm_rotary,
    GATE_QUANT: gate_quant,
    MUL_ADD: mul_add,
}
ASKED: tuple[dict[str, Any], ...] = (
    {"where": ["C % 96 == 0"]},
    {"where": ["C >= 8192"], "on_escape": "recompute"},
    {"each": 9, "where": ["C >= 128"], "on_escape": "keep"},
    {"via": ["reshape", "slice", "transpose"], "where": ["C % 128 == 1"]},
)


def is_wide(found: Found) -> bool:
    """What no layer has."""
    return found.sizes["C"] == 12345


def near_rules() -> Iterator[Rule]:
    """Twenty-five rules, one with a predicate."""
    for number, (signature, find) in enumerate(FOUND.items()):
        for variant, asked in enumerate(ASKED):
            yield _rule(f"near_{number}_{variant}", signature, find, **asked)
    wide = Predicate("wide rows", "1", is_wide)
    yield _rule("near_predicate", ADD_NORM, add_norm, predicate=wide)


def _rule(name: str, signature: str, find: Any, **asked: Any) -> Rule:
    """The rule that would put a kernel of its name in place."""
    whole = name + signature
    names = Names.of(whole)

    def replace(op: Any, **given: Any) -> Any:
        operands = [given.pop(operand) for operand in names.operands]
        return op.opaque(name, *operands, results=signature.split("->")[1].count("["), **given)

    return Rule(whole, find, replace, **asked)
