"""How an event comes from the tests' process into the ledger, whatever the tests do.

Runs in the tests' interpreter beside `plugin`: standard library only, Python 3.8. Tests replace
functions of `os`, `time` and `json`, and freezegun those in the globals of every module: what is
needed is kept in attributes of an object from before the first test.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
import traceback
from typing import Any

# What a failure prints is bounded: the first and the last half of so many characters.
LONGEST = 32 << 10

# Above the numbers that tests compare, count, and close in passing.
_DESCRIPTOR = 500
_WORDS = {None: "null", True: "true", False: "false"}
_FORKED = 70  # exit status of a child that came back; nobody reads it but a parent that waits


class Writer:
    """Appends events to the ledger."""

    def __init__(self, path: str, session: int) -> None:
        self.path = path
        self.prefix = f'","s":{session}'
        self.quote = json.encoder.encode_basestring_ascii
        self.clock = time.monotonic
        self.pid = os.getpid()
        self.pending = ""
        self._open, self._write, self._fstat, self._close = os.open, os.write, os.fstat, os.close
        self._getpid, self._exit, self._fcntl = os.getpid, os._exit, fcntl.fcntl
        self._reopen()

    def fields(self, fields: dict[str, Any]) -> str:
        """The JSON of some fields, to be appended to others."""
        return "".join(f',"{key}":{self.encode(value)}' for key, value in fields.items())

    def encode(self, value: Any) -> str:
        """JSON of what events hold. The `json` module may be somebody's mock by now."""
        if isinstance(value, str):
            return self.quote(value)
        if isinstance(value, (list, tuple)):
            kinds = set(map(type, value))  # thousands of one kind are the rule
            one = self.quote if kinds == {str} else repr if kinds == {int} else self.encode
            return f"[{','.join(map(one, value))}]"
        if isinstance(value, dict):
            pairs = (f"{self.quote(str(key))}:{self.encode(one)}" for key, one in value.items())
            return f"{{{','.join(pairs)}}}"
        return _WORDS[value] if value is None or isinstance(value, bool) else repr(value)

    def event(self, kind: str, **fields: Any) -> None:
        """Appends an event."""
        self.line(kind, self.fields(fields))

    def later(self, kind: str, body: str) -> None:
        """Keeps an event for the next write: what nobody needs before it."""
        if self._getpid() != self.pid:
            self._leave_fork(kind, body)
        self.pending += f'{{"e":"{kind}{self.prefix}{body}}}\n'

    def line(self, kind: str, body: str) -> None:
        """Appends an event of which the fields are JSON already, and what was kept before it."""
        if self._getpid() != self.pid:
            self._leave_fork(kind, body)
        data = f'{self.pending}{{"e":"{kind}{self.prefix}{body}}}\n'.encode("ascii")
        self.pending = ""
        if self._file != self._identity():
            self._reopen()
        written = self._write(self._descriptor, data)
        while written < len(data):  # a full disk takes a part, then raises
            written += self._write(self._descriptor, data[written:])

    def _leave_fork(self, kind: str, body: str) -> None:
        """Ends a forked child that came back into pytest, after it has said where it stands.

        It would run every later test once more, and so would its own children.
        """
        self.prefix += f',"pid":{self._getpid()}'
        self.pid, self.pending = self._getpid(), ""
        self.line(kind, body)
        self._exit(_FORKED)

    def _reopen(self) -> None:
        """Opens the ledger. A descriptor lost before may be somebody else's now: it stays."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        low = self._open(self.path, flags, 0o644)
        try:
            self._descriptor = self._fcntl(low, fcntl.F_DUPFD_CLOEXEC, _DESCRIPTOR)
            self._close(low)
        except OSError:  # no descriptor may be as high
            self._descriptor = low
        self._file = self._identity()

    def _identity(self) -> tuple[Any, ...] | None:
        """Which file the descriptor is of; None if it is closed."""
        try:
            status = self._fstat(self._descriptor)
        except OSError:
            return None
        return status[1:3]  # inode and device: by index, which is quicker than by name


def shortened(text: str) -> str:
    """A bounded text that says what is missing."""
    if len(text) <= LONGEST:
        return text
    half, dropped = LONGEST // 2, len(text) - LONGEST
    return f"{text[:half]}\n[... {dropped} characters dropped ...]\n{text[-half:]}"


def first_line(text: str) -> str:
    """The first line that says something, bounded."""
    lines = text[:LONGEST].splitlines()
    return next((line.strip()[:500] for line in lines if line.strip()), "")


def failure(report: Any) -> dict[str, str]:
    """What pytest prints of a report, with the output that it has captured."""
    try:
        parts = [report.longreprtext, *("\n".join(section) for section in report.sections)]
        text = "\n".join(parts)
    except Exception as error:  # a representation that a plugin has made
        text = f"{type(report.longrepr)} can't be printed: {type(error)}"
    crash = getattr(report.longrepr, "reprcrash", None)
    message = str(getattr(crash, "message", "") or "") or last_error(text) or text
    return {"message": first_line(message), "text": shortened(text)}


def last_error(text: str) -> str:
    """Of a file that can't be imported there is only text: its last line that is marked E."""
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E  ")]
    return marked[-1] if marked else ""


def reason_of(report: Any) -> str:
    """Why a test was skipped or was expected to fail."""
    if hasattr(report, "wasxfail"):
        return first_line(str(report.wasxfail))
    longrepr = report.longrepr
    reason = first_line(str(longrepr[2] if isinstance(longrepr, tuple) else longrepr or ""))
    return reason.partition("Skipped: ")[2] if reason.startswith("Skipped: ") else reason


def outcome_of(report: Any) -> str:
    """What the ledger calls a report's outcome; what nobody knows is no pass."""
    outcome: str = report.outcome
    if hasattr(report, "wasxfail") and outcome in ("passed", "skipped"):
        return "xpassed" if outcome == "passed" else "xfailed"
    return outcome if outcome in ("passed", "skipped", "rerun") else "failed"


def names_of(kind: type) -> list[str]:
    """The names of an exception's class and its bases, bare and with their module."""
    names = []
    for one in kind.__mro__[:-1]:
        names += [one.__name__, f"{one.__module__}.{one.__qualname__}"]
    return names


def described(error: BaseException) -> dict[str, Any]:
    """What the retry policy wants to know of an exception."""
    fields: dict[str, Any] = {"types": names_of(type(error))}
    measurement = getattr(error, "measurement", None)
    if isinstance(measurement, dict):
        fields["measurement"] = {str(key): _plain(value) for key, value in measurement.items()}
    return fields


def _plain(value: object) -> object:
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)  # JSON has no word for it
    return value if isinstance(value, (str, int, float)) or value is None else str(value)


def import_failure(error: Exception) -> dict[str, Any]:
    """What is said of a conftest that raises."""
    cause = error.__cause__ or error
    text = "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))
    message = first_line(f"{type(cause).__name__}: {cause}")
    return {"message": message, "text": shortened(text), **described(cause)}


def distributions(manager: Any) -> list[str]:
    """The installed plugins of pytest, with their versions."""
    try:
        found = manager.list_plugin_distinfo()
        return sorted({f"{dist.project_name}-{dist.version}" for _, dist in found})
    except Exception:  # broken metadata must not end the tests
        return []


def about(writer: Writer, pytest: str, config: Any) -> dict[str, Any]:
    """What is said of a process as it begins."""
    return {
        "pid": writer.pid,
        "python": sys.version.split()[0],
        "pytest": pytest,
        "optimize": sys.flags.optimize,
        "rootdir": str(config.rootpath),
        "plugins": distributions(config.pluginmanager),
    }
