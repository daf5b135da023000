"""One process of pytest as the runner sees it: start, limits, end, and what the ledger says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusible.suite.guard import become_subreaper, descendants, send
from fusible.suite.ledger import Ledger
from fusible.suite.model import Item, Limits
from fusible.suite.record import Record

# Libraries that use real-time signals take the first ones; hardly anybody takes the last ones.
STACKS_SIGNAL = signal.SIGRTMAX - 3

TAIL = 4 << 10  # bytes of the output that the ledger keeps of a process that ended badly
_STACKS = 1.0  # seconds to write all stacks before the kill
_SILENCE = 60.0  # seconds that imports and hooks have, however low the limit of a test is
_PATIENCE = 20.0  # seconds from the kill until the guard itself is given up
_FOLDER = Path(__file__).parent
_guards: set[int] = set()  # the living ones, of all sessions of this process


@dataclass(frozen=True)
class Launch:
    """What to start.

    Attributes:
        python: the tests' interpreter.
        arguments: pytest's: paths and options.
        directory: where it runs.
        environment: added to the runner's own.
        folder: where this process's files go: spec, control, output, stacks.
        ledger: what the plugin appends to.
        number: of this process in the ledger.
        worker: number of the worker; tests find it in FUSIBLE_SUITE_WORKER.
        purpose: "collect", which runs nothing, "run", "retry" or "bisect".
        items: exactly what runs, with indices in the plan; None for all that is collected.
        known: ids of these items' files that other processes run; whatever else is collected has
            come since the plan was made. None where nobody knows.
        stop_on_failure: nothing starts after a test that failed or a file that is broken.
        without: files, relative to rootdir, that are never imported.
        measured: samples of earlier attempts, for a re-measurement; the test's plugin finds the
            file with them in FUSIBLE_SUITE_MEASURED.
    """

    python: str
    arguments: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    folder: Path
    ledger: Path
    number: int
    worker: int
    purpose: str
    items: Sequence[tuple[int, Item]] | None
    stop_on_failure: bool
    limits: Limits
    without: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    known: Sequence[str] | None = None


class Session:
    """A running process, until `done`.

    The caller feeds it the ledger's events of its number and calls `tick` in turn.

    Attributes:
        record: what the process did.
        done: its processes are gone and its record is closed.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.done = False
        launch.folder.mkdir(parents=True, exist_ok=True)
        self._folder = launch.folder.absolute()
        self.output = self._folder / "output"
        self.record = Record(launch.number, launch.worker, self._planned(), str(self.output))
        self._ledger = Ledger(launch.ledger)
        self._write_spec()
        self._began = self._heard = self._since = self._file_since = time.monotonic()
        self._file = ""
        self._status: int | None = None
        self._signal: str | None = None
        self._reported = self._settled = False
        self._killed = ""
        self._execution = 0.0  # when a condemned process is killed
        self._text = b""
        self._oom_kills = _oom_kills()
        become_subreaper()  # if the guard dies, what it guarded comes to us
        self._guard = self._start()

    def fileno(self) -> int:
        """A descriptor that becomes readable when the process's state changes."""
        assert self._guard.stdout is not None
        return self._guard.stdout.fileno()

    def feed(self, event: Mapping[str, Any]) -> None:
        """Takes an event of this process from the ledger."""
        self.record.feed(event)
        if event["e"] == "killed":
            return
        self._heard = time.monotonic()
        if event["e"] == "started":
            self._since = self._heard
            item = self.record.item(event["i"])
            self._enter(item.file if item else "")
        elif event["e"] == "file":
            self._enter(event["f"])

    def tick(self, now: float) -> None:
        """Looks after the limits and the guard.

        The turn that sees the end does not close the record yet: events that were written
        before it may still have to be fed.
        """
        if self.done:
            return
        if self._settled:
            self._close()
        elif self._guard_is_gone():
            self._settled = True
        elif self._killed:
            self._execute(now)
        elif why := self._overdue(now):
            self._condemn(why, now + _STACKS)
            self._command("stacks")

    def stop(self) -> None:
        """Starts nothing more; the running test goes on to its end."""
        with (self._folder / "control").open("r+b") as file:  # in place: the plugin has it mapped
            file.write(b"\1")

    def kill(self, why: str) -> None:
        """Ends the process and all that it has started."""
        if not self._killed and not self._settled:
            self._condemn(why, time.monotonic())
            self._command("kill")

    def _planned(self) -> tuple[int, ...] | None:
        if self.launch.purpose == "collect":
            return ()
        items = self.launch.items
        return None if items is None else tuple(index for index, _ in items)

    def _write_spec(self) -> None:
        launch, folder, items = self.launch, self._folder, self.launch.items
        files = None if items is None else sorted({item.file for _, item in items})
        spec = {
            "ledger": str(launch.ledger.absolute()),
            "session": launch.number,
            "root": str(launch.directory),
            "control": str(folder / "control"),
            "stacks": str(folder / "stacks"),
            "stacks_signal": int(STACKS_SIGNAL),
            "stop_on_failure": launch.stop_on_failure,
            "continue_on_collection_errors": not launch.stop_on_failure,
            "collect_only": launch.purpose == "collect",
            "items": None if items is None else [(n, i.id, i.occurrence) for n, i in items],
            "known": None if launch.known is None else list(launch.known),
            # An item without a file (a plan written by others) may come from anywhere.
            "files": None if files and files[0] == "" else files,
            "without": list(launch.without),
        }
        (folder / "control").write_bytes(b"\0")
        (folder / "stacks").write_bytes(b"")
        (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")

    def _start(self) -> subprocess.Popen[bytes]:
        launch = self.launch
        boot, spec = str(_FOLDER / "boot.py"), str(self._folder / "spec.json")
        own = {"FUSIBLE_SUITE_WORKER": str(launch.worker)}
        if launch.measured:
            measured = self._folder / "measured.json"
            measured.write_text(json.dumps(launch.measured), encoding="utf-8")
            own["FUSIBLE_SUITE_MEASURED"] = str(measured)
        settings = {
            "command": [launch.python, boot, spec, *launch.arguments],
            "directory": str(launch.directory),
            "environment": {**os.environ, **launch.environment, **own},
            "output": str(self.output),
            "stacks_signal": int(STACKS_SIGNAL),
        }
        # The guard's own interpreter must not be led astray by the suite's variables, hence -I.
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_FOLDER / "guard.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert guard.stdin is not None
        assert guard.stdout is not None
        _guards.add(guard.pid)
        with contextlib.suppress(BrokenPipeError):  # its death is seen by the first tick
            guard.stdin.write(json.dumps(settings).encode() + b"\n")
        os.set_blocking(guard.stdout.fileno(), False)
        return guard

    def _command(self, word: str) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.write(f"{word}\n".encode())

    def _enter(self, file: str) -> None:
        if file != self._file:
            self._file, self._file_since = file, self._heard

    def _overdue(self, now: float) -> str:
        """The limit that has passed, or ""."""
        limits = self.launch.limits
        if self.record.ended:
            over = now - self._heard > limits.grace
            return f"no exit within {limits.grace:g} s" if over else ""
        if limits.test is not None:
            running = self.record.running is not None
            since = self._since if running else self._heard
            limit = limits.test if running else max(limits.test, _SILENCE)
            if now - since > limit:
                return f"test limit of {limit:g} s"
        if limits.file is not None and self._file and now - self._file_since > limits.file:
            return f"file limit of {limits.file:g} s"
        return ""

    def _condemn(self, why: str, execution: float) -> None:
        """From here on nothing that the process writes counts: see `Record`."""
        self._killed, self._execution = why, execution
        at = {"i": self.record.running, "f": self.record.filing}
        self._ledger.write({"e": "killed", "s": self.launch.number, "why": why, **at})

    def _execute(self, now: float) -> None:
        """Kills a condemned process; gives its guard up if that does not follow."""
        if now >= self._execution + _PATIENCE:
            self._guard.kill()
        elif now >= self._execution:
            self._command("kill")

    def _guard_is_gone(self) -> bool:
        """Reads what the guard says, up to its end."""
        assert self._guard.stdout is not None
        while data := self._guard.stdout.read(4096):
            self._text += data
        *lines, self._text = self._text.split(b"\n")
        for message in map(json.loads, lines):
            if "status" in message:
                self._status, self._signal = message["status"], message["signal"]
                self._reported = True
        return data is not None and self._guard.poll() is not None

    def _close(self) -> None:
        _guards.discard(self._guard.pid)
        if not self._reported:
            end_orphans(self.launch.worker)
        if self._signal == "SIGKILL" and not self._killed and _oom_kills() > self._oom_kills:
            self._signal = "SIGKILL (the out-of-memory killer was at work)"
        clean = self.record.ended and self._signal is None and not self._killed
        tail = "" if clean else self._tail()
        self.record.close(self._status, self._signal, self._killed, tail)
        event = {"e": "exited", "s": self.launch.number, "status": self._status}
        seconds = round(time.monotonic() - self._began, 6)
        self._ledger.write({**event, "signal": self._signal, "seconds": seconds, "tail": tail})
        self._ledger.close()
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
        self.done = True

    def _tail(self) -> str:
        """The stacks, if they were written, and the end of the output."""
        stacks = _end_of(self._folder / "stacks", 4 * TAIL)
        output = _end_of(self.output, 16 * TAIL)
        # faulthandler's report begins with what matters; its end is pytest's own frames.
        fatal = max(0, output.rfind("Fatal Python error"))
        kept = output[max(0, fatal - TAIL // 4) : fatal + TAIL] if fatal else output[-TAIL:]
        return f"{stacks}\n{kept}" if stacks else kept


def end_orphans(worker: int) -> None:
    """Ends what a guard that was killed has left: it has come to this process, the subreaper."""
    mark = b"\0FUSIBLE_SUITE_WORKER=%d\0" % worker
    killed: set[int] = set()
    # What is killed may leave others behind. Guards inherit the mark where a suite runs suites.
    while orphans := {
        pid for pid in descendants(os.getpid()) if pid not in _guards and mark in _environment(pid)
    }:
        for pid in orphans:
            send(pid, signal.SIGKILL)
        killed |= orphans
        time.sleep(0.01)
    for pid in killed:
        with contextlib.suppress(ChildProcessError):  # those that are not our own children
            os.waitpid(pid, os.WNOHANG)


def _environment(pid: int) -> bytes:
    """The environment that a process was started with; empty if it is gone."""
    try:
        return b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _oom_kills() -> int:
    """How many processes of this control group the kernel has killed for want of memory."""
    try:
        group = Path("/proc/self/cgroup").read_text(encoding="utf-8").rpartition("0::/")[2].strip()
        text = (Path("/sys/fs/cgroup") / group / "memory.events").read_text(encoding="utf-8")
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])
    except (OSError, KeyError, ValueError):  # no such hierarchy, or not for us to see
        return 0


def _end_of(path: Path, size: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
