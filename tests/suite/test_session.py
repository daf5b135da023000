"""A process of pytest from outside: how deaths, hangs and false ends are told."""

import os
import signal
import time
from pathlib import Path

import pytest

from fusible.suite.model import Limits
from support.sessions import follow, outcomes, planned, run, start

LEAVE = "import os; os._exit(0)"
FAIL = "\ndef test_last():\n    assert False\n"


def dying(statement):
    """A test between two others."""
    return {
        "test_it.py": f"""
        import os, pytest, signal, sys
        def test_first(): pass
        def test_it():
            {statement}
        def test_last(): pass
        """
    }


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state != b"Z"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("os._exit(0)", "left pytest with exit status 0"),
        ("pytest.exit('enough', returncode=0)", "pytest.exit('enough')"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("os.abort()", "SIGABRT"),
    ],
)
def test_a_death_is_charged_to_the_running_test(tmp_path, statement, reason):
    record = run(tmp_path, dying(statement)).record
    (death,) = record.attempts[1]
    assert (death.outcome, death.reason) == ("crashed", reason)
    assert death.before == ("test_it.py::test_first",)
    assert record.left() == [2]
    assert record.problems == []


def test_the_stacks_of_a_crash_are_kept(tmp_path):
    record = run(tmp_path, dying("import ctypes; ctypes.string_at(0)")).record
    (failure,) = record.attempts[1][0].failures
    assert failure.signal == "SIGSEGV"
    assert "in test_it" in failure.text


@pytest.mark.parametrize(
    ("files", "broken"),
    [
        ({"test_it.py": LEAVE}, "test_it.py"),
        ({"conftest.py": LEAVE, "test_it.py": FAIL}, "conftest.py"),
        ({"sub/conftest.py": LEAVE, "sub/test_it.py": FAIL}, "sub/conftest.py"),
        ({"test_it.py": "import ctypes; ctypes.string_at(0)"}, "test_it.py"),
    ],
    ids=["file", "conftest", "inner-conftest", "segfault"],
)
def test_a_death_while_importing_is_charged_to_the_file(tmp_path, files, broken):
    record = run(tmp_path, files).record
    assert {file: attempt.outcome for file, attempt in record.broken.items()} == {broken: "crashed"}


def test_a_file_that_exits_is_broken(tmp_path):
    record = run(tmp_path, {"test_it.py": "import sys; sys.exit(0)"}).record
    # pytest 7 goes on after it, later ones end.
    assert record.broken["test_it.py"].outcome in ("error", "crashed")


@pytest.mark.parametrize("folder", ["", "sub/"])
def test_a_raising_conftest_is_a_failure_and_no_death(tmp_path, folder):
    files = {f"{folder}conftest.py": "raise OSError('no such luck')", f"{folder}test_it.py": FAIL}
    record = run(tmp_path, files).record
    attempt = record.broken[f"{folder}conftest.py"]
    assert attempt.outcome == "error"
    assert "no such luck" in attempt.reason
    assert "FileNotFoundError" not in attempt.failures[0].types
    assert "builtins.OSError" in attempt.failures[0].types
    assert record.problems == []


@pytest.mark.parametrize(
    ("conftest", "problem"),
    [
        ("def pytest_sessionfinish(session): session.exitstatus = 0", "but 1 failed"),
        ("import atexit, os; atexit.register(os._exit, 0)", "its process exited with 0"),
        ("import os\ndef pytest_sessionfinish(): os._exit(0)", "exited between tests"),
        ("import pytest\ndef pytest_sessionfinish(): pytest.exit('x', 0)", "but 1 failed"),
        ("import os\ndef pytest_unconfigure(): os.kill(os.getpid(), 11)", "SIGSEGV"),
    ],
)
def test_a_false_end_is_a_problem(tmp_path, conftest, problem):
    record = run(tmp_path, {"conftest.py": conftest, "test_it.py": FAIL}).record
    assert outcomes_of(record) == ["failed"]
    assert len(record.problems) == 1
    assert problem in record.problems[0]


def test_a_hook_that_raises_at_the_end_is_a_problem(tmp_path):
    conftest = "def pytest_sessionfinish(): raise OSError"
    record = run(tmp_path, {"conftest.py": conftest, "test_it.py": "def test_it(): pass"}).record
    assert record.problems == ["pytest ended with status 0, its process exited with 1"]


def outcomes_of(record):
    return [attempt.outcome.value for (attempt,) in record.attempts.values()]


@pytest.mark.parametrize(
    "statement",
    ["while True: pass", "import ctypes; ctypes.PyDLL(None).sleep(1000)"],
    ids=["python", "holding-the-lock"],
)
def test_a_hang_is_ended_and_shows_its_stacks(tmp_path, statement):
    record = run(tmp_path, dying(statement), limits=Limits(test=1.0)).record
    (death,) = record.attempts[1]
    assert (death.outcome, death.reason) == ("timeout", "test limit of 1 s")
    assert "in test_it" in death.failures[0].text
    assert record.left() == [2]


