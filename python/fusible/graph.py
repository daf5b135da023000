"""Graphs of operator calls: specs of inputs, traced values, and trace() itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from fusible import _core

Graph = _core.Graph

_KINDS = {(False, False): "plain", (True, False): "constant", (False, True): "updated"}


@dataclass(frozen=True)
class Spec:
    """An input of a graph: its type as text, and what becomes of it."""

    type: str
    constant: bool = False
    updated: bool = False
    new_value: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("constant", self.constant), ("updated", self.updated)):
            if not isinstance(value, bool):
                raise _core.ArgumentError(f"spec: {name}: expected True or False, got {value!r}")
        if self.constant and self.updated:
            raise _core.ArgumentError("spec: expected constant or updated, got both")
        if self.new_value is not None:
            self._check_new_value(self.new_value)
        _check_type("spec", self.type)

    def _check_new_value(self, number: Any) -> None:
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise _core.ArgumentError(
                f"spec: new_value: expected the number of a result, from 0 on, got {number!r}"
            )
        if not self.updated:
            raise _core.ArgumentError("spec: new_value: expected updated=True with it")

    @property
    def kind(self) -> str:
        """``plain``, ``constant`` or ``updated``."""
        return _KINDS[self.constant, self.updated]


def spec(
    type: str, *, constant: bool = False, updated: bool = False, new_value: int | None = None
) -> Spec:
    """Describes an input of a graph.

    Args:
        type: dtype and shape, such as ``bf16[T, 4096]``; a letter is a size that is bound at call.
        constant: a weight, bound when the graph is compiled.
        updated: a cache that the caller lets the graph write into; its new value is a result.
        new_value: the number of that result, from 0 on. Needed only where more than one result
            could take the cache's memory.

    Raises:
        GraphError: the text is not a type.
        ArgumentError: both constant and updated, or an argument that is neither.
    """
    return Spec(type, constant, updated, new_value)


def _check_type(what: str, text: Any) -> None:
    """GraphError, with the column in the text, where it is not a type."""
    if not isinstance(text, str):
        raise _core.ArgumentError(f"{what}: expected a type such as bf16[T, 4096], got {text!r}")
    try:
        _core.GraphBuilder().add_input("x", text, "plain")
    except _core.GraphError as error:
        raise _type_error(what, text, error) from None


def _type_error(what: str, text: str, error: _core.GraphError) -> _core.GraphError:
    # The extension reads `input x: TYPE` as a graph of its own; of what it says only that is of
    # use which is about the type.
    place, _, reason = str(error).partition(": ")
    column = error.column - len("input x: ")
    inside = error.line == 1 and place.startswith("line 1") and 1 <= column <= len(text)
    why = f" (column {column}: {reason})" if inside else ""
    made = _core.GraphError(f"{what}: expected a type such as bf16[T, 4096], got {text!r}{why}")
    made.line, made.column = 1, column if inside else len(text) + 1
    return made


class _Recorder(_core.GraphBuilder):
    """The builder of one trace, and whether the trace has ended."""

    ended = False


class Value:
    """A value of a graph that is being traced; operators record nodes when called with it."""

    __slots__ = ("_builder", "_id")

    def __init__(self, builder: _Recorder, id: int) -> None:
        self._builder = builder
        self._id = id

    @property
    def dtype(self) -> str:
        """Its dtype as in graph text, such as ``bf16``."""
        return self._builder.type_of(self._id)[0]

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Sizes, or symbols such as ``"T"``."""
        return self._builder.type_of(self._id)[1]

    def __fusible_op__(
        self, op: str, operands: Sequence[Any], attrs: Mapping[str, Any], out: Any
    ) -> Any:
        """Records a call of an operator: what the extension calls instead of computing."""
        if out is not None:
            raise _core.ArgumentError(f"{op}: out: expected none while tracing, got {out!r}")
        ids = [
            None if operand is None else _id_of(op, operand, self._builder) for operand in operands
        ]
        made = [Value(self._builder, id) for id in self._builder.add_call(op, ids, dict(attrs))]
        return made[0] if len(made) == 1 else tuple(made)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} is neither true nor false: while a graph is traced no element is known; "
            "branch on what does not depend on values, such as shape or dtype"
        )

    def __repr__(self) -> str:
        shape = ", ".join(str(size) for size in self.shape)
        return f"<fusible value {self.dtype}[{shape}]>"


def _id_of(what: str, operand: Any, builder: _Recorder) -> int:
    if not isinstance(operand, Value):
        raise _core.DTypeError(
            f"{what}: expected a value of the graph being traced, got {type(operand).__name__}; "
            "give arrays to trace() as inputs (spec(..., constant=True) for weights)"
        )
    if operand._builder.ended:
        raise _core.ArgumentError(
            f"{what}: expected values of this trace, got one whose trace ended"
        )
    if operand._builder is not builder:
        raise _core.ArgumentError(f"{what}: expected values of one trace, got one of another")
    return operand._id


def opaque(
    name: str, *operands: Value, types: Sequence[str], mutates: bool = False
) -> tuple[Value, ...]:
    """Records a node that is not an operator of fusible: typed, never moved across a mutation.

    Args:
        name: what it is called in messages and text.
        operands: values that it reads.
        types: the type of each result, such as ``["bf16[T, 64]"]``.
        mutates: it has effects beyond its results, so that no pass moves a call from one side of it
            to the other. Values never change: what it writes for others to read is a result.
    """
    what = f"opaque {name}"
    if not operands:
        raise _core.ArgumentError(f"{what}: expected at least one operand, got none")
    if isinstance(types, str):
        raise _core.ArgumentError(f"{what}: types: expected a list of types, got {types!r}")
    for type in types:
        _check_type(f"{what}: types", type)
    first = operands[0]  # what is no value is refused below, whatever the builder
    builder = first._builder if isinstance(first, Value) else _Recorder()
    ids = [_id_of(what, operand, builder) for operand in operands]
    made = builder.add_opaque(name, ids, list(types), mutates)
    return tuple(Value(builder, id) for id in made)


def trace(fn: Callable[..., Any], /, **specs: Spec) -> Graph:
    """Records what `fn` computes from inputs of these specs.

    The same function that computes with arrays records nodes when it is given graph values.

    Args:
        fn: called with one value for each spec, by name; returns a value or a sequence of them.
        specs: the inputs, in the order of the graph's inputs.

    Raises:
        ArgumentError: a spec is none, or fn uses a value of another trace, or of one that ended.
        DTypeError: fn mixes in an array, or returns something else than values.
        GraphError: the recorded graph breaks a rule.
    """
    builder = _Recorder()
    for name, spec in specs.items():
        if not isinstance(spec, Spec):
            raise _core.ArgumentError(f"trace: {name}: expected fusible.spec(...), got {spec!r}")
    values = {
        name: Value(builder, builder.add_input(name, spec.type, spec.kind))
        for name, spec in specs.items()
    }
    try:
        returned = fn(**values)
        results = returned if isinstance(returned, tuple | list) else (returned,)
        new_values = {
            number: spec.new_value
            for number, spec in enumerate(specs.values())
            if spec.new_value is not None
        }
        ids = [_id_of("trace: result", result, builder) for result in results]
        return builder.finish(ids, new_values)
    finally:
        builder.ended = True
