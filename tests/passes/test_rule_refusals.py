"""Rules that cannot be of use are refused, with the reason, before any graph is seen."""

from typing import Any

import pytest

import fusible
from fusible import rules
from support.given_rules import FIND, SHARP

SM90 = "cuda-sm90"
REPLACE = 'y = opaque(x, w, name="k", eps=eps)\nreturn y\n'


CHAIN = [("x", "v1"), *((f"v{i}", f"v{i + 1}") for i in range(1, 17))]


def made(signature: str = SHARP, find: Any = FIND, replace: Any = REPLACE, **options: Any):
    return rules.Rule(signature, find, replace, **options)


def manager(*given: rules.Rule, target: str = SM90, pipeline: str | None = None):
    return fusible.PassManager(pipeline, target, rules=given)


def test_this_one_is_good():
    assert manager(made()).rules[0].name == "sharp"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signature": "sharp(x: F[..., C]"}, "signature: column 19: expected '\\)'"),
        (
            {"signature": SHARP.replace("sharp", "softmax")},
            "softmax: expected a name of its own",
        ),
        ({"find": []}, "sharp: find: expected 1 to 16 patterns, got 0"),
        ({"find": [FIND] * 17}, "sharp: find: expected 1 to 16 patterns, got 17"),
        ({"find": "y = softmax(x\nreturn y\n"}, "sharp: find: line 2, column 1: expected"),
        (
            {"find": "".join(f"{b} = softmax({a})\n" for a, b in CHAIN) + "return v17\n"},
            "sharp: find: expected at most 16 calls, got 17",
        ),
        ({"find": FIND.replace("softmax", "soft")}, "sharp: find: expected an operator, got soft"),
        (
            {"find": FIND.replace("softmax(n)", 'opaque(n, name="k")')},
            "sharp: rule: expected calls of operators in the pattern, got opaque",
        ),
        (
            {"find": FIND.replace("eps=eps", "")},
            "sharp: rule: expected attribute eps in the pattern",
        ),
        (
            {"find": FIND.replace("softmax(n)", "softmax(n, n)")},
            "sharp: find: softmax: expected at most 1 operands, got 2",
        ),
        ({"replace": REPLACE.replace("x, w", "x")}, "replace: expected every operand .*drops w"),
        ({"replace": REPLACE.replace(", eps=eps", "")}, "every attribute .* which drops eps"),
        (
            {"replace": REPLACE.replace('name="k", ', "")},
            "replace: opaque: name: expected a string",
        ),
        ({"replace": REPLACE.replace('name="k"', 'name="k", mutates=true')}, "without effects"),
        ({"replace": "y = k(x, w, eps=eps)\nreturn y\n"}, "replace: expected an operator, got k"),
        ({"replace": "return x\n"}, "sharp: replace: expected every operand .*drops w"),
        (
            {"replace": REPLACE.replace("return y", "return y, y")},
            "replace: expected 1 results, got 2",
        ),
        (
            {"replace": REPLACE.replace("return y", "return none")},
            "replace: expected 1 results, got 0",
        ),
        (
            {"replace": REPLACE.replace("return", "z = softmax(y)\nreturn")},
            "replace: expected calls that a result needs, got softmax",
        ),
        ({"replace": FIND}, "sharp: replace: expected a change, got what is found"),
        (
            {"find": "y = rms_norm(x, w, eps=eps)\nreturn y\n", "each": 2},
            "sharp: each: expected several calls to find, which share all but the last, got one",
        ),
        ({"via": ["view"]}, "sharp: via: expected reshape, slice or transpose, got view"),
        (
            {"where": ["K > 3"]},
            "where: condition `K > 3`: .* got K, which is no size and no integer",
        ),
        ({"where": ["C"]}, "where: condition `C`: .* got no ==, !=, <=, >=, < or >"),
        ({"where": ["C == "]}, "where: condition `C == `: expected sizes compared"),
        ({"where": ["eps > 1"]}, "got eps, which is no size and no integer attribute of sharp"),
    ],
)
def test_a_rule_that_is_none(change, message):
    with pytest.raises(fusible.GraphError, match=message):
        made(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signature": 3}, "signature: expected a text, got 3"),
        ({"find": 3}, "sharp: find: expected a text or a function, got 3"),
        ({"replace": None}, "sharp: replace: expected a text or a function, got None"),
        ({"each": 0}, "sharp: each: expected a number from 1, got 0"),
        ({"each": True}, "sharp: each: expected a number from 1, got True"),
        ({"via": "reshape"}, "sharp: via: expected a list of texts, got 'reshape'"),
        ({"where": "C > 3"}, "sharp: where: expected a list of texts, got 'C > 3'"),
        ({"on_escape": "drop"}, "on_escape: expected refuse, recompute or keep, got drop"),
        ({"predicate": lambda found: True}, "sharp: predicate: expected a Predicate, got"),
    ],
)
def test_an_argument_of_another_kind(change, message):
    with pytest.raises(fusible.ArgumentError, match=message):
        made(**change)


