"""TOML files read within limits, file and line in every complaint, and values written as TOML."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(path: Path, most_bytes: int = 1 << 20) -> dict[str, Any]:
    """The table that a file holds.

    Raises:
        OSError: it can't be read.
        ValueError: it is larger, no UTF-8 or no TOML; the message names the file, and the line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except ValueError as error:  # no path can be so: a NUL is in it
        raise ValueError(f"{path}: {error}") from None
    if len(data) > most_bytes:
        raise ValueError(f"{path}: expected at most {most_bytes} bytes, got more")
    try:
        return parse(data.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, got byte {error.start} that is not") from None


def read_for(what: str, path: Path, kind: type[Exception]) -> dict[str, Any]:
    """As `read`; whatever is wrong is an error of this kind that says what the file is for."""
    try:
        return read(path)
    except OSError as error:
        raise kind(f"{what}: {path}: {error.strerror}") from error
    except ValueError as error:
        raise kind(f"{what}: {error}") from error


def parse(text: str, where: str) -> dict[str, Any]:
    """The table that a text holds; a ValueError names `where` and the line."""
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: expected TOML, got {error}") from None
    except RecursionError:
        raise ValueError(f"{where}: expected TOML, got too many brackets in brackets") from None
    return table


def key(name: str) -> str:
    """A name as a key, quoted where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else string(name)


def value(item: Any) -> str:
    """A value that is no table; of a set, its members sorted."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        return string(item)
    if isinstance(item, list | set):
        items = sorted(item) if isinstance(item, set) else item
        return f"[{', '.join(value(each) for each in items)}]"
    return repr(item)  # int, float, inf and nan are written as in Python


def string(text: str) -> str:
    """A string on one line."""
    # JSON's escapes are TOML's as well; only DEL is one more that TOML does not take as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def lines(text: str) -> str:
    """A string to be read by hand: as it is, where TOML can hold it so."""
    if "'''" in text or not all(line.isprintable() for line in text.split("\n")):
        return string(text)
    return f"'''\n{text}'''"


def table(name: str, entries: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a table, with the tables in it behind it; one that is empty is left out."""
    yield f"[{name}]"
    for entry, item in entries.items():
        if not isinstance(item, dict):
            yield f"{key(entry)} = {value(item)}"
    for entry, item in entries.items():
        if isinstance(item, dict) and item:
            yield from table(f"{name}.{key(entry)}", item)
