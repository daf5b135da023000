"""suites.toml: a table a suite, checked key by key, so that a misspelt limit is not no limit."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from fusible import toml
from fusible.suite import retry
from fusible.suite.model import Limits, SuiteError
from fusible.suite.retry import RetryConfig

NAMES = ("suites.toml", "ci/suites.toml")
_SUITE_NAME = re.compile(r"\w[\w.-]*")
_LONGEST = 10_000_000.0  # seconds; a limit above this is a mistake of units

T = TypeVar("T")


@dataclass(frozen=True)
class Quarantine:
    """A test whose failures do not count until a day, that day included."""

    id: str
    reason: str
    until: datetime.date

    def active(self, today: datetime.date) -> bool:
        """Whether it still holds."""
        return today <= self.until


@dataclass(frozen=True)
class SuiteConfig:
    """A suite: what it runs, on what, and what is allowed to it.

    Attributes:
        paths: arguments of pytest; none is pytest's own `testpaths`.
        k: pytest's -k.
        markers: pytest's -m.
        needs: what a machine must have: labels for the CI's matrix; `command:NAME` and
            `env:NAME` are checked before a run.
        env: added to the environment of the tests.
        allow_empty: a suite that selects nothing is good.
    """

    name: str = "default"
    paths: tuple[str, ...] = ()
    k: str = ""
    markers: str = ""
    needs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: Limits = field(default_factory=Limits)
    workers: int = 1
    retry: RetryConfig = field(default_factory=RetryConfig)
    allow_empty: bool = False
    quarantine: tuple[Quarantine, ...] = ()

    @property
    def narrowed(self) -> bool:
        """Whether it leaves out tests of the files that it collects."""
        return bool(self.k or self.markers) or any("::" in path for path in self.paths)


def find_config(start: Path) -> Path | None:
    """The suites.toml that applies in a folder: its own or the nearest of a folder above."""
    for folder in (start, *start.parents):
        for name in NAMES:
            if (folder / name).is_file():
                return folder / name
    return None


def base_of(path: Path) -> Path:
    """The folder from which the paths of a suites.toml go: above `ci`, where it lies there."""
    folder = path.absolute().parent
    return folder.parent if folder.name == "ci" else folder


def load_config(path: Path) -> dict[str, SuiteConfig]:
    """Reads all suites of a file. Raises SuiteError naming file, line and key."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        table = toml.parse(text, str(path))
    except OSError as error:
        raise SuiteError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path}: expected UTF-8, got byte {error.start} that is not") from None
    except ValueError as error:
        raise SuiteError(str(error)) from None
    reader = _Reader(path, text)
    suites = {name: _suite(reader, name, value) for name, value in table.items()}
    return suites or reader.refuse((), "a table for each suite", "an empty file")


