"""JSON files read strictly, with the place named in every complaint, and files written whole.

Durations and plans are merged by git, edited by hand and cut off by full disks, so what Python's
reader lets pass (a key given twice, NaN) is refused here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusible.files import write_whole
from fusible.suite.model import SuiteError

LARGEST = 1 << 28  # bytes; a plan of a million tests has fewer
_MERGE_MARKERS = ("<<<<<<< ", "=======", ">>>>>>> ")


def parse(text: str, where: str) -> Any:
    """The value of a JSON text; `where` names it in errors."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise SuiteError(f"{where}: expected each key once, got {twice!r} twice")
        return table

    def constant(name: str) -> float:
        raise SuiteError(f"{where}: expected a finite number, got {name}")

    try:
        return json.loads(
            text.removeprefix("\ufeff"), object_pairs_hook=unique, parse_constant=constant
        )
    except json.JSONDecodeError as error:
        line = _line(text, error.lineno)
        got = "a merge conflict" if line.startswith(_MERGE_MARKERS) else error.msg
        raise SuiteError(f"{where}:{error.lineno}: expected JSON, got {got}: {line!r}") from None
    except RecursionError:
        raise SuiteError(f"{where}: expected JSON of few levels, got too many") from None


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number - 1][:80] if number <= len(lines) else ""


def read(path: Path) -> Any:
    """The value of a JSON file; OSError if it can't be read."""
    size = path.stat().st_size
    if size > LARGEST:
        raise SuiteError(f"{path}: expected up to {LARGEST} bytes, got {size}")
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path}: expected UTF-8, got byte {error.start} that is not") from None


def write(path: Path, text: str) -> None:
    """Puts a file in place at once, and the folders above it; see `write_whole`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


@dataclass(frozen=True)
class Value:
    """A JSON value with the name of its place; each method checks one type and gives it back."""

    where: str
    value: Any

    def _expect(self, good: bool, expected: str) -> Any:
        if not good:
            raise SuiteError(f"{self.where}: expected {expected}, got {self.value!r:.80}")
        return self.value

    def text(self) -> str:
        """A string."""
        return str(self._expect(isinstance(self.value, str), "a string"))

    def count(self, least: int = 0) -> int:
        """A whole number, `least` or more."""
        whole = isinstance(self.value, int) and not isinstance(self.value, bool)
        expected = f"a whole number of {least} or more"
        return int(self._expect(whole and self.value >= least, expected))

    def seconds(self) -> float:
        """A finite number that isn't negative."""
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        good = number and 0 <= self.value < 1e15 and math.isfinite(self.value)
        return float(self._expect(good, "seconds, 0 or more"))

    def flag(self) -> bool:
        """True or false."""
        return bool(self._expect(isinstance(self.value, bool), "true or false"))

    def items(self) -> Iterator[Value]:
        """The members of a list."""
        self._expect(isinstance(self.value, list), "a list")
        for number, member in enumerate(self.value):
            yield Value(f"{self.where}[{number}]", member)

    def table(self) -> Iterator[tuple[str, Value]]:
        """The keys and values of an object."""
        self._expect(isinstance(self.value, dict), "an object")
        for key, member in self.value.items():
            yield key, Value(f"{self.where}: {key}", member)

    def only(self, *keys: str) -> Value:
        """Itself, after refusing keys that aren't among `keys`."""
        for key, _ in self.table():
            if key not in keys:
                raise SuiteError(f"{self.where}: expected the keys {', '.join(keys)}, got {key!r}")
        return self

    def has(self, key: str) -> bool:
        """Whether this object has the key."""
        return isinstance(self.value, dict) and key in self.value

    def __getitem__(self, key: str) -> Value:
        self._expect(isinstance(self.value, dict), "an object")
        self._expect(key in self.value, f"the key {key!r}")
        return Value(f"{self.where}: {key}", self.value[key])
