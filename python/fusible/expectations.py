"""Files of what must fuse: for each target the fusions with their counts, all of them.

A file has a table a target. A count is a whole number, or a formula of sizes such as the number
of layers: ``"2*L-1"``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from fusible import toml
from fusible.files import write_whole
from fusible.formulas import evaluate
from fusible.passes import Difference, Result

Count = int | str
Counts = dict[str, Count]

HEAD = "# What fuses, and nothing else does: `fusible check`. L is the number of layers.\n"
_FORMULA = re.compile(r"[\w+\-*/() ]{1,200}", re.ASCII)


def read(path: Path) -> dict[str, Counts]:
    """The tables of a file by the names of their targets.

    Raises ValueError that names file and key for what is no such file, and OSError.
    """
    tables = toml.read(path)
    return {target: _checked(f"{path}: {target}", table) for target, table in tables.items()}


def _checked(where: str, table: Any) -> Counts:
    if not isinstance(table, dict):
        raise ValueError(f"{where}: expected a table of counts, got {table!r:.60}")
    for name, count in table.items():
        whole = isinstance(count, int) and not isinstance(count, bool) and count >= 0
        if not whole and not (isinstance(count, str) and _FORMULA.fullmatch(count)):
            expected = "a whole number or a formula such as '2*L-1'"
            raise ValueError(f"{where}: {name}: expected {expected}, got {count!r:.60}")
    return dict(table)


def differences(
    result: Result, counts: Mapping[str, Count], sizes: Mapping[str, int]
) -> list[Difference]:
    """What was made more or less often than a table says; what it does not name, not at all."""
    none = dict.fromkeys(sorted(result.fusions.keys() - counts), 0)
    return result.differences({**counts, **none}, **sizes)


def updated(
    counts: Mapping[str, Count], found: Mapping[str, Count], sizes: Mapping[str, int]
) -> Counts:
    """A table of what was found, in which every count that still holds stands as it was written.

    Args:
        counts: the table as it was.
        found: what fuses now, as it is written where the table is wrong.
        sizes: of the names in the formulas, for which they are judged.
    """
    now = {name: _value(count, sizes) for name, count in found.items()}
    holding = {
        name: count for name, count in counts.items() if _value(count, sizes) == now.get(name, 0)
    }
    return dict(sorted({**found, **holding}.items()))


def _value(count: Count, sizes: Mapping[str, int]) -> int:
    return evaluate(count, sizes) if isinstance(count, str) else count


def write(path: Path, tables: Mapping[str, Mapping[str, Count]]) -> None:
    """Writes a file of these tables whole, behind the comment that the old one begins with."""
    old = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    head = list(takewhile(lambda line: line.startswith("#"), old))
    write_whole(path, "".join(head) + _text(tables) if head else HEAD + _text(tables))


def _text(tables: Mapping[str, Mapping[str, Count]]) -> str:
    parts = []
    for target, counts in tables.items():
        rows = [f"{toml.key(name)} = {toml.value(count)}\n" for name, count in counts.items()]
        parts.append(f"\n[{toml.key(target)}]\n" + "".join(rows))
    return "".join(parts)