def test_a_hanging_import_is_charged_to_the_file(tmp_path):
    files = {"test_it.py": "import time; time.sleep(1000)"}
    record = run(tmp_path, files, limits=Limits(file=1.0)).record
    assert record.broken["test_it.py"].reason == "file limit of 1 s"


@pytest.mark.parametrize(
    "conftest",
    [
        "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()",
        "import atexit, time; atexit.register(time.sleep, 1000)",
    ],
    ids=["thread", "atexit"],
)
def test_a_hang_after_the_end_is_a_problem_of_no_test(tmp_path, conftest):
    files = {"conftest.py": conftest, "test_it.py": "def test_it(): pass"}
    record = run(tmp_path, files, limits=Limits(grace=0.5)).record
    assert outcomes_of(record) == ["passed"]
    assert "no exit within 0.5 s" in record.problems[0]


DAEMON = """
import os, subprocess, sys
def test_it():
    code = "import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(1000)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    open("pid", "wb").write(child.stdout.readline())
    subprocess.Popen(["sleep", "1000"])
"""


def test_what_tests_leave_behind_is_ended(tmp_path):
    session = run(tmp_path, {"test_it.py": DAEMON}, "-s")
    assert outcomes_of(session.record) == ["passed"]
    assert session.record.problems == []
    assert not alive(int((tmp_path / "project/pid").read_text()))


def test_a_killed_guard_takes_its_tests_along(tmp_path):
    files = {"test_it.py": DAEMON + "    import time; time.sleep(1000)"}
    session = start(tmp_path, files)
    pid = tmp_path / "project/pid"

    def kill(event):
        if event["e"] == "started":
            wait_for(lambda: pid.exists() and pid.read_text())
            os.kill(session._guard.pid, signal.SIGKILL)

    record = follow(session, kill).record
    assert record.attempts[0][0].reason == "its process was killed together with its guard"
    assert not alive(int(pid.read_text()))


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_output_is_bounded(tmp_path):
    statement = "os.write(1, b'first'); [os.write(1, b'x' * 2**20) for _ in range(30)]"
    files = dying(f"{statement}; os.write(1, b'\\xff\\0last')")
    session = run(tmp_path, files, "-s")
    output = session.output.read_bytes()
    assert outcomes(session) == dict.fromkeys(("test_first", "test_it", "test_last"), "passed")
    assert len(output) < 9 << 20
    assert b"first" in output
    assert b"bytes of output dropped" in output
    assert b"\xff\0last" in output


def test_an_interruption_charges_nobody(tmp_path):
    session = start(tmp_path, dying("import time; time.sleep(1000)"))
    record = follow(
        session, lambda event: session.kill("interrupted") if event.get("i") == 1 else None
    ).record
    assert list(record.attempts) == [0]
    assert record.left() == [1, 2]
    assert record.problems == []


def test_a_stop_lets_the_running_test_end(tmp_path):
    files = dying("while not os.path.exists('go'): pass")
    session = start(tmp_path, files)

    def stop(event):
        if event["e"] == "started" and event["i"] == 1:
            session.stop()
            (tmp_path / "project/go").touch()

    record = follow(session, stop).record
    assert sorted(record.attempts) == [0, 1]
    assert (record.left(), record.why) == ([2], "stopped by the runner")
    assert record.problems == []


def test_a_failure_stops_what_is_told_to_stop(tmp_path):
    record = run(tmp_path, dying("assert False"), stop_on_failure=True).record
    assert sorted(record.attempts) == [0, 1]
    assert (record.left(), record.why) == ([2], "stopping after a failure")
    assert record.problems == []


def test_collecting_runs_nothing(tmp_path):
    record = run(tmp_path, dying("os._exit(1)"), purpose="collect").record
    assert record.collection is not None
    assert [item.id.partition("::")[2] for item in record.collection.items] == [
        "test_first",
        "test_it",
        "test_last",
    ]
    assert (record.attempts, record.left(), record.problems) == ({}, [], [])


def test_an_interpreter_that_is_not_there_is_a_problem(tmp_path):
    record = run(tmp_path, {}, python="/proc/no/python").record
    assert "can't start /proc/no/python" in record.problems[0]


def test_the_worker_stands_in_the_environment(tmp_path):
    files = dying("assert os.environ['FUSIBLE_SUITE_WORKER'] == '7'")
    assert outcomes(run(tmp_path, files))["test_it"] == "passed"


def test_only_planned_items_run(tmp_path):
    session = run(tmp_path, dying("assert False"), items=planned("test_last", "test_gone"))
    assert outcomes(session) == {"test_last": "passed"}
    assert session.record.missing == (1,)
