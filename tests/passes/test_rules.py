"""What a fused operator must be to become a rule: nothing that it matches may get lost."""

import pytest

import fusible
from fusible import _core

NORM = "x: F[..., C], weight: F[C]"
BODY = "y = rms_norm(x, weight, eps=eps)\nz = softmax(y)\nreturn z\n"


def check(attrs="*, eps: float = 1e-6", results="z: F[..., C]", body=BODY, params=NORM):
    _core.check_rule(f"fused({params}, {attrs}) -> {results}", body)


def test_every_registered_one_is_a_rule():
    described = [_core.find_op(name).describe() for name in _core.op_names()]
    fused = [op for op in described if op["equals"]]
    assert fused
    for op in fused:
        _core.check_rule(op["signature"], op["equals"])


def test_a_body_that_uses_all_is_a_rule():
    check()


def test_parts_that_are_fused_themselves_are_taken_apart():
    check(
        params="x: F[..., C], residual: F[..., C], weight: F[C]",
        body="y, sum = fused_add_rms_norm(x, residual, weight, eps=eps)\n"
        "z = softmax(y)\nreturn z\n",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attrs": "*, eps: float = 1e-6, gain: float = 1.0"}, "expected attribute gain in the"),
        ({"attrs": "*, epsilon: float = 1e-6"}, "expected one of its attributes, got eps"),
        ({"params": NORM + ", scale: f32[1]"}, "expected operand scale in the pattern"),
        ({"body": BODY.replace("softmax", "soft_max")}, "expected an operator, got soft_max"),
        ({"body": BODY.replace("eps=eps", "epsilon=eps")}, "expected one of its attributes, got"),
        ({"body": BODY.replace("softmax(y)", "softmax(u)")}, "expected a value, got u"),
        ({"body": BODY.replace("return z", "return x")}, "expected the result of a call"),
        ({"body": BODY.replace("return z", "return y, z")}, "expected 1 results, got 2"),
        ({"body": BODY.replace("z = soft", "u = softmax(y)\nz = soft")}, "to lead to the last one"),
        ({"body": BODY.replace("z = soft", "z, u = soft")}, "expected 1 results, got 2"),
        ({"body": "return x\n"}, "expected calls in the pattern|expected the result of a call"),
    ],
)
def test_what_would_be_lost_is_refused(change, message):
    with pytest.raises(fusible.GraphError, match=message):
        check(**change)