@pytest.mark.parametrize("field", ["name", "version"])
def test_a_predicate_has_a_name_and_a_version(field):
    fields = {"name": "n", "version": "1", "test": lambda found: True, field: ""}
    with pytest.raises(fusible.ArgumentError, match=f"predicate: {field}: expected a text, got ''"):
        rules.Predicate(**fields)


@pytest.mark.parametrize(
    ("signature", "find", "replace", "message"),
    [
        (
            "a(x: F[..., C]) -> y: F[..., C]",
            "y = softmax(x)\nreturn y\n",
            "y = cast(x, dtype=f32)\nreturn y\n",
            None,  # the same where F is f32
        ),
        (
            "a(x: bf16[..., C]) -> y: bf16[..., C]",
            "y = softmax(x)\nreturn y\n",
            "y = cast(x, dtype=f32)\nreturn y\n",
            r"a: replace: result y: expected bf16\[T, 256\], got f32\[T, 256\]",
        ),
        (
            "a(x: bf16[..., C]) -> y: f32[..., C]",
            "y = softmax(x)\nreturn y\n",
            "y = cast(x, dtype=f32)\nreturn y\n",
            r"a: find: result y: expected f32\[T, 256\], got bf16\[T, 256\]",
        ),
        (
            "a(x: F[..., 2*D]) -> y: F[..., D]",
            "y = silu_and_mul(x)\nreturn y\n",
            "y = softmax(x)\nreturn y\n",
            r"a: replace: result y: expected f16\[T, 256\], got f16\[T, 512\]",
        ),
        (
            "a(x: F[..., C], w: F[C]) -> y: F[..., C]",
            "y = rms_norm(x, w)\nreturn y\n",
            "y = rms_norm(w, w)\nz = add(x, y)\nreturn z\n",
            r"a: replace: add: \w+: expected leading dimensions",
        ),
        (
            "a(x: F[..., C], *, g: float) -> q: e4m3fn[..., C], s: f32[..., C/128]",
            "q, s = per_token_group_quant_fp8(x, group_size=g)\nreturn q, s\n",
            'q, s = opaque(x, name="k", g=g)\nreturn q, s\n',
            "a: g: expected int, as group_size of per_token_group_quant_fp8 is, got float",
        ),
        (
            "a(x: F[..., C], *, g: int) -> q: e4m3fn[..., C], s: f32[..., C/g]",
            "q, s = per_token_group_quant_fp8(x, group_size=g)\nreturn q, s\n",
            'q, s = opaque(x, name="k", g=g)\nt = opaque(s, name="l")\nreturn q, t\n',
            "a: replace: opaque: expected a result of the whole, got s",
        ),
    ],
)
def test_a_replacement_whose_contract_cannot_hold(signature, find, replace, message):
    if message is None:
        made(signature, find, replace)
        return
    with pytest.raises(fusible.GraphError, match=message):
        made(signature, find, replace)


def test_no_pass_applies_rules():
    message = "expected a pass in the pipeline that applies them, fuse-ops or fuse-rows, got canon"
    with pytest.raises(fusible.GraphError, match=message):
        manager(made(), pipeline="canonicalize,drop-dead")


def test_two_rules_of_one_name():
    with pytest.raises(
        fusible.GraphError, match="rules: expected one of each name, got two of sharp"
    ):
        manager(made(), made())


def test_what_is_no_rule():
    with pytest.raises(fusible.ArgumentError, match=r"rules: expected rules\.Rule, got 'sharp'"):
        manager("sharp")  # type: ignore[arg-type]


