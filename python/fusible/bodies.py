"""The bodies of rules: text as in an operator's Equals, written by hand or recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from fusible import _core

Body = str | Callable[..., Any]
Choice = TypeVar("Choice")

MOST_PATTERNS = 16  # of one rule: csrc/ir/given_rule.h


class Names(NamedTuple):
    """The names in a rule's signature."""

    rule: str
    operands: list[str]
    attrs: list[str]

    @staticmethod
    def of(signature: str) -> Names:
        """The names in a signature.

        Raises:
            GraphError: it is none; the message names the column.
            ArgumentError: it is no text.
        """
        if not isinstance(signature, str):
            raise _core.ArgumentError(f"rule: signature: expected a text, got {signature!r}")
        return Names(*_core.signature_names(signature))


def texts(names: Names, body: Body, what: str) -> Iterator[str]:
    """A body's text; of a function a text for each combination of its choices.

    Raises:
        ArgumentError: it is neither, or records what cannot stand in a body.
        GraphError: more combinations than `MOST_PATTERNS`.
    """
    if isinstance(body, str):
        yield body
    elif callable(body):
        yield from _recorded(names, body, what)
    else:
        raise _core.ArgumentError(
            f"{names.rule}: {what}: expected a text or a function, got {body!r}"
        )


def single_text(names: Names, body: Body) -> str:
    """The text of a replacement, which has no choices.

    Raises:
        ArgumentError, GraphError: as `texts`.
    """
    text, *more = texts(names, body, "replace")
    if more:
        raise _core.GraphError(f"{names.rule}: replace: expected no choices, got some")
    return text


def _recorded(names: Names, function: Callable[..., Any], what: str) -> Iterator[str]:
    plan: list[int] = []
    for _ in range(MOST_PATTERNS):
        recorder = Recorder(f"{names.rule}: {what}", plan)
        yield recorder.run(function, names)
        following = recorder.next_plan()
        if following is None:
            return
        plan = following
    raise _core.GraphError(
        f"{names.rule}: {what}: expected at most {MOST_PATTERNS} patterns, got more"
    )


@dataclass(frozen=True)
class _Named:
    """A value or an attribute of a body that is being recorded."""

    recorder: Recorder
    name: str


class Recorder:
    """Stands for ``fusible.ops`` in the function of a rule: calls of it become lines of a body."""

    def __init__(self, where: str, plan: Sequence[int]) -> None:
        self._where = where
        self._plan = plan  # which of its ways each choice goes, as far as that is settled
        self._taken: list[tuple[int, int]] = []  # the way that each went, and how many there are
        self._lines: list[str] = []
        self._made = 0

    def any_of(self, *ways: Choice) -> Choice:
        """One of several things: the function is recorded once with each of them.

        A rule with choices finds what any of their combinations is; at most 16.
        """
        if not ways:
            raise _core.ArgumentError(f"{self._where}: any_of: expected ways to choose from")
        number = len(self._taken)
        way = self._plan[number] if number < len(self._plan) else 0
        self._taken.append((way, len(ways)))
        return ways[way]

    def maybe(self) -> bool:
        """True and False, one after the other: for a call that may be there or not."""
        return self.any_of(True, False)

    def opaque(self, name: str, *operands: Any, results: int = 1, **attrs: Any) -> Any:
        """A call of a kernel that is not fusible's; in replacements alone.

        Args:
            name: what the kernel is called.
            operands: what it reads.
            results: how many results it has; each must be a result of the rule.
            attrs: what it is told beside.
        """
        given = [f"name={json.dumps(name)}"]
        given += [f"{key}={self._attribute(key, value, '')}" for key, value in attrs.items()]
        return self._call("opaque", operands, given, results)

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if op.startswith("_"):
            raise AttributeError(op)
        described = _core.find_op(op).describe()
        kinds = {attr["name"]: attr["kind"] for attr in described["attrs"]}

        def call(*operands: Any, **attrs: Any) -> Any:
            given = [
                f"{key}={self._attribute(key, value, kinds.get(key, ''))}"
                for key, value in attrs.items()
                if value is not None
            ]
            return self._call(op, operands, given, len(described["results"]))

        return call

    def run(self, function: Callable[..., Any], names: Names) -> str:
        """The body that the function records."""
        returned = function(
            self, **{name: _Named(self, name) for name in [*names.operands, *names.attrs]}
        )
        results = returned if isinstance(returned, tuple | list) else [returned]
        self._lines.append(f"return {', '.join(self._value(result) for result in results)}")
        return "\n".join(self._lines) + "\n"

    def next_plan(self) -> list[int] | None:
        """The choices of the next recording; None behind the last."""
        taken = [*self._taken]
        while taken and taken[-1][0] == taken[-1][1] - 1:
            taken.pop()
        if not taken:
            return None
        return [way for way, _ in taken[:-1]] + [taken[-1][0] + 1]

    def _call(self, op: str, operands: Sequence[Any], attrs: list[str], results: int) -> Any:
        values = [self._value(operand) for operand in operands]
        made = [_Named(self, f"_{self._made + number}") for number in range(results)]
        self._made += results
        targets = ", ".join(value.name for value in made)
        self._lines.append(f"{targets} = {op}({', '.join([*values, *attrs])})")
        return made[0] if results == 1 else tuple(made)

    def _value(self, operand: Any) -> str:
        if operand is None:
            return "none"
        if isinstance(operand, _Named) and operand.recorder is self:
            return operand.name
        raise _core.ArgumentError(
            f"{self._where}: expected operands of the rule and results of its calls, "
            f"got {operand!r}"
        )

    def _attribute(self, name: str, value: Any, kind: str) -> str:
        if isinstance(value, _Named) and value.recorder is self:
            return value.name
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return value if kind == "dtype" else json.dumps(value)
        if isinstance(value, int | float):
            return repr(value)
        if isinstance(value, list | tuple) and all(type(item) is int for item in value):
            return json.dumps(list(value))
        raise _core.ArgumentError(
            f"{self._where}: {name}: expected an attribute of the rule, or a value, got {value!r}"
        )
