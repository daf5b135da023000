"""Files of tests that came after a plan: known by their names, since importing them takes long."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

# What pytest passes over by default (norecursedirs), and what it makes itself.
_PASSED_OVER = (
    *(".*", "*.egg", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}"),
    "__pycache__",
)


def relative(base: Path, roots: Sequence[str]) -> tuple[str, ...]:
    """What pytest was given, as it means the same in another checkout: files instead of ids."""
    files = [root.partition("::")[0] for root in roots]
    return tuple(os.path.relpath(base / file, base).replace(os.sep, "/") for file in files)


def matching(base: Path, roots: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """Names of the files below some folders that pytest would import, sorted.

    Args:
        base: the folder in which pytest runs; names are relative to it.
        roots: folders; what else pytest was given has no part in this.
        patterns: of the names of files (pytest's `python_files`).
    """
    found = {
        os.path.relpath(file, base).replace(os.sep, "/")
        for root in roots
        for file in _files(base / root)
        if any(fnmatch(file.name, pattern) for pattern in patterns)
    }
    return tuple(sorted(found))


def _files(root: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if _is_searched(Path(folder, name))]
        yield from (Path(folder, name) for name in names)


def _is_searched(folder: Path) -> bool:
    passed_over = any(fnmatch(folder.name, pattern) for pattern in _PASSED_OVER)
    return not passed_over and not (folder / "pyvenv.cfg").exists()