QUANT = "quant(x: F[..., C], w: F[C]) -> q: {}[..., C], s: f32[..., C/128]"
QUANT_FIND = "n = rms_norm(x, w)\nq, s = per_token_group_quant_fp8(n, dtype={})\nreturn q, s\n"
QUANT_KERNEL = 'q, s = opaque(x, w, name="quant")\nreturn q, s\n'


def test_a_variant_that_the_target_lacks_is_never_found():
    rule = made(QUANT.format("e4m3fnuz"), QUANT_FIND.format("e4m3fnuz"), QUANT_KERNEL)
    message = (
        "quant: never applies on cuda-sm90: op_variant: set dtype of per_token_group_quant_fp8"
    )
    with pytest.raises(fusible.GraphError, match=message):
        manager(rule)
    manager(rule, target="cpu")


def test_a_kernel_that_the_target_lacks_is_never_put_in_place():
    rule = made(replace="y = layer_norm(x, w, w, eps=eps)\nreturn y\n")
    with pytest.raises(
        fusible.GraphError, match="never applies on cuda-sm90: no_kernel: list layer_"
    ):
        manager(rule)
    manager(rule, target="cpu")


def test_one_pattern_that_can_be_found_is_enough():
    formats = [QUANT_FIND.format("e4m3fnuz"), QUANT_FIND.format("e4m3fn")]
    signature = "quant(x: F[..., C], w: F[C]) -> s: f32[..., C/128]"
    find = [text.replace("return q, s", "return s") for text in formats]
    kernel = 's = opaque(x, w, name="quant")\nreturn s\n'
    manager(made(signature, find, kernel))
    with pytest.raises(fusible.GraphError, match="quant: never applies on cuda-sm90"):
        manager(made(signature, find[:1], kernel))


GENERAL = "general(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]"


@pytest.mark.parametrize(
    ("general", "special", "shadowed"),
    [
        ({}, {}, True),  # the same but for their names
        ({}, {"where": ["C > 3"]}, False),  # asks for more, so it comes first
        ({"where": ["C > 3"]}, {"where": ["C > 4"]}, False),
        ({"signature": GENERAL.replace("F[", "bf16[")}, {}, False),
        ({}, {"signature": SHARP.replace("F[", "bf16[")}, True),
        ({"on_escape": "refuse"}, {"on_escape": "keep"}, False),
        ({"on_escape": "keep"}, {"on_escape": "refuse"}, True),
        ({"via": []}, {"via": ["reshape"]}, False),
        ({"via": ["reshape"]}, {"via": []}, True),
        ({"each": 2}, {"each": 2}, False),
    ],
)
def test_a_rule_for_which_another_leaves_nothing(general, special, shadowed):
    first = made(**{"signature": GENERAL, **general})
    given = [first, made(**special)]
    if not shadowed:
        manager(*given)
        return
    message = "sharp: never applies: general finds the same and comes first; give it a condition"
    for order in (1, -1):
        with pytest.raises(fusible.GraphError, match=message):
            manager(*given[::order])


def test_a_special_rule_that_saves_less_is_left_nothing():
    fixed = "fixed(x: F[..., C], w: F[C]) -> y: F[..., C]"
    rule = made(
        fixed,
        FIND.replace("eps=eps", "eps=1e-05"),
        "a = softmax(x)\ny = layer_norm(a, w, w)\nreturn y\n",
    )
    manager(rule, target="cpu")
    with pytest.raises(fusible.GraphError, match="fixed: never applies: sharp finds the same"):
        manager(made(), rule, target="cpu")


def test_an_operator_that_finds_the_same_leaves_nothing_for_a_rule_that_saves_less():
    rule = made(
        "slow(x: F[..., C], r: F[..., C], w: F[C], *, eps: float) -> y: F[..., C], s: F[..., C]",
        "s = add(x, r)\ny = rms_norm(s, w, eps=eps)\nreturn y, s\n",
        "s = add(x, r)\na = softmax(s)\ny = layer_norm(a, w, w, eps=eps)\nreturn y, s\n",
    )
    with pytest.raises(fusible.GraphError, match="slow: never applies: fused_add_rms_norm finds"):
        fusible.PassManager("fuse-ops", "cpu", rules=[rule])
    fusible.PassManager("fuse-rows", "cpu", rules=[rule])  # operators' rules are not applied there


