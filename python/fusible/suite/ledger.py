"""The ledger: one file a run, one JSON line an event, appended by the runner and by the tests.

Each event is a single `write` to a file opened for appending, so that several processes may write
and a SIGKILL loses at most the event that was being written. No fsync: the file must survive its
processes, not the machine.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from fusible.suite.model import SuiteError

Event = dict[str, Any]

# A ledger of a million tests takes about 400 MiB; more than this is not a ledger.
LARGEST = 2 << 30

# "e" is the first key of every event. Quotation marks inside strings are escaped, so this text
# stands nowhere but at the beginning of an event, even where a killed process has left half a line.
_BEGINNING = '{"e":"'
_EVENTS = re.compile(r'(?=\{"e":")')
_TORN = re.compile(r'\{"e":"(\w*)(?:","s":(\d+)(?=[,}]))?')


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)  # one for all lines: to make it takes long


class Ledger:
    """Appends events."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)

    def write(self, event: Mapping[str, Any]) -> None:
        """Appends one event; its first key must be "e"."""
        line = json.dumps(event, separators=(",", ":"), allow_nan=False)
        if not line.startswith(_BEGINNING):
            raise ValueError(f'{self.path}: expected an event whose first key is "e", got {line}')
        left = memoryview(line.encode() + b"\n")
        while left:  # a full disk writes a part, then raises
            left = left[os.write(self._descriptor, left) :]

    def claim(self) -> None:
        """Makes it this run's alone; raises SuiteError where another run writes to it."""
        lock(self._descriptor, self.path)
        if not self.in_place:
            raise SuiteError(f"{self.path}: expected a ledger of one run, got one of two at a time")

    @property
    def in_place(self) -> bool:
        """Whether the path still leads to what is written here."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Ends it; later events are errors."""
        os.close(self._descriptor)


def lock(descriptor: int, path: Path) -> None:
    """Locks a ledger until the descriptor is closed; raises SuiteError where another run has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SuiteError(
            f"{path}: expected a ledger of one run, got one of two at a time"
        ) from None
    except OSError:
        pass  # a shared folder may know no locks


class Tail:
    """Follows a ledger that others write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._lines = 0
        self._rest = b""

    def read(self) -> list[Event]:
        """The events of the lines that were completed since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(text)
        *lines, self._rest = (self._rest + text).split(b"\n")
        events = [
            event
            for number, line in enumerate(lines, self._lines + 1)
            for event in _events(line, f"{self.path}:{number}")
        ]
        self._lines += len(lines)
        return events


def read(path: Path) -> list[Event]:
    """All events of a ledger; what a killed process has torn is an event "torn".

    Raises SuiteError naming path and line where the text is no event, nor the beginning of one.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise SuiteError(f"{path}: expected a ledger of at most {LARGEST} bytes, got {size}")
        text = path.read_bytes()
    except OSError as error:
        raise SuiteError(f"{path}: expected a ledger, got {error.strerror or error}") from error
    return [
        event
        for number, line in enumerate(text.split(b"\n"), 1)
        for event in _events(line, f"{path}:{number}")
    ]


def _events(line: bytes, place: str) -> Iterator[Event]:
    """The event of a line. After a torn one the next writer's event stands on the same line."""
    text = line.decode("utf-8", "replace")
    if not text.strip():
        return
    if text[0] != "{":
        raise SuiteError(f"{place}: expected an event, got {text[:80]!r}")
    for piece in filter(None, _EVENTS.split(text)):
        yield _event(piece, place)


def _event(text: str, place: str) -> Event:
    try:
        event = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        torn = _TORN.match(text)
        if torn is None and not _BEGINNING.startswith(text):
            raise SuiteError(f"{place}: expected an event, got {text[:80]!r}: {error}") from error
        kind, session = torn.groups() if torn else ("", None)
        return {"e": "torn", "of": kind, **({"s": int(session)} if session else {})}
    if not isinstance(event, dict) or not isinstance(event.get("e"), str):
        raise SuiteError(f'{place}: expected an object with the key "e", got {text[:80]!r}')
    return event
