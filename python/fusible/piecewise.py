"""The pieces of a graph, ready to run one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusible import _core
from fusible.compile import Array, Executable
from fusible.formulas import evaluate
from fusible.passes import Result
from fusible.pieces import Piece, Pieces

# What runs an opaque node: called with its operands in order, gives its result, or a tuple of them.
Call = Callable[..., Any]
_Run = Callable[[Sequence[Array]], Sequence[Array]]


@dataclass(frozen=True)
class _Step:
    """One piece of a run: what runs it, and what flows, by the names in the whole graph."""

    run: _Run
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dying: tuple[str, ...]  # what nothing reads behind it


class PiecewiseExecutable:
    """The pieces of a graph with planned memory: call it with arrays by name, like an `Executable`.

    Calls from several threads are safe, as far as the functions for opaque nodes are. Made by
    `Pieces.compile`.
    """

    def __init__(
        self,
        pieces: Pieces,
        results: Sequence[Result],
        weights: Mapping[str, Any],
        calls: Mapping[str, Call],
    ) -> None:
        inputs = pieces.graph.inputs
        constants = [value.name for value in inputs if value.kind == "constant"]
        _check_names("weights", weights, constants)
        _check_names("calls", calls, {piece.at for piece in pieces if _is_opaque(piece)})
        self._weights = dict(weights)
        self._inputs = [value.name for value in inputs if value.kind != "constant"]
        self._outputs = [value.name for value in pieces.graph.outputs]
        self._steps = [*_steps(pieces, results, weights, calls)]

    def __call__(self, /, **inputs: Any) -> Any:
        """Runs the pieces.

        Args:
            inputs: as for an `Executable` of the whole graph.

        Returns:
            What an `Executable` of the whole graph returns, with the same bits. The new value of
            an updated input is the very array given only where one piece makes it out of that.

        Raises:
            ArgumentError: an input is missing or unknown, or the function for an opaque node gave
                another number of results.
            ShapeError, DTypeError: an input does not fit its spec, or what such a function gave.
            RangeError: as an `Executable`.
        """
        _check_names("inputs", inputs, self._inputs)
        values: dict[str, Any] = {**self._weights, **inputs}
        given = {*values}
        for step in self._steps:
            made = step.run([values[name] for name in step.inputs])
            values.update(zip(step.outputs, made, strict=True))
            for name in step.dying:
                del values[name]
        results = [
            np.array(values[name]) if name in given else values[name] for name in self._outputs
        ]
        return results[0] if len(results) == 1 else tuple(results)


def _steps(
    pieces: Pieces,
    results: Sequence[Result],
    weights: Mapping[str, Any],
    calls: Mapping[str, Call],
) -> Iterator[_Step]:
    kept = {*weights, *(value.name for value in pieces.graph.outputs)}
    last = {
        value.name: piece.number
        for piece in pieces
        for value in (*piece.graph.inputs, *piece.graph.outputs)
    }
    for piece, result in zip(pieces, results, strict=True):
        if _is_opaque(piece):
            run, inputs = _run_opaque(piece, calls[piece.at])
        elif piece.graph.outputs:
            run, inputs = _run_compiled(piece, result, weights)
        else:  # nobody reads any of it
            continue
        outputs = tuple(value.name for value in piece.graph.outputs)
        dying = {name for name, number in last.items() if number == piece.number} - kept
        yield _Step(run, tuple(inputs), outputs, tuple(dying))


def _run_compiled(
    piece: Piece, result: Result, weights: Mapping[str, Any]
) -> tuple[_Run, list[str]]:
    """The result may be that of an equal piece, whose inputs have other names."""
    inputs = piece.graph.inputs
    theirs = {
        ours.name: other.name for ours, other in zip(inputs, result.graph.inputs, strict=True)
    }
    flowing = [value.name for value in inputs if value.kind != "constant"]
    constants = {value.name for value in inputs if value.kind == "constant"}
    executable = Executable(result, {theirs[name]: weights[name] for name in constants})
    names = [theirs[name] for name in flowing]

    def run(arrays: Sequence[Array]) -> Sequence[Array]:
        return _as_tuple(executable(**dict(zip(names, arrays, strict=True))))

    return run, flowing


def _run_opaque(piece: Piece, call: Call) -> tuple[_Run, list[str]]:
    [node] = piece.graph.nodes
    operands = [str(name) for name in node.inputs]
    shapes = {value.name: value.shape for value in piece.graph.inputs}
    outputs = [(node.outputs.index(value.name), value) for value in piece.graph.outputs]

    def run(arrays: Sequence[Array]) -> Sequence[Array]:
        made = call(*arrays)
        results = () if made is None else _as_tuple(made)
        if len(results) != len(node.outputs):
            expected = f"{len(node.outputs)} results"
            raise _core.ArgumentError(f"{piece.at}: expected {expected}, got {len(results)}")
        sizes = {
            str(dim): size
            for name, array in zip(operands, arrays, strict=True)
            for dim, size in zip(shapes[name], array.shape, strict=False)
        }
        for number, value in outputs:
            _check_result(f"{piece.at}: {value.name}", value, results[number], sizes)
        return [results[number] for number, _ in outputs]

    return run, operands


def _check_result(
    where: str, value: _core.ValueInfo, result: Any, sizes: Mapping[str, int]
) -> None:
    """Sizes that the operands do not tell are left to those who read the result."""
    if not isinstance(result, np.ndarray):
        raise _core.ArgumentError(f"{where}: expected an array, got {type(result).__name__}")
    if result.dtype.name != _core.dtypes()[value.dtype]:
        raise _core.DTypeError(f"{where}: expected {value.dtype}, got {result.dtype}")
    expected = [_size_of(dim, sizes) for dim in value.shape]
    if len(expected) != result.ndim or any(
        size not in (None, got) for size, got in zip(expected, result.shape, strict=True)
    ):
        shape = ", ".join(map(str, value.shape))
        raise _core.ShapeError(f"{where}: expected [{shape}], got {[*result.shape]}")


def _size_of(dim: int | str, sizes: Mapping[str, int]) -> int | None:
    """Of a number, a symbol or a formula of one; None where the symbol has no size."""
    known = set(re.findall(r"[A-Za-z_]\w*", str(dim))) <= {*sizes}
    return evaluate(str(dim), sizes) if known else None


def _is_opaque(piece: Piece) -> bool:
    return bool(piece.at) and piece.graph.nodes[0].is_opaque


def _as_tuple(made: Any) -> tuple[Any, ...]:
    return made if isinstance(made, tuple) else (made,)


def _check_names(what: str, given: Mapping[str, Any], expected: Collection[str]) -> None:
    for name in expected:
        if name not in given:
            raise _core.ArgumentError(f"{what}: expected {name}, got none")
    for name in given:
        if name not in expected:
            known = ", ".join(sorted(expected)) or "none"
            raise _core.ArgumentError(f"{what}: expected only {known}, got {name}")
