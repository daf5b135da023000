"""The graphs before and after each pass, and the patterns of fused operators, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

from fusible import _core
from fusible.files import write_whole
from fusible.passes import Miss, Watch
from fusible.patterns import draw

if TYPE_CHECKING:
    from fusible.rules import Rule


class Dump:
    """Writes ``00-input.ir``, ``01-canonicalize.ir``, … and ``patterns.txt`` into a folder.

    The folder is made if it is not there. A run calls it behind each pass that takes part; where
    a pass fails, the graphs before it are there.

    Args:
        graph: what the run begins with.
        folder: for the files.
        watch: called as well, behind the file.
        rules: that were given, beside those of operators.

    Raises:
        OSError: the folder or a file cannot be written.
    """

    def __init__(
        self,
        graph: _core.Graph,
        folder: str | Path,
        watch: Watch | None = None,
        rules: Sequence[Rule] = (),
    ) -> None:
        self._folder, self._watch, self._number = Path(folder), watch, 0
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / "patterns.txt", patterns(rules))
        write_whole(self._folder / "00-input.ir", str(graph))

    def __call__(self, stats: _core.PassStats, graph: _core.Graph, misses: list[Miss]) -> None:
        """Writes the graph that a pass left."""
        self._number += 1
        write_whole(self._folder / f"{self._number:02}-{stats.name}.ir", str(graph))
        if self._watch is not None:
            self._watch(stats, graph, misses)


def patterns(rules: Sequence[Rule] = ()) -> str:
    """Every rule that passes look for: the given ones, and each operator with what it equals."""
    drawn = [f"{rule.signature}\n{indent(draw(rule), '  ')}\n" for rule in _core.rules()]
    return "\n".join([*(rule.describe() for rule in rules), *drawn])