class _Reader:
    """Checks values; knows the text for the sake of line numbers, which the parser forgets."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def refuse(self, place: tuple[str, ...], expected: str, got: str) -> NoReturn:
        key = ".".join(place)
        where = f"{self.path}:{self._line(place)}: {key}" if place else str(self.path)
        raise SuiteError(f"{where}: expected {expected}, got {got}")

    def _line(self, place: tuple[str, ...]) -> int:
        """The line of a key: the header of its suite, then each key on the way if it is there."""
        found = 0
        for depth, key in enumerate(place):
            word = rf"[\"']?{re.escape(key)}[\"']?"
            header = rf"\s*\[+\s*([^\]=]*\.\s*)?{word}\s*[\].]"
            assigned = rf"(^|[^\w.-]){word}\s*(=|\.)"
            pattern = header if depth == 0 else f"{header}|.*?{assigned}"
            lines = enumerate(self.lines[found:], found)
            found = next((number for number, line in lines if re.match(pattern, line)), found)
        return found + 1

    def keys(
        self, place: tuple[str, ...], value: Any, known: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], str, Any]]:
        """The place, name and value of each key of a table, all of them known."""
        if not isinstance(value, dict):
            self.refuse(place, f"a table of {', '.join(known)}", repr(value))
        for key, one in value.items():
            if key not in known:
                self.refuse((*place, key), f"one of {', '.join(known)}", "an unknown key")
            yield (*place, key), key, one

    def text(self, place: tuple[str, ...], value: Any) -> str:
        return self._typed(place, value, str, "a string")

    def flag(self, place: tuple[str, ...], value: Any) -> bool:
        return self._typed(place, value, bool, "true or false")

    def count(self, place: tuple[str, ...], value: Any, least: int) -> int:
        number = self._typed(place, value, int, f"a whole number of {least} or more")
        if number < least:
            self.refuse(place, f"{least} or more", repr(value))
        return number

    def seconds(self, place: tuple[str, ...], value: Any) -> float:
        # bool is an int, and NaN is less than nothing.
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not (good and 0 <= value <= _LONGEST):
            self.refuse(place, "seconds, 0 or more", repr(value))
        return float(value)

    def texts(self, place: tuple[str, ...], value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            self.refuse(place, "a list of strings", repr(value))
        return tuple(self.text(place, one) for one in value)

    def _typed(self, place: tuple[str, ...], value: Any, kind: type[T], expected: str) -> T:
        if type(value) is not kind:
            self.refuse(place, expected, repr(value))
        return value


def _suite(reader: _Reader, name: str, table: Any) -> SuiteConfig:
    place = (name,)
    if not _SUITE_NAME.fullmatch(name):
        reader.refuse(place, "a suite's name of letters, digits, '_', '-', '.'", repr(name))
    known = tuple(one.name for one in fields(SuiteConfig) if one.name != "name")
    values = {
        key: _KEYS[key](reader, where, v) for where, key, v in reader.keys(place, table, known)
    }
    return SuiteConfig(name=name, **values)


def _env(reader: _Reader, place: tuple[str, ...], value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        reader.refuse(place, "a table of strings", repr(value))
    for key, one in value.items():
        if not key or "=" in key or "\0" in f"{key}{one}":
            reader.refuse((*place, key), "the name and value of a variable", repr(one))
    return {key: reader.text((*place, key), one) for key, one in value.items()}


def limit(seconds: float) -> float | None:
    """A limit as the model has it: 0 says that there is none."""
    return seconds or None


def _timeout(reader: _Reader, place: tuple[str, ...], value: Any) -> Limits:
    keys = reader.keys(place, value, ("test", "file", "suite", "grace"))
    read = {key: reader.seconds(where, one) for where, key, one in keys}
    grace = read.pop("grace", Limits().grace)
    return Limits(grace=grace, **{key: limit(seconds) for key, seconds in read.items()})


def _retry(reader: _Reader, place: tuple[str, ...], value: Any) -> RetryConfig:
    read: dict[str, Any] = {}
    known = tuple(one.name for one in fields(RetryConfig))
    for where, key, one in reader.keys(place, value, known):
        if key in ("times", "budget"):
            read[key] = reader.count(where, one, least=0)
        elif key == "wait":
            read[key] = reader.seconds(where, one)
        else:
            read[key] = tuple(_entry(reader, where, entry) for entry in reader.texts(where, one))
    return RetryConfig(**read)


def _entry(reader: _Reader, place: tuple[str, ...], entry: str) -> str:
    expected = retry.entry_error(entry)
    return entry if expected is None else reader.refuse(place, expected, repr(entry))


def _quarantine(reader: _Reader, place: tuple[str, ...], value: Any) -> tuple[Quarantine, ...]:
    if not isinstance(value, list):
        reader.refuse(place, "a list of {id, reason, until}", repr(value))
    return tuple(_quarantined(reader, place, one) for one in value)


def _quarantined(reader: _Reader, place: tuple[str, ...], value: Any) -> Quarantine:
    known = ("id", "reason", "until")
    read = {key: one for _, key, one in reader.keys(place, value, known)}
    for key in known:
        if key not in read:
            reader.refuse((*place, key), "a value", "none")
    reason = reader.text((*place, "reason"), read["reason"])
    if not reason.strip():
        reader.refuse((*place, "reason"), "why the test is quarantined", repr(reason))
    return Quarantine(
        reader.text((*place, "id"), read["id"]), reason, _day(reader, place, read["until"])
    )


def _day(reader: _Reader, place: tuple[str, ...], value: Any) -> datetime.date:
    try:
        # A datetime is a date, but not a day.
        if type(value) is datetime.date:
            return value
        return datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        reader.refuse((*place, "until"), "a day such as YYYY-MM-DD", repr(value))


_KEYS: dict[str, Callable[[_Reader, tuple[str, ...], Any], Any]] = {
    "paths": _Reader.texts,
    "k": _Reader.text,
    "markers": _Reader.text,
    "needs": _Reader.texts,
    "env": _env,
    "timeout": _timeout,
    "workers": lambda reader, place, value: reader.count(place, value, least=1),
    "retry": _retry,
    "allow_empty": _Reader.flag,
    "quarantine": _quarantine,
}
