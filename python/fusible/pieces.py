"""Graphs cut at named operators: pieces that are fused, compiled and run one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from fusible import _core
from fusible.passes import Result, optimize
from fusible.targets import Target

if TYPE_CHECKING:
    from fusible.cache import CompileCache
    from fusible.piecewise import Call, PiecewiseExecutable


@dataclass(frozen=True)
class Piece:
    """A part of a graph, which is a graph of its own.

    Attributes:
        number: its place among the pieces.
        at: the name of the call that it is; empty for what stands between two cuts.
        graph: its inputs are what it reads from before it, its outputs what is read behind it;
            values have the names that they have in the whole graph.
        key: of its graph, so that equal pieces have equal keys.
        same_as: the number of the first piece that is equal; its own number where it is the first.
    """

    number: int
    at: str
    graph: _core.Graph
    key: _core.Key
    same_as: int


class Pieces(Sequence[Piece]):
    """The pieces of a graph in the order in which they run, which is that of its nodes."""

    def __init__(self, graph: _core.Graph, at: Sequence[str]) -> None:
        self.graph = graph
        self._parts = _core.split_at(graph, list(at))
        first: dict[str, int] = {}
        self._pieces = []
        for number, (name, part) in enumerate(self._parts):
            key = part.key()
            same_as = first.setdefault(str(key), number)
            self._pieces.append(Piece(number, name, part, key, same_as))

    def __len__(self) -> int:
        return len(self._pieces)

    @overload
    def __getitem__(self, number: int) -> Piece: ...
    @overload
    def __getitem__(self, number: slice) -> list[Piece]: ...
    def __getitem__(self, number: int | slice) -> Piece | list[Piece]:
        return self._pieces[number]

    @property
    def distinct(self) -> list[Piece]:
        """The first of each kind of equal pieces: what is left to optimize."""
        return [piece for piece in self if piece.same_as == piece.number]

    def join(self, graphs: Sequence[_core.Graph] | None = None) -> _core.Graph:
        """The whole graph again.

        Args:
            graphs: one in place of each piece, such as what a pipeline made of it; with the same
                types of inputs and outputs, whatever their names. ``None`` for the pieces' own.

        Raises:
            GraphError: another number of graphs, or one that does not fit its piece.
        """
        own = [piece.graph for piece in self]
        return _core.join(self.graph, self._parts, own if graphs is None else list(graphs))

    def optimize(
        self,
        target: str | Target = "cpu",
        pipeline: str | Path | None = None,
        *,
        range: tuple[int, int] | None = None,
        cache: str | Path | CompileCache | None = None,
    ) -> list[Result]:
        """Runs a pipeline on each piece; equal pieces share one result, in the names of the first.

        Args:
            target: a target, the name of one, or the path of a TOML file.
            pipeline: as for ``PassManager``; ``None`` is the target's own.
            range: the sizes that the results are for, as for ``PassManager.run``.
            cache: a directory, or a ``CompileCache``, where results are looked for and kept.

        Raises:
            ArgumentError: as ``fusible.optimize``.
        """
        made = {
            piece.number: optimize(piece.graph, target, pipeline, range=range, cache=cache)
            for piece in self.distinct
        }
        return [made[piece.same_as] for piece in self]

    def compile(
        self,
        target: str | Target = "cpu",
        weights: Mapping[str, Any] | None = None,
        *,
        calls: Mapping[str, Call] | None = None,
        cache: str | Path | CompileCache | None = None,
    ) -> PiecewiseExecutable:
        """Makes the pieces ready to run on this machine, as ``fusible.compile`` does a graph.

        Args:
            target: a target whose graphs this CPU runs.
            weights: an array for each ``constant`` input of the whole graph, by name.
            calls: a function for each name of an opaque node; all of these must be cut at. It is
                called with the node's operands, which it must not write, and gives its result, or
                a tuple of them.
            cache: as for ``fusible.compile``.

        Raises:
            ArgumentError: a weight or a call is missing or unknown, or the cache's directory
                cannot be used.
            UnsupportedError: an opaque node is not cut at.
        """
        from fusible.piecewise import PiecewiseExecutable

        results = self.optimize(target, cache=cache)
        return PiecewiseExecutable(self, results, weights or {}, calls or {})


def split_at(graph: _core.Graph, at: Sequence[str]) -> Pieces:
    """Cuts a graph before and behind each call of some operators.

    Nodes keep their order, so mutations do too. Between two cuts stands one piece, or none.

    Args:
        graph: left as it is.
        at: names of operators, and of opaque nodes or regions of the graph.

    Raises:
        ArgumentError: no name, or one that is neither an operator's nor in the graph.
    """
    if isinstance(at, str):
        raise _core.ArgumentError(f"at: expected a list of names, got {at!r}")
    return Pieces(graph, at)
