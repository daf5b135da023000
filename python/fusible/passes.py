"""Optimizing graphs: pass managers, their results, and why something did not fuse."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fusible import _core
from fusible.targets import Target, load_target

Miss = _core.Miss


class Operators(NamedTuple):
    """How many operators run at top level: a region counts as one, a view does not count."""

    before: int
    after: int


class Result:
    """A graph after a pipeline, and what the pipeline did and nearly did."""

    def __init__(self, native: _core.OptimizeResult, target: Target) -> None:
        self._native = native
        self.target = target

    @property
    def graph(self) -> _core.Graph:
        """The optimized graph."""
        return self._native.graph

    @property
    def operators(self) -> Operators:
        """Operators at top level before and after."""
        return Operators(self._native.before, self._native.after)

    @property
    def fusions(self) -> dict[str, int]:
        """Name of each fused operator or region -> how often it was made."""
        return self._native.fusions

    @property
    def misses(self) -> list[Miss]:
        """What nearly fused: rule, node, reason code, and what would make it match."""
        return self._native.misses

    @property
    def stats(self) -> list[_core.PassStats]:
        """Rewrites, milliseconds and nodes of each pass."""
        return self._native.stats

    @property
    def key(self) -> _core.Key:
        """The cache key of graph, pipeline and target."""
        return self._native.key

    def expect(self, counts: Mapping[str, int | str], **sizes: int) -> Result:
        """Checks how often each fusion was made.

        Args:
            counts: fusion -> count, a number or a formula such as ``"2*L"``.
            sizes: values of the names in the formulas.

        Returns:
            This result, so that calls chain.

        Raises:
            Error: a count differs; the message lists the near misses of that fusion, and
                those of row programs.
            ArgumentError: a formula cannot be read.
        """
        wrong = []
        for name, formula in counts.items():
            want = formula if isinstance(formula, int) else evaluate(formula, sizes)
            got = self.fusions.get(name, 0)
            if got != want:
                wrong.append(self._unexpected(name, want, got))
        if wrong:
            raise _core.Error("\n".join(wrong))
        return self

    def _unexpected(self, name: str, want: int, got: int) -> str:
        reasons = [f"\n  {miss!r}" for miss in self.misses if miss.rule in (name, "rows")]
        return f"expect: {name}: expected {want}, got {got}" + "".join(reasons)


class PassManager:
    """A pipeline of passes for a target; a run is a pure function of graph and target.

    Args:
        pipeline: pass names joined by commas; ``None`` is the target's own.
        target: a target, the name of one, or the path of a TOML file.

    Raises:
        ArgumentError: an unknown pass or target.
    """

    def __init__(self, pipeline: str | None = None, target: str | Target = "cpu") -> None:
        self.target = target if isinstance(target, Target) else load_target(target)
        self._native = _core.PassManager(pipeline or "", self.target)

    @property
    def pipeline(self) -> str:
        """Names of the passes, in order."""
        return self._native.pipeline

    def run(self, graph: _core.Graph) -> Result:
        """The result of the pipeline on `graph`, verified after each pass."""
        return Result(self._native.run(graph), self.target)

    def key(self) -> _core.Key:
        """The key of build, target and passes, without a graph."""
        return self._native.key()

    def uuid(self) -> str:
        """``key()`` as an RFC 9562 UUID: same everywhere, different when a pass would differ."""
        return self._native.key().uuid


def optimize(
    graph: _core.Graph, target: str | Target = "cpu", pipeline: str | None = None
) -> Result:
    """Runs a pipeline on a graph for a target, which this machine need not be.

    Args:
        graph: left as it is.
        target: a target, the name of one, or the path of a TOML file.
        pipeline: pass names joined by commas; ``None`` is the target's own.
    """
    return PassManager(pipeline, target).run(graph)


_OPERATIONS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def evaluate(formula: str, sizes: Mapping[str, int]) -> int:
    """The value of a formula of whole numbers and names with ``+ - * //`` and brackets."""

    def value_of(node: Any) -> int:
        match node:
            case ast.Expression(body=body):
                return value_of(body)
            case ast.Constant(value=int() as number) if not isinstance(number, bool):
                return number
            case ast.Name(id=name) if name in sizes:
                return sizes[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _OPERATIONS[type(op)](value_of(left), value_of(right))
        names = ", ".join(sizes) or "none"
        raise _core.ArgumentError(
            f"expect: expected numbers, + - * // and the names given ({names}), got {formula!r}"
        )

    try:
        return value_of(ast.parse(formula, mode="eval"))
    except (SyntaxError, ZeroDivisionError) as error:
        raise _core.ArgumentError(f"expect: {formula!r}: {error}") from error