def swap(name: str, this: str, that: str) -> rules.Rule:
    signature = f"{name}(x: F[..., C]) -> y: F[..., C]"
    return made(signature, f"y = {this}(x)\nreturn y\n", f"y = {that}(x)\nreturn y\n")


def test_rules_that_undo_each_other_are_named():
    there = made("there(x: F[..., 2*D]) -> y: F[..., D]", *BODIES)
    back = made("back(x: F[..., 2*D]) -> y: F[..., D]", *BODIES[::-1])
    with pytest.raises(fusible.GraphError, match="rules that undo each other: back, there"):
        manager(there, back, target="cpu")
    third = made("third(x: F[..., 2*D]) -> y: F[..., D]", BODIES[1], TANH)
    home = made("home(x: F[..., 2*D]) -> y: F[..., D]", TANH, BODIES[0])
    manager(there, third, target="cpu")
    with pytest.raises(fusible.GraphError, match="undo each other: home, there, third"):
        manager(there, third, home, target="cpu")


BODIES = ["y = silu_and_mul(x)\nreturn y\n", "y = gelu_and_mul(x)\nreturn y\n"]
TANH = "y = gelu_tanh_and_mul(x)\nreturn y\n"


@pytest.mark.parametrize("end", [{"where": ["D >= 64"]}, {"signature": "f32"}])
def test_rules_that_take_other_calls_do_not_undo_each_other(end):
    signature = "back(x: F[..., 2*D]) -> y: F[..., D]"
    there = made("there(x: bf16[..., 2*D]) -> y: bf16[..., D]", *BODIES)
    if "signature" in end:
        back = made(signature.replace("F[", "f32["), *BODIES[::-1])
    else:
        back = made(signature, *BODIES[::-1], **end)
    manager(there, back, target="cpu")


def test_a_replacement_that_holds_what_it_finds():
    rule = made(
        "again(x: F[..., C]) -> y: F[..., C]",
        "y = softmax(x)\nreturn y\n",
        "a = softmax(x)\ny = softmax(a)\nreturn y\n",
    )
    with pytest.raises(fusible.GraphError, match="again: expected a replacement in which the rule"):
        manager(rule, target="cpu")


def test_a_fused_operator_that_equals_what_is_found_is_an_end():
    named = made(
        "named(x: F[..., C], w: F[C], *, eps: float) -> q: e4m3fn[..., C], s: f32[..., C/128]",
        "n = rms_norm(x, w, eps=eps)\nq, s = per_token_group_quant_fp8(n)\nreturn q, s\n",
        "q, s = rms_norm_group_quant_fp8(x, w, eps=eps)\nreturn q, s\n",
    )
    manager(named)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda op, x, w, *, eps: op.soft(x), "expected the name of an operator, got 'soft'"),
        (lambda op, x, w, *, eps: op.softmax(3), "sharp: find: expected operands of the rule and"),
        (lambda op, x, w, *, eps: op.softmax(eps), "sharp: find: expected a value, got eps"),
        (lambda op, x, w, *, eps: op.rms_norm(x, w, eps=object()), "sharp: find: eps: expected an"),
        (lambda op, x, w, *, eps: op.any_of(), "sharp: find: any_of: expected ways to choose from"),
        (lambda op, x, w, *, eps: "y", "sharp: find: expected operands of the rule and results"),
        (
            lambda op, x, w, *, eps: [op.maybe() for _ in range(5)] and op.rms_norm(x, w, eps=eps),
            "sharp: find: expected at most 16 patterns, got more",
        ),
    ],
)
def test_a_function_that_records_no_body(function, message):
    with pytest.raises((fusible.ArgumentError, fusible.GraphError), match=message):
        made(find=function)


def test_values_of_another_recording_are_refused():
    kept = []

    def first(op, x, w, *, eps):
        kept.append(x)
        return op.softmax(op.rms_norm(x, w, eps=eps))

    made(find=first)
    with pytest.raises(fusible.ArgumentError, match="expected operands of the rule and results"):
        made(find=lambda op, x, w, *, eps: op.softmax(op.rms_norm(kept[0], w, eps=eps)))


def test_a_replacement_has_no_choices():
    with pytest.raises(fusible.GraphError, match="sharp: replace: expected no choices, got some"):
        made(
            replace=lambda op, x, w, *, eps: op.opaque(op.any_of("a", "b"), x, w, eps=eps),
        )
