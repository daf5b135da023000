"""The guard by itself: what it says, what it keeps of the output, and that nothing outlives it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fusible.suite import guard
from fusible.suite.session import STACKS_SIGNAL


class Guarded:
    """A Python program under a guard."""

    def __init__(self, folder, program):
        self.output = folder / "output"
        settings = {
            "command": [sys.executable, "-c", program],
            "directory": str(folder),
            "environment": {**os.environ, "PLACE": str(folder)},
            "output": str(self.output),
            "stacks_signal": int(STACKS_SIGNAL),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.process.stdin.write(json.dumps(settings).encode() + b"\n")
        self.process.stdin.flush()
        self.pid = json.loads(self.process.stdout.readline())["pid"]

    def end(self, command=b""):
        """Its last words; the end of its input unless there is a command."""
        if command:
            self.process.stdin.write(command)
            self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        self.process.communicate(timeout=60)
        return said


@pytest.fixture
def guarded(tmp_path):
    started = []

    def make(program):
        started.append(Guarded(tmp_path, program))
        return started[-1]

    yield make
    for one in started:
        one.process.kill()
        one.process.communicate()


def gone(pid, within=30.0):
    until = time.monotonic() + within
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            return True
        if state == b"Z" or time.monotonic() >= until:
            return state == b"Z"
        time.sleep(0.01)


def appears(path):
    until = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return path.read_text()


# A grandchild whose parent is gone, in a session of its own, that keeps standard output.
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("daemon.new", "w").write(str(os.getpid()))
        os.rename("daemon.new", "daemon")
        time.sleep(1000)
    os._exit(0)
while not os.path.exists("daemon"):
    time.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("program", "status", "name"),
    [
        ("raise SystemExit(3)", 3, None),
        ("import os; os._exit(0)", 0, None),
        ("import os; os.kill(os.getpid(), 11)", -11, "SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", -9, "SIGKILL"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGRTMAX)", -signal.SIGRTMAX, "SIGRTMAX"),
    ],
)
def test_says_how_the_child_ended(guarded, program, status, name):
    said = guarded(program).end()
    assert (said["status"], said["signal"], said["left"]) == (status, name, 0)
    assert said["maxrss_kb"] > 0


def test_a_detached_daemon_ends_with_the_child(guarded, tmp_path):
    assert guarded(DAEMON).end()["status"] == 0
    assert gone(int((tmp_path / "daemon").read_text()), within=0)


@pytest.mark.parametrize("way", ["kill", "end of input"])
def test_everything_ends_when_the_runner_wants_or_dies(guarded, tmp_path, way):
    child = guarded(DAEMON + "time.sleep(1000)")
    daemon = int(appears(tmp_path / "daemon"))
    if way == "kill":
        assert child.end(b"kill\n")["signal"] == "SIGKILL"
    else:
        child.process.communicate(timeout=60)
    assert gone(child.pid, within=0)
    assert gone(daemon, within=0)


def test_the_child_dies_with_its_guard(guarded, tmp_path):
    child = guarded("import time; open('up', 'w').write('1'); time.sleep(1000)")
    appears(tmp_path / "up")
    child.process.kill()
    assert gone(child.pid)


def test_children_that_fork_without_end_are_ended(guarded, tmp_path):
    program = "import os, time\nopen('up', 'w').write('1')\n"
    program += "for _ in range(2000):\n    time.sleep(0.002)\n    if os.fork(): os._exit(0)\n"
    child = guarded(f"import os, time\nif os.fork() == 0:\n    exec({program!r})\ntime.sleep(1000)")
    appears(tmp_path / "up")
    assert child.end(b"kill\n")["left"] == 0


def test_signals_of_the_tests_do_not_reach_the_guard(guarded):
    program = "import os, signal; signal.signal(15, lambda *_: None)\n"
    program += "os.kill(os.getppid(), 15); os.killpg(0, 15); os.kill(os.getppid(), 2)"
    assert guarded(program).end()["status"] == 0


def test_the_child_has_nothing_to_read_and_its_starters_signals(guarded):
    ignored = [signal.getsignal(number) == signal.SIG_IGN for number in (15, 1)]  # 1 by `nohup`
    program = "import signal, sys; assert sys.stdin.read() == ''\n"
    program += f"assert [signal.getsignal(n) == signal.SIG_IGN for n in (15, 1)] == {ignored}"
    assert guarded(program).end()["status"] == 0


def test_output_of_both_streams_is_kept(guarded):
    child = guarded("import os; os.write(1, b'one\\xff'); os.write(2, b'two')")
    child.end()
    assert child.output.read_bytes() == b"one\xfftwo"


def test_stacks_are_asked_for_by_a_signal(guarded, tmp_path):
    program = f"import signal; open('up', 'w').write('1'); signal.sigwait([{STACKS_SIGNAL}])"
    child = guarded(f"import signal; signal.pthread_sigmask(0, [{STACKS_SIGNAL}])\n{program}")
    appears(tmp_path / "up")
    assert child.end(b"stacks\n")["status"] == 0


@pytest.mark.parametrize("size", [0, 5, 10, 15, 20, 21, 1000])
def test_head_and_tail_are_kept(tmp_path, size):
    data = bytes(i % 251 for i in range(size))
    output = guard.Output(str(tmp_path / "output"), head=10, tail=10)
    for i in range(0, size, 7):
        output.add(data[i : i + 7])
    output.close()
    dropped = b"\n[... %d bytes of output dropped ...]\n" % (size - 20) if size > 20 else b""
    kept = (tmp_path / "output").read_bytes()
    assert kept == data[:10] + dropped + data[max(10, size - 10) :]
