"""What trace, spec and opaque refuse, and what they say."""

from __future__ import annotations

from typing import Any

import pytest

import fusible
from fusible import ops

S = fusible.spec("f32[T, 8]")


@pytest.mark.parametrize(
    "returned", [lambda x: None, lambda x: (ops.softmax(x), None), lambda x: [None, x]]
)
def test_a_result_that_is_no_value_is_refused(returned: Any) -> None:
    with pytest.raises(fusible.DTypeError, match=r"trace: result: expected a value .* NoneType"):
        fusible.trace(returned, x=S)


@pytest.mark.parametrize("operands", [lambda x: (x, None), lambda x: (None, x), lambda x: (3,)])
def test_an_operand_of_an_opaque_node_is_a_value(operands: Any) -> None:
    with pytest.raises(fusible.DTypeError, match="opaque foo: expected a value"):
        fusible.trace(lambda x: fusible.opaque("foo", *operands(x), types=["f32[8]"]), x=S)


@pytest.mark.parametrize("types", ["f32[8]", ["f32[8"], [3]])
def test_types_of_an_opaque_node_are_a_list_of_types(types: Any) -> None:
    with pytest.raises(ValueError, match="opaque foo: types: expected a") as caught:
        fusible.trace(lambda x: fusible.opaque("foo", x, types=types), x=S)
    assert "return" not in str(caught.value)


def test_a_value_is_neither_true_nor_false() -> None:
    with pytest.raises(TypeError, match=r"f32\[T, 8\]> is neither true nor false: while a graph"):
        fusible.trace(lambda x: ops.softmax(x) if x else x, x=S)


def test_a_value_ends_with_its_trace() -> None:
    kept: list[Any] = []

    def keep(x: Any) -> Any:
        kept.append(x)
        return ops.softmax(x)

    fusible.trace(keep, x=S)
    (value,) = kept
    for use in (
        lambda x: ops.softmax(value),
        lambda x: ops.add(x, value),
        lambda x: fusible.opaque("foo", value, types=["f32[8]"]),
        lambda x: value,
    ):
        with pytest.raises(fusible.ArgumentError, match="got one whose trace ended"):
            fusible.trace(use, x=S)
    assert (value.dtype, value.shape) == ("f32", ("T", 8))


def test_a_value_ends_with_a_trace_that_failed() -> None:
    kept: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        fusible.trace(lambda x: [kept.append(x), 1 / 0], x=S)
    with pytest.raises(fusible.ArgumentError, match=r"softmax: .* got one whose trace ended"):
        ops.softmax(kept[0])


def test_inputs_may_have_the_names_of_parameters() -> None:
    graph = fusible.trace(lambda fn, **more: ops.add(fn, more["self"]), fn=S, self=S)
    assert [value.name for value in graph.inputs] == ["fn", "self"]


@pytest.mark.parametrize("given", ["f32[8]", None, ("f32[8]", True)])
def test_an_input_is_given_as_a_spec(given: Any) -> None:
    with pytest.raises(fusible.ArgumentError, match=r"trace: x: expected fusible\.spec\(\.\.\.\)"):
        fusible.trace(lambda x: x, x=given)


@pytest.mark.parametrize(
    ("text", "column"),
    [("f32[T", 6), ("f33[T]", 1), ("f32[8]\nreturn x", 16), ("", 1), ("f32[8] extra", 8)],
)
def test_a_type_that_cannot_be_read_is_shown_alone(text: str, column: int) -> None:
    with pytest.raises(fusible.GraphError) as caught:
        fusible.spec(text)
    message = str(caught.value)
    assert message.startswith(f"spec: expected a type such as bf16[T, 4096], got {text!r}")
    assert "`return`" not in message
    assert (caught.value.line, caught.value.column) == (1, column)


def test_a_type_that_cannot_be_read_has_a_reason() -> None:
    with pytest.raises(fusible.GraphError, match=r"column 1: expected a dtype .* got `f33`"):
        fusible.spec("f33[T]")


@pytest.mark.parametrize(
    "options",
    [
        {"constant": "yes"},
        {"updated": 1},
        {"constant": True, "updated": True},
        {"new_value": 0},
        {"updated": True, "new_value": -1},
        {"updated": True, "new_value": True},
    ],
)
def test_a_spec_is_constant_or_updated_or_neither(options: dict[str, Any]) -> None:
    for make in (fusible.spec, fusible.Spec):
        with pytest.raises(fusible.ArgumentError, match=r"spec: .*expected"):
            make("f32[8]", **options)


def test_a_type_is_text() -> None:
    with pytest.raises(fusible.ArgumentError, match=r"spec: expected a type such as .*, got 3"):
        fusible.spec(3)  # type: ignore[arg-type]
