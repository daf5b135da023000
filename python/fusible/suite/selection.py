"""Which tests and files the plugin lets through, and what they are called.

In the tests' interpreter, as `plugin`: standard library only, Python 3.8, pytest 7.2.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

FILE: Any = pytest.File  # abstract for mypy, which wants a class that can be made


class Selection:
    """Which of the collected items run, and their indices in the plan."""

    def __init__(self, spec: dict[str, Any]) -> None:
        planned, known = spec["items"], spec.get("known")
        self.plan = None if planned is None else {(i, k): n for n, i, k in planned}
        # The ids that some process runs, of the files imported here; None where nobody knows.
        self.known = None if known is None else {*known, *(i for _, i, _ in planned or ())}
        self.unplanned: dict[str, None] = {}  # ids that nothing has planned, in order
        self.counts: dict[str, int] = {}
        # Identity of an item -> its occurrence, and the item itself, so that it stays alive.
        self.kept: dict[int, tuple[int, pytest.Item]] = {}
        self.indices: dict[int, int] = {}  # identity of an item -> its index in the plan
        self.applied: list[int] = []  # identities of the items that were left
        self.deselected = 0

    def count(self, items: list[pytest.Item]) -> None:
        """Numbers the items of each id as they come, before a plugin can reorder them."""
        for item in items:
            if id(item) not in self.kept:
                occurrence = self.counts.get(item.nodeid, 0)
                self.counts[item.nodeid] = occurrence + 1
                self.kept[id(item)] = occurrence, item

    def apply(self, items: list[pytest.Item]) -> None:
        """Drops what was not planned, and gives the rest its indices."""
        if self.applied == [id(item) for item in items]:
            return
        self.count(items)
        if self.plan is None:
            self.indices = {id(item): position for position, item in enumerate(items)}
            self.applied = list(self.indices)
            return
        keys = {id(item): (item.nodeid, self.kept[id(item)][0]) for item in items}
        self.indices = {i: self.plan[key] for i, key in keys.items() if key in self.plan}
        if self.known is not None:
            self.unplanned.update(
                (name, None) for name, _ in keys.values() if name not in self.known
            )
        items[:] = [item for item in items if id(item) in self.indices]
        self.applied = [id(item) for item in items]

    def fields(self, items: list[pytest.Item]) -> dict[str, Any]:
        """The fields of "collected"."""
        files: dict[str, int] = {}
        parents = {id(item.parent): item for item in items}
        names = {key: files.setdefault(file_of(i), len(files)) for key, i in parents.items()}
        index = None if self.plan is None else [self.indices[id(item)] for item in items]
        twins = items if any(count > 1 for count in self.counts.values()) else ()
        return {
            "ids": [item.nodeid for item in items],
            "files": list(files),
            "of": [names[id(item.parent)] for item in items],
            "occ": {n: self.kept[id(i)][0] for n, i in enumerate(twins) if self.kept[id(i)][0]},
            "deselected": self.deselected,
            "index": index,
            "missing": sorted(set((self.plan or {}).values()) - set(index or ())),
            **({"unplanned": list(self.unplanned)} if self.unplanned else {}),
        }


class Files:
    """Which files are imported: a process must not import those of other partitions."""

    def __init__(self, spec: dict[str, Any], root: str) -> None:
        self.root = root + os.sep
        self.without = set(spec.get("without", ()))
        self.files = None if spec["files"] is None else set(spec["files"])
        self.paths: set[str] = set()  # of the files, and of the folders above them
        for file in self.files or ():
            parts = file.split("/")
            self.paths.update("/".join(parts[:end]) for end in range(1, len(parts) + 1))

    def skips(self, file: str) -> bool:
        """Whether a file, by its node id, must not be imported."""
        return file in self.without or (self.files is not None and file not in self.files)

    def skips_path(self, path: Path) -> bool:
        """Whether a path can be passed over as it is found; those in argv are not asked for.

        A folder is no package without its __init__.py. Node ids of what lies outside of the root
        do not tell where it is: that is left to `skips`.
        """
        text = str(path)
        if not text.startswith(self.root) or path.name == "__init__.py":
            return False
        file = text[len(self.root) :].replace(os.sep, "/")
        return file in self.without or (self.files is not None and file not in self.paths)


def file_of(item: pytest.Item) -> str:
    """The file that an item comes from, as node ids name it."""
    file = item.getparent(FILE)
    return item.nodeid.partition("::")[0] if file is None else file.nodeid
