"""JSON files read strictly, with file and place in every complaint, and files written whole.

A baseline is merged by git, edited by hand and decides whether a build passes, so what Python's
reader lets pass (a key given twice, NaN, 1e999) is refused here.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from fusible.gate.model import GateError
from fusible.suite import document

LARGEST = 64 << 20  # bytes of any file that is read
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_MERGE_MARKERS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")

write = document.write


def read_text(path: Path) -> str:
    """The text of a UTF-8 file of up to 64 MiB; OSError if it can't be read."""
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise GateError(f"{path}: expected up to {LARGEST} bytes, got more")
    if data.startswith(_BYTE_ORDER_MARKS):
        raise GateError(f"{path}: expected UTF-8 without a byte order mark, got one")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise GateError(f"{path}: expected UTF-8, got byte {error.start} that is not") from None


def parse(text: str, where: str, *, constants: bool = False) -> Any:
    """The value of a JSON text; `where` names it in errors.

    Args:
        text: the JSON.
        where: its file.
        constants: whether NaN and Infinity may stand in it (asv writes them for skipped ones).
    """

    def constant(name: str) -> float:
        if not constants:
            raise GateError(f"{where}: expected a finite number, got {name}")
        return float(name)

    def number(text: str) -> float:
        value = float(text)
        return value if math.isfinite(value) else constant(text)

    try:
        return json.loads(
            text, object_pairs_hook=_unique(where), parse_constant=constant, parse_float=number
        )
    except json.JSONDecodeError as error:
        raise GateError(_complaint(text, where, error)) from None
    except RecursionError:
        raise GateError(f"{where}: expected JSON of few levels, got too many") from None
    except GateError:
        raise
    except ValueError as error:  # a number of more digits than Python reads
        raise GateError(f"{where}: expected JSON, got {error}") from None


def _unique(where: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in pairs:
            if key in table:
                raise GateError(f"{where}: expected each key once, got {key!r} twice")
            table[key] = value
        return table

    return unique


def _complaint(text: str, where: str, error: json.JSONDecodeError) -> str:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(_MERGE_MARKERS):
            return f"{where}:{number}: expected JSON, got a merge conflict: {line[:80]!r}"
    lines = text.splitlines()
    line = lines[error.lineno - 1][:80] if error.lineno <= len(lines) else ""
    return f"{where}:{error.lineno}: expected JSON, got {error.msg}: {line!r}"


def read(path: Path) -> Any:
    """The value of a JSON file; GateError for what is wrong in it, OSError if it can't be read."""
    return parse(read_text(path), str(path))
