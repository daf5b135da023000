"""Checks of graphs for `fusible.bisect`: the verifier's, of bits, and any command's."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fusible import _core
from fusible.compile import Array
from fusible.formulas import evaluate

CANNOT_TELL = 125  # as for git bisect
# Sizes of symbols, in order: small, and all different.
_SMALLEST = 5


def verify(graph: _core.Graph) -> bool:
    """Whether the verifier takes the graph."""
    try:
        graph.verify()
    except _core.GraphError:
        return False
    return True


class Bits:
    """Whether a graph gives the bits that `graph` gives, one operator after the other.

    Inputs are drawn at random. An index is below what the operator that reads it allows, where the
    table is an input as well; what else an operator wants of integers is not known here.

    Args:
        graph: compiled as it is, and run once.
        seed: of the inputs.

    Raises:
        UnsupportedError: the graph holds an opaque node.
        ArgumentError: the graph does not run with inputs at random.
    """

    def __init__(self, graph: _core.Graph, seed: int = 0) -> None:
        self._inputs = random_inputs(graph, seed)
        try:
            self._expected = self._run(graph)
        except (_core.RangeError, _core.ShapeError) as error:
            raise _core.ArgumentError(
                f"bits: expected a graph that runs with inputs at random, got {error}; "
                "give a command that makes them"
            ) from error

    def __call__(self, graph: _core.Graph) -> bool:
        """Runs the graph with the same inputs; one that does not run is not well."""
        try:
            return self._run(graph) == self._expected
        except _core.Error:
            return False

    def _run(self, graph: _core.Graph) -> list[tuple[str, tuple[int, ...], bytes]]:
        constants = {value.name for value in graph.inputs if value.kind == "constant"}
        weights = {name: self._inputs[name] for name in constants}
        given = {
            name: array.copy() for name, array in self._inputs.items() if name not in constants
        }
        results = _core.Executable(graph, weights).call(given)
        return [(str(result.dtype), result.shape, result.tobytes()) for result in results]


def random_inputs(graph: _core.Graph, seed: int = 0) -> dict[str, Array]:
    """An array for each input of a graph: normally distributed numbers, and indices in range."""
    rng = np.random.default_rng(seed)
    symbols = sorted({name for value in graph.inputs for name in _symbols(value.shape)})
    sizes = {name: _SMALLEST + i for i, name in enumerate(symbols)}
    shapes = {
        value.name: tuple(evaluate(str(dim), sizes) for dim in value.shape)
        for value in graph.inputs
    }
    bounds = _index_bounds(graph, shapes)
    return {
        value.name: _draw(rng, value.dtype, shapes[value.name], bounds.get(value.name, 1))
        for value in graph.inputs
    }


def _symbols(shape: tuple[Any, ...]) -> list[str]:
    return [name for dim in shape for name in re.findall(r"[A-Za-z_]\w*", str(dim))]


def _draw(rng: np.random.Generator, dtype: str, shape: tuple[int, ...], bound: int) -> Array:
    numpy_dtype = _numpy_dtype(dtype)
    if np.issubdtype(numpy_dtype, np.integer):
        count = int(np.prod(shape))
        if count <= bound:  # all different: two rows in one slot of a cache would race
            return rng.permutation(bound)[:count].reshape(shape).astype(numpy_dtype)
        return rng.integers(0, bound, shape).astype(numpy_dtype)
    return rng.standard_normal(shape).astype(numpy_dtype)


def _numpy_dtype(name: str) -> np.dtype[Any]:
    import ml_dtypes

    numpy_name = _core.dtypes()[name]
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, numpy_name, None) or numpy_name)
    return dtype


def _index_bounds(graph: _core.Graph, shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """Input -> the least of what its readers allow, by the signatures of their operators."""
    bounds: dict[str, int] = {}
    for node in graph.nodes:
        if node.is_region or node.is_opaque:
            continue
        params = _core.find_op(node.name).describe()["params"]
        sizes: dict[str, int] = {}
        for param, operand in zip(params, node.inputs, strict=True):
            dims = param["dims"]
            shape = shapes.get(operand or "", ())
            sizes |= dict(zip(dims[::-1], shape[::-1], strict=False))
        for param, operand in zip(params, node.inputs, strict=True):
            if (
                param["bound"]
                and operand in shapes
                and set(_symbols((param["bound"],))) <= {*sizes}
            ):
                bound = evaluate(param["bound"], sizes)
                bounds[operand] = min(bound, bounds.get(operand, bound))
    return bounds


class Command:
    """Whether a command exits with status 0 when it is given a graph's file; 125: cannot be told.

    It runs without a shell, and what it prints goes to the error stream.

    Args:
        text: the command; ``{}`` in it stands for the file, else the file comes last.

    Raises:
        ArgumentError: no command, or quotes that do not close.
    """

    def __init__(self, text: str) -> None:
        try:
            self._words = shlex.split(text)
        except ValueError as error:
            raise _core.ArgumentError(f"check: {error}, got {text!r}") from None
        if not self._words:
            raise _core.ArgumentError(f"check: expected a command, got {text!r}")
        if not any("{}" in word for word in self._words):
            self._words.append("{}")

    def __call__(self, graph: _core.Graph) -> bool | None:
        """Runs the command on a file with the graph's text."""
        with tempfile.TemporaryDirectory(prefix="fusible-") as folder:
            path = Path(folder) / "graph.ir"
            path.write_text(str(graph), encoding="utf-8")
            words = [word.replace("{}", str(path)) for word in self._words]
            status = subprocess.run(words, stdout=2, check=False).returncode
        return None if status == CANNOT_TELL else status == 0
