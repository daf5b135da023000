"""What becomes of calls where threads are refused, and of threads where the interpreter ends."""

import os
import subprocess
import sys

import pytest

# Address space in MiB above what the process has: the stacks of threads take 8 each by default.
REFUSED = """
import resource, sys, numpy as np
from fusible import _core, ops
x = np.ones((512, 64), np.float32)
_core.set_bytes_per_thread(1)
for line in open("/proc/self/status"):
    if line.startswith("VmSize:"):
        have = int(line.split()[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (have + (int(sys.argv[1]) << 20),) * 2)
for _ in range(3):
    assert (ops.add(x, x) == 2).all()
"""

# Calls without the interpreter's lock, in a thread that nobody waits for.
DAEMON = """
import threading, time, numpy as np
from fusible import ops
x = np.ones((2048, 1024), np.float32)
begun = threading.Event()
def work():
    while True:
        ops.add(x, x)
        begun.set()
threading.Thread(target=work, daemon=True).start()
begun.wait()
time.sleep(0.01)
"""


def run(script, *arguments, threads):
    """A process of its own that must end well; what it says on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "FUSIBLE_THREADS": threads},
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


NO_SANITIZER = pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="address space is the sanitizer's"
)


@NO_SANITIZER
@pytest.mark.parametrize(("threads", "room"), [("2", 6), ("64", 2), ("64", 40), ("1024", 500)])
def test_calls_run_on_the_threads_that_can_be_had(threads, room):
    said = run(REFUSED, str(room), threads=threads)
    granted = int(said.removeprefix("fusible: ").split()[0])
    assert said.startswith(f"fusible: {granted} of {int(threads) - 1} helper threads could be ")
    assert granted * 8 <= room


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_interpreter_ends_while_a_daemon_thread_is_in_a_call(threads):
    for _ in range(3):
        assert run(DAEMON, threads=threads) == ""
