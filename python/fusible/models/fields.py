"""Values of a model file's configuration, read as what they have to be."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Fields:
    """The configuration in a file: `lookup` gives the value of a key, None where there is none.

    What is not as it has to be is a ValueError that names file, key, what was expected and given.
    Without a default the key has to be there.
    """

    def __init__(self, path: Path, lookup: Callable[[str], Any]) -> None:
        self.path = path
        self.lookup = lookup

    def size(self, key: str, default: int | None = None) -> int:
        """A count of at least 1; of at least 0 where that is the default."""
        lowest = 0 if default == 0 else 1
        value = self._value(key, default, f"a whole number from {lowest}")
        if type(value) is not int or value < lowest:
            raise self._refusal(key, f"a whole number from {lowest}", value)
        return value

    def number(self, key: str, default: float) -> float:
        """A finite number of at least 0."""
        value = self._value(key, default, "a number")
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise self._refusal(key, "a number from 0", value)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._value(key, default, "true or false")
        if type(value) is not bool:
            raise self._refusal(key, "true or false", value)
        return value

    def table(self, key: str) -> dict[str, Any]:
        """A table of values, empty where there is none."""
        value = self._value(key, {}, "an object")
        if not isinstance(value, dict):
            raise self._refusal(key, "an object", value)
        return value

    def _value(self, key: str, default: Any, expected: str) -> Any:
        value = self.lookup(key)
        if value is None and default is None:
            raise ValueError(f"{self.path}: {key}: expected {expected}, got none")
        return default if value is None else value

    def _refusal(self, key: str, expected: str, value: Any) -> ValueError:
        return ValueError(f"{self.path}: {key}: expected {expected}, got {value!r}")
