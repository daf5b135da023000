"""The guard of one process of pytest: starts it, keeps its output bounded, ends all it has started.

A program of its own (`python -I -S guard.py`), so that it outlives a killed runner by the moment
that it takes to kill what the tests have left. It needs nothing but the standard library.

The first line of standard input is JSON: {"command", "directory", "environment", "output",
"stacks_signal"}. Then come commands, a line each: `stacks`, `kill`; the end of standard input
means that the runner is gone. To standard output go, a line each, {"pid"} and {"status", "signal",
"maxrss_kb", "left"}; "left" is how many processes could not be ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import io
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

# What is kept of the output: its beginning and its end.
HEAD = TAIL = 4 << 20

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_CHUNK = 1 << 20
# Seconds: for what exits on its own after pytest, such as the tracker of shared memory, which
# would leak it otherwise; and after which what can't be killed (another user's) is given up.
_GRACE, _PATIENCE = 0.5, 10.0
# A test may signal its parent or its group; the guard must outlive that.
_UNHEEDED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def prctl(option: int, value: int) -> None:
    """Sets an attribute of this process; OSError where the kernel refuses."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def become_subreaper() -> None:
    """From now on the orphans among this process's descendants become its children."""
    prctl(_SET_CHILD_SUBREAPER, 1)


def parents() -> dict[int, int]:
    """Process -> its parent, of all processes that can be seen."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            # It may end meanwhile. Its command's name, in parentheses, may hold anything.
            with contextlib.suppress(OSError), io.FileIO(f"/proc/{entry.name}/stat") as file:
                found[int(entry.name)] = int(file.read().rpartition(b")")[2].split()[1])
    return found


def descendants(root: int) -> list[int]:
    """The processes below a process."""
    children: dict[int, list[int]] = {}
    for process, parent in parents().items():
        children.setdefault(parent, []).append(process)
    below = list(children.get(root, ()))
    for process in below:  # grows while it is walked
        below.extend(children.get(process, ()))
    return below


def send(process: int, number: int) -> None:
    """Sends a signal, if the process is still there and ours."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


