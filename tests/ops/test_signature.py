"""The language of signatures: what it takes, and where it says an error is."""

import pytest

import fusible
from fusible import _core

LEGAL = [
    "f(x: F[..., C]) -> y: F[..., C]",
    "f(x: F[..., C], w: F[C]?, *, eps: float = 1e-6) -> y@x: F[..., C]",
    "f(x: F1[..., 2*D], t: F2[P, R]) -> y: F1[..., D]",
    "f(ids: I[...] in V, table: F[V, C]) -> y: F[..., C]",
    "f(s: i64[...] in B*P?, c: F[B, P]) -> c@c: F[B, P]",
    "f(x: F[..., K], s: f32[ceil(K/128)]) -> y: F[..., K]",
    "f(s: i32[S], q: i32[S+1]) -> y: i32[S]",
    'f(x: A, *, shape: ints, on: bool = true, mode: "a" | "b" = "a" variant) -> y: A',
    "f(x: F[C], *, dtype: f32 | bf16 = bf16, g: 32 | 64 = 64)"
    " -> y: dtype[C], s: f32[C/g] layout(col)",
    "f() -> y: f32[1]",
    "f(x: F[D], *, e: float >= 0 = 0.5, n: int >= -3?) -> y: F[D]",
    "f(x: F[D], *, m: float in q?, q: e4m3fn | e4m3fnuz = e4m3fn) -> y: q[D]",
    "f(x: F[H, D], t: F[2*R], k: F[N]) -> y: F[D] where 2*R <= D, H/N",
]

ILLEGAL = [
    ("", 1, "expected an operator name, got the end"),
    ("f(x F[C]) -> y: F[C]", 5, "expected ':'"),
    ("f(x: F[C]) -> y: G[C]", 22, "expected a dtype, a class of dtypes or a dtype attribute"),
    ("f(x: F1[C]) -> y: F2[C]", 24, "expected a class of dtypes that an operand has, got F2"),
    ("f(x: F[C]) -> y@z: F[C]", 24, "expected an operand behind @, got z"),
    ("f(x: F[C], x: F[C]) -> y: F[C]", 31, "expected a name used once, got x"),
    ("f(x: F[ceil(C)]) -> y: F[C]", 15, "expected a division inside ceil"),
    ("f(x: F[C]) -> y: F[C] and more", 23, "expected the end, got 'and more'"),
    ('f(x: F[C], *, m: "a) -> y: F[C]', 18, "expected a closing quote"),
    ("f(x: F[C], *, n: int = 1.5) -> y: F[C]", 27, "expected a default of the attribute's kind"),
    ("f(x: F[C]) -> y: F[C] layout(sideways)", 39, "expected col or an attribute as layout"),
    ("f(x: F[C], *, on: bool >= 0) -> y: F[C]", 27, "expected a bound of a number, got '0)"),
    ("f(x: F[C], *, n: int >= C) -> y: F[C]", 25, "expected a number, got 'C)"),
    ("f(x: F[C]) -> y: F[C] where", 28, "expected a dimension, got the end"),
    ("f(x: F[C], *, m: float in C) -> y: F[C]", 40, "8-bit formats, got C"),
    ("f(x: F[99999999999999999999]) -> y: F[C]", 8, "expected an integer that fits 64 bits"),
]


@pytest.mark.parametrize("text", LEGAL)
def test_accepts(text):
    _core.check_signature(text)


@pytest.mark.parametrize(("text", "column", "message"), ILLEGAL)
def test_says_where_and_what(text, column, message):
    with pytest.raises(fusible.GraphError) as raised:
        _core.check_signature(text)
    assert raised.value.column == column
    assert message in str(raised.value)


def test_refuses_an_endless_text():
    with pytest.raises(fusible.GraphError, match="at most 16384 bytes"):
        _core.check_signature("f(" + "x" * 20000)


def test_refuses_deep_nesting():
    with pytest.raises(fusible.GraphError, match="a shallower expression"):
        _core.check_signature("f(x: F[" + "ceil(" * 50 + "C/2" + ")" * 50 + "]) -> y: F[C]")


@pytest.mark.parametrize("name", _core.op_names())
def test_every_operator_has_the_signature_it_prints(name):
    described = _core.find_op(name).describe()
    _core.check_signature(described["signature"])
    assert described["signature"].startswith(name + "(")
