"""Conditions of rules, as data and as code, and what a miss says of them."""

import pytest

import fusible
from fusible import rules
from support.given_rules import ONE, only_miss, run, sharp


@pytest.mark.parametrize(
    ("conditions", "rows", "hint"),
    [
        (["C % 128 == 0", "C >= 64"], "[T, 256]", ""),
        (["C % 128 == 0"], "[T, 192]", "expected C % 128 == 0, got C = 192"),
        (["C <= 128"], "[T, 256]", "expected C <= 128, got C = 256"),
        (["C != 256"], "[T, 256]", "expected C != 256, got C = 256"),
        (["C/2 == 128"], "[T, 256]", ""),
        (["C % 2 == 0"], "[T, K]", "expected C % 2 == 0, got C = K, which leaves it open until"),
        (["C % 2 == 0"], "[T, 4*K]", ""),
        (["C % 2 == 0"], "[T, 4*K+1]", "expected C % 2 == 0, got C = 4*K+1"),
        (["C > 3"], "[T, K]", "got C = K, which leaves it open until the call"),
    ],
)
def test_conditions_are_explained(conditions, rows, hint):
    columns = rows[4:-1]
    head = f"input x: bf16{rows}\nconstant w: bf16[{columns}]\n"
    result = run(ONE, sharp(where=conditions), head=head)
    assert result.fusions == ({} if hint else {"sharp": 1})
    if hint:
        miss = only_miss(result)
        assert miss.reason == "condition"
        assert hint in miss.hint


def test_a_condition_on_an_attribute():
    rule = rules.Rule(
        "grouped(x: F[..., 2*D], *, g: int) -> q: e4m3fn[..., D], s: f32[..., D/g]",
        "y = silu_and_mul(x)\nq, s = per_token_group_quant_fp8(y, group_size=g)\nreturn q, s\n",
        'q, s = opaque(x, name="grouped", group=g)\nreturn q, s\n',
        where=["D/g <= 2"],
    )
    body = "y = silu_and_mul(x)\nq, s = per_token_group_quant_fp8(y, group_size={})\nreturn q, s\n"
    assert "grouped" in run(body.format(64), rule).fusions
    assert only_miss(run(body.format(32), rule), "grouped").hint == (
        "expected D/g <= 2, got D = 128, g = 32"
    )


def test_a_predicate_sees_what_was_found():
    seen: list[rules.Found] = []

    def test(found: rules.Found) -> bool | str:
        seen.append(found)
        return True if found.attrs["eps"] < 1e-6 else "use an eps below 1e-6"

    rule = sharp(predicate=rules.Predicate("small-eps", "1", test))
    assert run(ONE, rule).fusions == {"sharp": 1}
    assert seen[0] == (
        {"x": "bf16[T, 256]", "w": "bf16[256]", "y": "bf16[T, 256]"},
        {"C": 256},
        {"eps": 1e-12},
    )
    miss = only_miss(run(ONE.replace("1e-12", "1e-5"), rule))
    assert (miss.reason, miss.hint) == ("predicate", "use an eps below 1e-6")
    never = sharp(predicate=rules.Predicate("never", "2", lambda found: False))
    assert only_miss(run(ONE, never)).hint == "meet never, version 2"


def test_what_a_predicate_raises_comes_through():
    def test(found: rules.Found) -> bool:
        raise KeyError("oh")

    with pytest.raises(KeyError, match="oh"):
        run(ONE, sharp(predicate=rules.Predicate("bad", "1", test)))
    with pytest.raises(fusible.ArgumentError, match="expected True, False or a reason, got 3"):
        run(ONE, sharp(predicate=rules.Predicate("bad", "1", lambda found: 3)))  # type: ignore
