"""How long tests and the imports of files took before, kept by class of machine.

A file `{"version": 1, "classes": {class: {"tests": {id: [seconds]}, "files": {file: [seconds]}}}}`
with the last five values of each, oldest first. The median of them is the estimate: one run on a
busy machine then moves nothing.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fusible.suite import document
from fusible.suite.model import SuiteError

VERSION = 1
KEPT = 5

Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Estimates:
    """Seconds of each known test and of each known file's import."""

    tests: Mapping[str, float]
    files: Mapping[str, float]


@dataclass(frozen=True)
class Machine:
    """The last values of one class of machines, oldest first."""

    tests: Values = field(default_factory=dict)
    files: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Durations:
    """All that is recorded, by class of machine."""

    classes: Mapping[str, Machine] = field(default_factory=dict)

    def estimates(self, machine: str | None = None) -> Estimates:
        """Medians of a class; of all classes together for None or a class without records.

        The times of another kind of machine are wrong, but their proportions mostly hold, and
        proportions are what balances.
        """
        names = [machine] if machine in self.classes else sorted(self.classes)
        chosen = [one for name, one in self.classes.items() if name in names]
        tests, files = [one.tests for one in chosen], [one.files for one in chosen]
        return Estimates(_medians(tests), _medians(files))

    def add(self, machine: str, new: Machine) -> Durations:
        """With newer values of one class."""
        old = self.classes.get(machine, Machine())
        merged = Machine(_append(old.tests, new.tests), _append(old.files, new.files))
        return Durations({**self.classes, machine: merged})

    def to_json(self) -> str:
        """The file: sorted, a test a line, so that a change of one test is a change of a line."""
        classes = {
            name: {"files": _rounded(one.files), "tests": _rounded(one.tests)}
            for name, one in sorted(self.classes.items())
        }
        return _one_list_a_line({"version": VERSION, "classes": classes}) + "\n"


def _medians(tables: Sequence[Values]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for table in tables:
        for key, seconds in table.items():
            values.setdefault(key, []).extend(seconds)
    return {key: statistics.median(seconds) for key, seconds in values.items()}


def _append(old: Values, new: Values) -> dict[str, list[float]]:
    keys = dict.fromkeys([*old, *new])
    return {key: [*old.get(key, ()), *new.get(key, ())][-KEPT:] for key in keys}


def _rounded(table: Values) -> dict[str, list[float]]:
    """To microseconds: more digits are noise that fills the file."""
    return {key: [round(value, 6) for value in table[key]] for key in sorted(table)}


def _one_list_a_line(value: object, indent: str = "") -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    inner = indent + " "
    rows = [
        f"{inner}{json.dumps(key)}: {_one_list_a_line(member, inner)}"
        for key, member in value.items()
    ]
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}"


def load(path: Path) -> Durations:
    """Reads a file strictly: a wrong weight would only show as a slow partition."""
    value = document.Value(str(path), document.read(path)).only("version", "classes")
    if value["version"].count() != VERSION:
        raise SuiteError(f"{path}: expected version {VERSION}, got {value['version'].value}")
    return Durations({name: _machine(one) for name, one in value["classes"].table()})


def _machine(value: document.Value) -> Machine:
    value.only("tests", "files")
    tests, files = (_values(value[key]) if value.has(key) else {} for key in ("tests", "files"))
    return Machine(tests, files)


def _values(value: document.Value) -> dict[str, list[float]]:
    table = {key: [one.seconds() for one in many.items()] for key, many in value.table()}
    for key, seconds in table.items():
        if not 1 <= len(seconds) <= KEPT:
            raise SuiteError(
                f"{value.where}: {key}: expected 1 to {KEPT} durations, got {len(seconds)}"
            )
    return table


def save(path: Path, durations: Durations) -> None:
    """Writes the file whole."""
    document.write(path, durations.to_json())
