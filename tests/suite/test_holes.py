"""The sixteen holes of plain suite loops, each beside what `fusible suite` says of the same tests.

A loop ends green, hangs, or tells wrong; the runner does not.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from support.plain_loop import HungError, Loop, case_results, open_pipe
from support.small_suites import Ran, project, pytest_alone, run, run_command

# A test that fails as often as it is told, then passes; it counts in a file.
COUNTING = """
    from pathlib import Path
    def count(name):
        path = Path(name)
        path.write_text(path.read_text() + "x" if path.exists() else "x")
        return len(path.read_text())
"""


def in_folders(tmp_path: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """The project twice: a loop must not leave its caches and counters to the runner."""
    return project(tmp_path / "loop", files), project(tmp_path / "suite", files)


def red(ran: Ran, exit_status: int, **outcomes: str) -> None:
    """The run ended with this status, and says this of these tests."""
    assert ran.exit == exit_status, ran.explained()
    assert {name: ran.outcomes.get(name) for name in outcomes} == outcomes


def test_h1_retry_forgets_what_stands_behind_the_first_failure(tmp_path):
    files = {
        "counting.py": COUNTING,
        "test_a.py": """
            from counting import count
            def test_first(): pass
            def test_flaky():
                if count("runs") == 1:
                    raise TimeoutError("slow machine")
            def test_broken(): assert False
        """,
    }
    loop, folder = in_folders(tmp_path, files)
    assert Loop(loop).by_ids() == 0
    red(run(folder, "--retries", "1"), 1, test_flaky="flaky", test_broken="failed")


def test_h2_crash_leaves_the_failures_of_an_earlier_run(tmp_path):
    files = {
        "test_a.py": """
            import os, signal
            def test_old(): assert "OLD" not in os.environ
            def test_crash():
                print("out of memory", flush=True)
                os.kill(os.getpid(), signal.SIGSEGV)
            def test_broken(): assert False
        """
    }
    loop, folder = in_folders(tmp_path, files)
    pytest_alone(loop, "-k", "test_old", env={"OLD": "1"})
    plain = Loop(loop)
    assert plain.by_ids() == 0
    assert plain.statuses == [-11, 0]
    ran = run(folder, "--continue-on-error")
    red(ran, 3, test_old="passed", test_crash="crashed", test_broken="failed")
    assert "SIGSEGV" in ran.test("test_crash")["reason"]


EXITS = {
    "test": {"test_a.py": "import os\ndef test_exit(): os._exit(0)\ndef test_b(): assert False"},
    "import": {"test_a.py": "import os\nos._exit(0)", "test_b.py": "def test_b(): assert False"},
    "conftest": {"conftest.py": "import os\nos._exit(0)", "test_b.py": "def test_b(): pass"},
}


@pytest.mark.parametrize("where", EXITS)
def test_h3_exit_of_the_process_with_status_0(tmp_path, where):
    loop, folder = in_folders(tmp_path, EXITS[where])
    assert Loop(loop).by_ids() == 0
    ran = run(folder, "--continue-on-error")
    red(ran, 3)
    if where == "test":
        red(ran, 3, test_exit="crashed", test_b="failed")
    if where == "import":
        red(ran, 3, **{"test_a.py": "crashed", "test_b": "failed"})


FORCED = {
    "pytest.exit": {
        "test_a.py": """
            import pytest
            def test_stop(): pytest.exit("enough", returncode=0)
            def test_broken(): assert False
        """
    },
    "exitstatus": {
        "conftest.py": "def pytest_sessionfinish(session): session.exitstatus = 0",
        "test_a.py": "def test_broken(): assert False",
    },
}


@pytest.mark.parametrize("how", FORCED)
def test_h4_forced_exit_status(tmp_path, how):
    loop, folder = in_folders(tmp_path, FORCED[how])
    assert Loop(loop, continue_on_error=True).by_ids() == 0
    ran = run(folder, "--continue-on-error")
    # pytest.exit in a test is a process that left in the middle of it: something was lost.
    red(ran, 3, test_broken="failed")


def test_h5_nothing_ran_counts_as_success(tmp_path):
    files = {"test_a.py": "import pytest\n@pytest.mark.parametrize('x', ['old'])\ndef test_p(x): 0"}
    loop, folder = in_folders(tmp_path, files)
    plan = run_command(folder, "plan", "--partitions", "1", "--output", "plan.json")
    assert plan.returncode == 0, plan.stderr
    for renamed in (loop, folder):
        path = renamed / "test_a.py"
        path.write_text(path.read_text().replace("old", "new"))
    plain = Loop(loop)
    assert plain.by_filter(["old"]) == 0
    assert plain.statuses == [5]
    ran = run(folder, "--plan", "plan.json")
    assert ran.exit in (2, 3), ran.explained()
    assert "old" in ran.stdout + ran.stderr


@pytest.mark.parametrize("addopts", ["-q", "-v"])
def test_h6_addopts_hide_every_test_from_a_parser(tmp_path, addopts):
    files = {
        "pytest.ini": f"[pytest]\naddopts = {addopts}\n",
        "test_a.py": "def test_broken(): assert False",
    }
    loop, folder = in_folders(tmp_path, files)
    assert Loop(loop).by_ids() == 0
    red(run(folder), 1, test_broken="failed")


def test_h7_ids_end_at_a_space_and_any_line_may_be_one(tmp_path):
    files = {
        "conftest.py": "def pytest_collection_finish(): print('plugin::noise hello')",
        "test_a.py": """
            import pytest
            @pytest.mark.parametrize("x", ["a b"])
            def test_p(x): pass
        """,
    }
    loop, folder = in_folders(tmp_path, files)
    plain = Loop(loop)
    assert sorted(plain.collect()) == ["plugin::noise", "test_a.py::test_p[a"]
    assert plain.by_ids() == 4
    ran = run(folder)
    assert (ran.exit, ran.outcomes) == (0, {"test_p[a b]": "passed"}), ran.explained()


def test_h8_filters_match_more_and_less_than_an_id(tmp_path):
    files = {
        "test_a.py": """
            import pytest
            @pytest.mark.parametrize("x", ["UPPER", "upper", "é", "(%'"])
            def test_p(x):
                assert x.isascii()
        """
    }
    loop, folder = in_folders(tmp_path, files)
    assert Loop(loop).by_filter(["UPPER"]) == 0
    assert set(case_results(loop / "junit.xml")) == {"UPPER", "upper"}
    assert Loop(loop).by_filter(["é"]) == 0  # it fails, if it is run
    assert Loop(loop).by_filter(["(%'"]) == 4
    parts = [
        run(folder, "--continue-on-error", "--partition-id", str(i), "--total-partitions", "2")
        for i in range(2)
    ]
    assert sorted(ran.exit for ran in parts) == [0, 1]
    ids = [test["id"] for ran in parts for test in ran.tests]
    assert len(ids) == len(set(ids)) == 4


def test_h9_long_filters_break_pytest(tmp_path):
    files = {
        "test_a.py": """
            import pytest
            @pytest.mark.parametrize("x", range(2400))
            def test_p(x): pass
        """
    }
    loop, folder = in_folders(tmp_path, files)
    plain = Loop(loop)
    assert plain.by_filter([str(i) for i in range(0, 2400, 2)]) == 3
    ran = run(folder, "--partition-id", "1", "--total-partitions", "2")
    assert ran.exit == 0, ran.explained()
    assert len(ran.tests) == 1200


def test_h10_text_in_brackets_is_no_key(tmp_path):
    files = {
        "test_a.py": """
            import pytest
            each = pytest.mark.parametrize("x", ["e[0]", "same"])
            class TestA:
                @each
                def test_p(self, x): assert False
            class TestB:
                @each
                def test_p(self, x): pass
            def test_no_brackets(): assert False
        """
    }
    loop, folder = in_folders(tmp_path, files)
    Loop(loop, continue_on_error=True).by_ids()
    assert case_results(loop / "junit.xml") == {"e[0": "pass", "same": "pass"}
    ran = run(folder, "--continue-on-error")
    red(ran, 1, test_no_brackets="failed")
    assert len(ran.tests) == 5
    red(ran, 1, **{"TestA::test_p[same]": "failed", "TestB::test_p[same]": "passed"})
    red(ran, 1, **{"TestA::test_p[e[0]]": "failed", "TestB::test_p[e[0]]": "passed"})


HOLDS_OUTPUT = {
    "pytest.ini": "[pytest]\naddopts = -s\n",
    "conftest.py": "def pytest_unconfigure(): open('idle', 'w').close()",
    "test_a.py": """
        import subprocess
        def test_daemon():
            child = subprocess.Popen(["sleep", "600"], start_new_session=True)
            open("child", "w").write(str(child.pid))
    """,
}


def test_h11_daemon_that_keeps_the_output_open(tmp_path):
    loop, folder = in_folders(tmp_path, HOLDS_OUTPUT)
    with pytest.raises(HungError):
        Loop(loop, idle="idle").attempt([])
    os.kill(int((loop / "child").read_text()), signal.SIGKILL)  # it outlives the loop
    ran = run(folder)
    red(ran, 0, test_daemon="passed")
    assert not Path(f"/proc/{(folder / 'child').read_text()}").exists()


def test_h12_a_word_in_the_log_decides_on_retries(tmp_path):
    files = {
        "counting.py": COUNTING,
        "suites.toml": '[default]\nretry = {times = 6, on = ["TimeoutError"]}\n',
        "test_a.py": """
            from counting import count
            def test_talks(): print("caught a TimeoutError, as it should be")
            def test_wrong(): assert count("runs") == 3
        """,
    }
    loop, folder = in_folders(tmp_path, files)
    assert Loop(loop, continue_on_error=True).by_ids() == 1
    # The word came once, in the output of the passing test; a whole retry was spent on it.
    assert (loop / "runs").read_text() == "xx"
    ran = run(folder, "--continue-on-error")
    red(ran, 1, test_wrong="failed")
    assert ran.test("test_wrong")["attempts"] == 1


def test_h13_a_threshold_retried_until_it_passes(tmp_path):
    files = {
        "counting.py": COUNTING,
        "test_a.py": """
            from counting import count
            class TooSlow(AssertionError):
                measurement = {"ms": 130.0, "limit_ms": 125.0}
            def test_speed():
                if count("runs") < 5:
                    raise TooSlow("[performance] 130 ms, expected at most 125 ms")
        """,
    }
    loop, folder = in_folders(tmp_path, files)
    assert Loop(loop).by_ids() == 0
    assert (loop / "runs").read_text() == "xxxxx"
    ran = run(folder, "--retries", "6")
    red(ran, 1, test_speed="failed")
    assert ran.test("test_speed")["attempts"] == 1


def test_h14_a_question_that_nobody_answers(tmp_path):
    files = {
        "pytest.ini": "[pytest]\naddopts = -s\n",
        "test_a.py": "def test_asks():\n    open('idle', 'w').close()\n    input('go on? ')",
    }
    loop, folder = in_folders(tmp_path, files)
    with pytest.raises(HungError):
        Loop(loop, idle="idle").attempt([])
    with open_pipe() as stdin:
        ran = run(folder, stdin=stdin)
    red(ran, 1, test_asks="failed")
    assert "EOF" in ran.test("test_asks")["reason"]


def test_h15_reports_without_attempts_overwrite_each_other(tmp_path):
    files = {
        "counting.py": COUNTING,
        "test_a.py": """
            from counting import count
            def test_flaky():
                if count("runs") % 2:
                    raise TimeoutError
        """,
    }
    loop, folder = in_folders(tmp_path, files)
    for _ in range(2):
        assert Loop(loop).by_ids() == 0
    assert len(list(loop.glob("*.xml"))) == 1
    assert "Timeout" not in (loop / "junit.xml").read_text()
    for _ in range(2):
        ran = run(folder, "--retries", "1", "--junit", "junit.xml")
        red(ran, 0, test_flaky="flaky")
        assert ran.test("test_flaky")["attempts"] == 2
    assert "<flakyFailure" in (folder / "junit.xml").read_text()
    ledgers = list((folder / ".fusible").rglob("*.jsonl"))
    assert len(ledgers) == 2
    assert all(json.loads(path.read_text().splitlines()[-1])["exit"] == 0 for path in ledgers)


def test_h16_a_time_limit_that_ends_the_whole_process(tmp_path):
    files = {
        # What the thread method of pytest-timeout does.
        "conftest.py": """
            import os, threading, pytest
            @pytest.fixture(autouse=True)
            def limit():
                timer = threading.Timer(0.5, os._exit, (1,))
                timer.start()
                yield
                timer.cancel()
        """,
        "test_a.py": """
            import time
            def test_before(): pass
            def test_hangs(): time.sleep(600)
            def test_after(): assert False
        """,
    }
    loop, folder = in_folders(tmp_path, files)
    assert Loop(loop, continue_on_error=True).by_ids() == 1
    assert not (loop / "junit.xml").exists()
    ran = run(folder, "--continue-on-error")
    red(ran, 3, test_before="passed", test_hangs="crashed", test_after="failed")
