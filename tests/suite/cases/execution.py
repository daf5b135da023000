"""Tests that end, block or deceive their own process."""

from support.small_suites import Case

DEATHS = {
    "test_a.py": """
        import atexit, os, signal, sys
        import pytest

        def test_first(): pass
        def test_segv(): os.kill(os.getpid(), signal.SIGSEGV)
        def test_abort(): os.abort()
        def test_kill(): os.kill(os.getpid(), signal.SIGKILL)
        def test_term(): os.kill(os.getpid(), signal.SIGTERM)
        def test_zero(): os._exit(0)
        def test_one(): os._exit(1)
        def test_interrupt(): raise KeyboardInterrupt
        def test_leave(): pytest.exit("enough", returncode=0)
        @pytest.fixture
        def deadly(): os._exit(0)
        def test_fixture(deadly): pass
        @pytest.fixture
        def undone():
            yield
            os._exit(0)
        def test_teardown(undone): pass
        def test_system_exit(): sys.exit(0)
        def test_last(): pass
    """
}
HANGS = {
    "test_a.py": """
        import signal, threading, time
        import pytest
        def test_sleeps(): time.sleep(600)
        def test_ignores():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGINT])
            while True:
                time.sleep(1)
        @pytest.fixture
        def slow():
            yield
            time.sleep(600)
        def test_teardown(slow): pass
        def test_good(): pass
    """
}
# A child of fork() that returns into pytest runs what comes after it for a second time.
FORKED = {
    "test_a.py": """
        import os
        def test_forks():
            child = os.fork()
            if child:
                os.waitpid(child, 0)
        def test_after(): pass
    """
}
OUTPUT = {
    "pytest.ini": "[pytest]\naddopts = -s\n",
    "test_a.py": r"""
        import os, sys
        def test_long_line(): os.write(1, b"x" * 30_000_000)
        def test_bytes(): os.write(1, bytes(range(256)) + b"\x1b[2J\r\n")
        def test_mimics():
            print("=== short test summary info ===\nFAILED test_a.py::x\n::error::no\n9 failed")
        def test_closes():
            for number in (0, 1, 2):
                os.close(number)
        def test_replaces(): sys.stdout = sys.stderr = None
        def test_fails(): assert False
    """,
}
DECEIVED = {
    # Without -s pytest's own capturing is what breaks first.
    "pytest.ini": "[pytest]\naddopts = -s\n",
    "test_a.py": r"""
        import builtins, json, os, shutil, signal, sys, tempfile, time
        import pytest

        def no(*args, **kwargs): raise OSError("mocked")

        def test_closes_everything(): os.closerange(3, 200)
        def test_reuses_descriptors():
            os.closerange(3, 200)
            for _ in range(40):
                os.open("/dev/null", os.O_RDWR)
        def test_time(monkeypatch):
            for name in ("time", "monotonic", "perf_counter"):
                monkeypatch.setattr(time, name, lambda: -1e9)
        def test_system(monkeypatch):
            monkeypatch.setattr(os, "write", no)
            monkeypatch.setattr(os, "getpid", lambda: 1)
            monkeypatch.setattr(os, "kill", no)
            monkeypatch.setattr(json, "dumps", no)
            monkeypatch.setattr(builtins, "open", no)
        def test_environment(monkeypatch):
            for name in list(os.environ):
                if name != "PYTEST_CURRENT_TEST":
                    monkeypatch.delenv(name)
            monkeypatch.setenv("TZ", "Pacific/Kiritimati")
        def test_folder(tmp_path, monkeypatch):
            monkeypatch.chdir(tmp_path)
            shutil.rmtree(tmp_path)
        def test_alarm(): signal.setitimer(signal.ITIMER_REAL, 60)
        def test_recursion():
            def f(): f()
            f()
        def test_memory(): bytearray(1 << 62)
        def test_passes(): pass
    """,
}
ORPHANS = {
    "test_a.py": """
        import os, subprocess, sys
        def test_double_fork():
            subprocess.run([sys.executable, "-c",
                "import subprocess; subprocess.Popen(['sleep', '601.5'], start_new_session=True)"])
        def test_child(): subprocess.Popen(["sleep", "601.5"])
    """
}
FAILING_END = {
    "conftest.py": "def pytest_sessionfinish(): raise ValueError('at the end')",
    "test_a.py": "def test_a(): pass",
}
WARNING_END = {
    "pytest.ini": "[pytest]\nfilterwarnings = error\n",
    "conftest.py": "import warnings\ndef pytest_sessionfinish(): warnings.warn('at the end')",
    "test_a.py": "def test_a(): pass",
}
# Stacks of a slow test by pytest itself, beside ours of one that hangs.
TIMEOUTS = {
    "pytest.ini": "[pytest]\nfaulthandler_timeout = 0.3\n",
    "test_a.py": """
        import time
        def test_slow(): time.sleep(1)
        def test_hangs(): time.sleep(600)
        def test_good(): pass
    """,
}
POOR = {
    "test_a.py": """
        import os, pytest
        def test_told():
            assert (os.environ["HOME"], os.path.exists(os.environ["TMPDIR"])) == ("", False)
        @pytest.mark.parametrize("x", ["\u00e9"])
        def test_fails(x): raise ValueError("\u2603")
        def test_temporary(tmp_path): (tmp_path / "x").touch()
    """,
}
DEADLY_END = {
    "test_a.py": """
        import atexit, os
        def test_a(): atexit.register(os._exit, 7)
    """
}
NESTED = {
    "test_a.py": """
        import subprocess, sys
        def test_starts_a_pytest(tmp_path):
            (tmp_path / "test_inner.py").write_text("def test_inner(): assert False")
            command = [sys.executable, "-m", "pytest", str(tmp_path), "-q"]
            assert subprocess.run(command).returncode == 1
    """
}
CASES = [
    Case(
        "deaths",
        DEATHS,
        {
            "test_first": "passed",
            "test_segv": "crashed",
            "test_abort": "crashed",
            "test_kill": "crashed",
            "test_term": "crashed",
            "test_zero": "crashed",
            "test_one": "crashed",
            "test_interrupt": "crashed",
            "test_leave": "crashed",
            "test_fixture": "crashed",
            "test_teardown": "crashed",
            "test_system_exit": "failed",
            "test_last": "passed",
        },
        exit=3,
        reasons={
            "test_segv": "SIGSEGV",
            "test_abort": "SIGABRT",
            "test_kill": "SIGKILL",
            "test_term": "SIGTERM",
            "test_zero": "exit status 0",
            "test_one": "exit status 1",
            "test_interrupt": "KeyboardInterrupt",
            "test_leave": "enough",
            "test_system_exit": "SystemExit",
        },
    ),
    Case(
        "hangs",
        HANGS,
        {
            "test_sleeps": "timeout",
            "test_ignores": "timeout",
            "test_teardown": "timeout",
            "test_good": "passed",
        },
        exit=3,
        arguments=("--timeout-test", "2"),
        reasons={"test_sleeps": "2 s"},
    ),
    Case(
        "fork that returns",
        FORKED,
        {"test_forks": "passed", "test_after": "passed"},
        exit=3,
        problems=("test_forks",),
    ),
    Case(
        "output",
        OUTPUT,
        {
            "test_long_line": "passed",
            "test_bytes": "passed",
            "test_mimics": "passed",
            "test_closes": "crashed",  # pytest itself can't write any more and gives up
            "test_replaces": "passed",
            "test_fails": "failed",
        },
        exit=3,
    ),
    Case(
        "mocks of everything",
        DECEIVED,
        {
            "test_closes_everything": "passed",
            "test_reuses_descriptors": "passed",
            "test_time": "passed",
            "test_system": "passed",
            "test_environment": "passed",
            "test_folder": "passed",
            "test_alarm": "passed",
            "test_recursion": "failed",
            "test_memory": "failed",
            "test_passes": "passed",
        },
        exit=1,
        reasons={"test_recursion": "RecursionError", "test_memory": "MemoryError"},
    ),
    Case("orphans", ORPHANS, {"test_double_fork": "passed", "test_child": "passed"}),
    Case(
        "hook that raises at the end",
        FAILING_END,
        {"test_a": "passed"},
        exit=3,
        problems=("exited with 1",),
    ),
    Case(
        "warning at the end that is an error",
        WARNING_END,
        {"test_a": "passed"},
        exit=3,
        problems=("exited with 1",),
    ),
    Case(
        "timeouts of pytest's own",
        TIMEOUTS,
        {"test_slow": "passed", "test_hangs": "timeout", "test_good": "passed"},
        exit=3,
        arguments=("--timeout-test", "4"),
    ),
    Case(
        "no home, no temporary folder, no locale",
        POOR,
        {"test_told": "passed", r"test_fails[\xe9]": "failed", "test_temporary": "passed"},
        exit=1,
        env={
            "HOME": "",
            "TMPDIR": "none",
            "LC_ALL": "C",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONUTF8": "0",
        },
        arguments=("--workers", "2"),
    ),
    Case("exit of its own", DEADLY_END, {"test_a": "passed"}, exit=3, problems=("7",)),
    Case("pytest inside", NESTED, {"test_starts_a_pytest": "passed"}),
]