class Output:
    """A file that keeps the first `head` and the last `tail` bytes, and says what is missing."""

    def __init__(self, path: str, head: int = HEAD, tail: int = TAIL) -> None:
        self._file = io.FileIO(path, "w")
        self._room = head
        self._limit = tail
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Takes the next bytes; the head is in the file at once."""
        if self._room:
            self._write(data[: self._room])
            data, self._room = data[self._room :], max(0, self._room - len(data))
        self._tail += data
        if len(self._tail) > 2 * self._limit:  # so that each byte is moved once
            self._trim()

    def close(self) -> None:
        """Writes what was kept of the end."""
        self._trim()
        if self._dropped:
            self._write(b"\n[... %d bytes of output dropped ...]\n" % self._dropped)
        self._write(bytes(self._tail))
        self._file.close()

    def _trim(self) -> None:
        extra = max(0, len(self._tail) - self._limit)
        del self._tail[:extra]
        self._dropped += extra

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:  # a full disk must not end the tests
            self._dropped += len(left)


class Guard:
    """One child, and the loop that waits for it, for its output and for the runner."""

    def __init__(self, settings: dict[str, Any], asked: bytes = b"") -> None:
        self.settings = settings
        self.output = Output(settings["output"])
        self.status: int | None = None
        self.maxrss = 0
        self.asked = asked
        self.killing = False
        self.wake, self.alarm = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self.alarm, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self.heeded = {number: signal.signal(number, signal.SIG_IGN) for number in _UNHEEDED}
        self.source, self.child = self._start()

    def run(self) -> None:
        """Lives until the child is gone, then ends everything it has left behind."""
        self.say({"pid": self.child})
        poll = select.poll()
        for descriptor in (self.wake, self.source, sys.stdin.fileno()):
            poll.register(descriptor, select.POLLIN)
        while self.status is None and not self.killing:
            for descriptor, _ in poll.poll():
                if not self._serve(descriptor):
                    poll.unregister(descriptor)
        left = 0 if not self.killing and self._emptied(_GRACE) else self._end_all()
        self._drain()
        self.output.close()
        status = self.status
        name = signal_name(-status) if status is not None and status < 0 else None
        self.say({"status": status, "signal": name, "maxrss_kb": self.maxrss, "left": left})

    def say(self, message: dict[str, Any]) -> None:
        """Tells the runner, if it is still there."""
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), json.dumps(message).encode() + b"\n")

    def _start(self) -> tuple[int, int]:
        """Starts the child; returns where its output comes from, and its id."""
        source, sink = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # a user's quota; the default only costs more turns
            fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, _CHUNK)
        os.set_blocking(source, False)
        guard = os.getpid()
        child = os.fork()
        if child == 0:
            self._become_child(sink, guard)
        os.close(sink)
        return source, child

    def _become_child(self, sink: int, guard: int) -> NoReturn:
        try:
            # A group of its own: a test that signals its group must not hit the guard.
            os.setpgid(0, 0)
            prctl(_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guard:  # it died before it could be watched
                os._exit(127)
            self._restore_signals()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            os.chdir(self.settings["directory"])
            command = self.settings["command"]
            os.execvpe(command[0], command, self.settings["environment"])
        except BaseException as error:
            os.write(sink, f"can't start {self.settings['command'][0]}: {error}\n".encode())
        finally:
            os._exit(127)

    def _restore_signals(self) -> None:
        """Gives back what this process ignores and a shell would not."""
        signal.set_wakeup_fd(-1)
        for number, before in self.heeded.items():
            signal.signal(number, before)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)

    def _serve(self, descriptor: int) -> bool:
        """Handles what one descriptor has; False once there will be no more."""
        if descriptor == self.wake:
            os.read(self.wake, _CHUNK)
            self._reap()
            return True
        if descriptor == self.source:
            return self._read_output() != b""
        return self._obey(os.read(descriptor, 4096))

    def _obey(self, data: bytes) -> bool:
        *lines, self.asked = (self.asked + data).split(b"\n")
        if b"stacks" in lines and self.status is None:
            send(self.child, self.settings["stacks_signal"])
        self.killing = self.killing or not data or b"kill" in lines
        return bool(data)

    def _read_output(self) -> bytes | None:
        """Some bytes; none at the end; None while there are none."""
        try:
            data = os.read(self.source, _CHUNK)
        except BlockingIOError:
            return None
        self.output.add(data)
        return data

    def _drain(self) -> None:
        """Takes what is left in the pipe, which those that were not ended may still fill."""
        for _ in range(2):
            if not self._read_output():
                return

    def _reap(self) -> bool:
        """Buries the dead; False if no child is left."""
        while True:
            try:
                process, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if process == 0:
                return True
            if process == self.child:
                self.status = os.waitstatus_to_exitcode(status)
                self.maxrss = usage.ru_maxrss

    def _emptied(self, seconds: float) -> bool:
        """Whether all children end within a time; takes their output meanwhile."""
        deadline = time.monotonic() + seconds
        while self._reap():
            if time.monotonic() >= deadline:
                return False
            if select.select([self.wake], [], [], 0.02)[0]:
                os.read(self.wake, _CHUNK)
            self._read_output()
        return True

    def _end_all(self) -> int:
        """Kills until no descendant is left: orphans come to this process, however detached."""
        deadline = time.monotonic() + _PATIENCE
        while below := descendants(os.getpid()):
            # All are stopped before any is killed, or one could fork while its parent dies.
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for process in below:
                    send(process, number)
            if self._emptied(0.1) or time.monotonic() > deadline:
                break
        self._reap()
        return len(descendants(os.getpid()))


def signal_name(number: int) -> str:
    """SIGSEGV and such; a number where the platform has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def main() -> None:
    """Guards what the settings say."""
    os.setsid()
    become_subreaper()
    settings, asked = b"", b""
    while b"\n" not in settings:
        settings += os.read(sys.stdin.fileno(), _CHUNK) or b"\n"
    settings, _, asked = settings.partition(b"\n")
    if settings:  # else the runner died before it could say what to start
        Guard(json.loads(settings), asked).run()


if __name__ == "__main__":
    main()
