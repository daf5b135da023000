"""The scheduler: what runs after a death, what is retried and when, when it stops, what is left."""

import io
import json
import time

import pytest

from fusible.suite.config import SuiteConfig
from fusible.suite.crew import Crew
from fusible.suite.report import Reporter
from fusible.suite.request import Request
from fusible.suite.run import run as run_request
from support.small_suites import PYTHON, project, run, run_command

CRASH = "def test_crash():\n    import os\n    os.kill(os.getpid(), 11)\n"
ONCE = """
import pathlib
def once(name):
    # True the first time that it is asked, in whatever process.
    path = pathlib.Path(__file__).with_name("once-" + name)
    return not path.exists() and (path.touch() or True)
"""


def sessions(folder):
    """The runner's event of each process, of the latest ledger."""
    found = sorted(folder.glob(".fusible/suite/*/*/ledger.jsonl"), key=lambda p: p.stat().st_mtime)
    events = map(json.loads, found[-1].read_text().splitlines())
    return [event for event in events if event["e"] == "session"]


def purposes(folder):
    return [event["purpose"] for event in sessions(folder)]


def test_one_partition_collects_and_runs_in_one_process(tmp_path):
    folder = project(tmp_path, {"test_a.py": "def test_1(): pass\ndef test_2(): pass\n"})
    assert run(folder).outcomes == {"test_1": "passed", "test_2": "passed"}
    assert purposes(folder) == ["run"]


def test_a_process_that_ends_before_it_is_heard_of_runs_nothing_twice(tmp_path, monkeypatch):
    listen, turns = Crew._listen, []

    def listen_late(crew, heard):
        listen(crew, heard)
        turns.append(time.sleep(0 if turns else 5))  # the process comes and goes meanwhile

    monkeypatch.setattr(Crew, "_listen", listen_late)
    folder = project(tmp_path, {"test_a.py": "def test_1(): pass\n"})
    request = Request(SuiteConfig(), folder, folder / "files", folder / "l.jsonl", python=PYTHON)
    summary = run_request(request, Reporter(io.StringIO()))
    assert (summary.exit, len(summary.verdicts[0].attempts)) == (0, 1)
    assert request.ledger.read_text().count('"e":"started"') == 1


def test_after_a_death_the_rest_goes_on_in_a_fresh_process(tmp_path):
    text = f"def test_1(): pass\n{CRASH}def test_2(): pass\ndef test_3(): pass\n"
    folder = project(tmp_path, {"test_a.py": text})
    done = run(folder, "--continue-on-error")
    assert done.exit == 3
    assert [test["outcome"] for test in done.tests] == ["passed", "crashed", "passed", "passed"]
    assert "SIGSEGV" in done.test("test_crash")["reason"]
    assert purposes(folder) == ["run", "run"]
    assert sessions(folder)[1]["count"] == 2


def test_without_continue_on_error_nothing_starts_after_a_failure(tmp_path):
    text = "def test_1(): assert 0\ndef test_2(): pass\n"
    folder = project(tmp_path, {"test_a.py": text, "test_b.py": "def test_3(): pass\n"})
    done = run(folder)
    assert done.exit == 1
    assert done.outcomes == {"test_1": "failed", "test_2": "not-run", "test_3": "not-run"}
    assert done.report["not_run"] == ["test_a.py::test_2", "test_b.py::test_3"]
    assert "test_a.py::test_1" in done.test("test_2")["reason"]


def test_a_failure_is_retried_before_the_rest_goes_on(tmp_path):
    text = ONCE + (
        "def test_1(): assert not once('1')\n"
        "def test_2(): pathlib.Path('order').open('a').write('2')\n"
    )
    folder = project(tmp_path, {"test_a.py": text})
    done = run(folder, "--retries", "1")
    assert done.exit == 0, done.explained()
    assert done.test("test_1")["reason"] == "flaky (1 of 2)"
    assert purposes(folder) == ["run", "retry", "run"]


def test_with_continue_on_error_retries_come_last(tmp_path):
    text = ONCE + "def test_1(): assert not once('1')\ndef test_2(): assert 0\n"
    folder = project(tmp_path, {"test_a.py": text})
    done = run(folder, "--retries", "2", "--continue-on-error")
    assert done.outcomes == {"test_1": "flaky", "test_2": "failed"}
    assert done.test("test_2")["attempts"] == 3
    assert purposes(folder) == ["collect", "run", "retry", "retry", "retry"]


def test_what_fails_to_the_last_stops_the_rest(tmp_path):
    text = "def test_1(): assert 0\ndef test_2(): pass\n"
    done = run(project(tmp_path, {"test_a.py": text}), "--retries", "1")
    assert done.outcomes == {"test_1": "failed", "test_2": "not-run"}
    assert done.test("test_1")["attempts"] == 2


def test_a_crash_is_retried_only_when_asked_for(tmp_path):
    text = ONCE + "import os\ndef test_1():\n    if once('1'): os._exit(0)\n"
    plain = run(project(tmp_path / "plain", {"test_a.py": text}), "--retries", "1")
    assert plain.outcomes == {"test_1": "crashed"}
    assert plain.exit == 3
    suites = "[s]\nretry = {times = 1, on = ['crash']}\n"
    folder = project(tmp_path / "asked", {"test_a.py": text, "suites.toml": suites})
    asked = run(folder)
    assert asked.outcomes == {"test_1": "flaky"}
    assert asked.exit == 0


def test_retry_by_type_never_by_text(tmp_path):
    suites = "[s]\nretry = {times = 1, on = ['TimeoutError']}\n"
    text = ONCE + (
        "def test_type():\n    if once('t'): raise TimeoutError\n"
        "def test_text():\n    print('TimeoutError')\n    assert not once('x'), 'TimeoutError'\n"
    )
    folder = project(tmp_path, {"test_a.py": text, "suites.toml": suites})
    done = run(folder, "--continue-on-error", "--suite", "s")
    assert done.outcomes == {"test_type": "flaky", "test_text": "failed"}


def test_a_performance_failure_is_listed_and_not_retried(tmp_path):
    text = """
        class Slow(AssertionError):
            measurement = {"ms": 31}
        def test_slow(): raise Slow("too slow")
    """
    done = run(project(tmp_path, {"test_a.py": text}), "--retries", "3")
    assert done.test("test_slow")["attempts"] == 1, done.explained()
    assert '"ms": 31' in done.test("test_slow")["reason"]


def test_a_broken_file_does_not_hide_the_others(tmp_path):
    files = {"test_a.py": "import nothing_like_it\n", "test_b.py": "def test_1(): pass\n"}
    stopped = run(project(tmp_path / "stop", files))
    assert stopped.outcomes == {"test_a.py": "error", "test_1": "not-run"}
    going = run(project(tmp_path / "go", files), "--continue-on-error")
    assert going.outcomes == {"test_a.py": "error", "test_1": "passed"}
    assert (stopped.exit, going.exit) == (1, 1)


@pytest.mark.parametrize("death", ["import os; os._exit(0)", "import os; os.kill(os.getpid(), 11)"])
def test_a_file_that_ends_its_process_is_charged_and_left_out(tmp_path, death):
    files = {"test_a.py": death, "test_b.py": "def test_1(): pass\n"}
    stopped = run(project(tmp_path / "stop", files))
    assert stopped.outcomes == {"test_a.py": "crashed", "test_1": "not-run"}, stopped.explained()
    going = run(project(tmp_path / "go", files), "test_a.py", "test_b.py", "--continue-on-error")
    assert going.outcomes == {"test_a.py": "crashed", "test_1": "passed"}, going.explained()
    assert (stopped.exit, going.exit) == (3, 3)


def test_a_broken_file_is_retried_where_the_policy_says_so(tmp_path):
    text = ONCE + "if once('file'): raise OSError('busy')\ndef test_1(): pass\n"
    folder = project(tmp_path, {"test_a.py": text})
    done = run(folder, "--retries", "1")
    assert done.outcomes == {"test_1": "passed", "test_a.py": "flaky"}, done.explained()
    assert done.exit == 0


def test_a_hook_that_swallows_tests_loses_them(tmp_path):
    conftest = """
        import pytest
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item):
            return True if item.name == "test_2" else None
    """
    text = "def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): pass\n"
    done = run(project(tmp_path, {"conftest.py": conftest, "test_a.py": text}))
    assert done.exit == 3
    assert done.outcomes["test_2"] == "lost", done.explained()
    assert done.report["lost"] == ["test_a.py::test_2"]


def test_workers_share_the_files_and_know_their_number(tmp_path):
    text = "import os\ndef test_{0}():\n    assert os.environ['FUSIBLE_SUITE_WORKER'] in '01'\n"
    files = {f"test_{i}.py": text.format(i) for i in range(4)}
    folder = project(tmp_path, files)
    done = run(folder, "--workers", "2")
    assert done.exit == 0, done.explained()
    assert len(done.tests) == 4
    assert purposes(folder) == ["collect", "run", "run"]
    assert [event["worker"] for event in sessions(folder)[1:]] == [0, 1]


def test_a_failure_of_one_worker_stops_the_others(tmp_path):
    files = {
        "test_a.py": "def test_bad(): assert 0\n",
        "test_b.py": "import time\n"
        + "".join(f"def test_{i}(): time.sleep(0.5)\n" for i in range(30)),
    }
    done = run(project(tmp_path, files), "--workers", "2")
    assert done.exit == 1, done.explained()
    assert done.outcomes["test_29"] == "not-run"


def test_a_failure_stops_a_worker_that_has_not_begun(tmp_path):
    waits = """
        import os, pathlib, time, pytest
        @pytest.hookimpl(tryfirst=True)
        def pytest_collection_finish():
            if os.environ.get("FUSIBLE_SUITE_WORKER") != "1":
                return
            end = time.monotonic() + 20
            while not pathlib.Path("failed").exists() and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(2)  # in which the runner hears of it
    """
    fails = "import pathlib\ndef test_bad():\n    pathlib.Path('failed').touch()\n    assert 0\n"
    files = {"conftest.py": waits, "test_a.py": fails, "test_b.py": "def test_good(): pass\n"}
    done = run(project(tmp_path, files), "--workers", "2")
    assert done.exit == 1, done.explained()
    assert done.outcomes == {"test_bad": "failed", "test_good": "not-run"}


def test_partitions_cover_the_suite_exactly_once(tmp_path):
    files = {f"test_{i}.py": f"def test_{i}(): pass\ndef test_x{i}(): pass\n" for i in range(5)}
    folder = project(tmp_path, files)
    ids = []
    for part in range(3):
        done = run(folder, "--partition-id", str(part), "--total-partitions", "3")
        assert done.exit == 0, done.explained()
        ids += [test["id"] for test in done.tests]
    assert len(ids) == len(set(ids)) == 10


def test_a_plan_runs_without_collecting_first(tmp_path):
    files = {f"test_{i}.py": f"def test_{i}(): pass\n" for i in range(4)}
    folder = project(tmp_path, files)
    made = run_command(folder, "plan", "--partitions", "2", "--output", "p.json")
    assert made.returncode == 0, made.stderr
    seen = []
    for part in ("0", "1"):
        done = run(folder, "--plan", "p.json", "--partition-id", part)
        assert done.exit == 0, done.explained()
        assert purposes(folder) == ["run"]
        seen += done.outcomes
    assert sorted(seen) == [f"test_{i}" for i in range(4)]
    (folder / "test_3.py").write_text("def test_other(): pass\n")
    lost = [run(folder, "--plan", "p.json", "--partition-id", part) for part in ("0", "1")]
    assert sorted(done.exit for done in lost) == [0, 3]
    assert [done.report["lost"] for done in lost if done.exit] == [["test_3.py::test_3"]]


def test_the_suite_s_limit_ends_it_all(tmp_path):
    text = "import time\ndef test_1(): time.sleep(600)\ndef test_2(): pass\n"
    done = run(project(tmp_path, {"test_a.py": text}), "--timeout-suite", "4")
    assert done.exit == 3
    assert done.outcomes == {"test_1": "timeout", "test_2": "not-run"}, done.explained()


def test_failed_from_reruns_what_failed(tmp_path):
    text = ONCE + "def test_1(): assert not once('1')\ndef test_2(): pass\n"
    files = {
        "test_a.py": text,
        "test_b.py": ONCE + "if once('b'): raise OSError\ndef test_3(): 0\n",
    }
    folder = project(tmp_path, files)
    first = run(folder, "--continue-on-error", "--ledger", "first.jsonl")
    assert first.exit == 1
    again = run(folder, "--failed-from", "first.jsonl")
    assert again.outcomes == {"test_1": "passed", "test_3": "passed"}, again.explained()


def test_repeat_hunts_a_flake_with_exact_ids(tmp_path):
    text = ONCE + (
        "import pytest\n"
        "@pytest.mark.parametrize('x', ['a b', 'a'])\n"
        "def test_1(x): assert x == 'a' or not once('1') \n"
        "def test_2(): pass\n"
    )
    folder = project(tmp_path, {"test_a.py": text})
    flaky = run(folder, "--repeat", "3", "test_a.py::test_1[a b]", "--continue-on-error")
    assert flaky.outcomes == {"test_1[a b]": "flaky"}, flaky.explained()
    assert flaky.test("test_1[a b]")["reason"].startswith("flaky (2 of 3)")
    assert flaky.exit == 4
    good = run(folder, "--repeat", "2", "test_a.py::test_2")
    assert (good.exit, good.test("test_2")["attempts"]) == (0, 2)
    none = run(folder, "--repeat", "2", "test_a.py::test_3")
    assert none.exit == 2
    assert "test_a.py::test_3" in none.stderr


def test_bisect_names_the_test_that_is_needed(tmp_path):
    text = "state = []\n" + "".join(
        f"def test_{i}(): {'state.append(1)' if i == 5 else 'pass'}\n" for i in range(9)
    )
    text += "def test_victim(): assert not state\ndef test_alone(): assert 0\ndef test_fine(): 0\n"
    folder = project(tmp_path, {"test_a.py": text})
    found = run_command(folder, "bisect", "test_a.py::test_victim")
    assert (found.returncode, found.stdout) == (0, "test_a.py::test_5\n"), found.stderr
    assert "fails alone" in run_command(folder, "bisect", "test_a.py::test_alone").stdout
    assert run_command(folder, "bisect", "test_a.py::test_fine").returncode == 1


def test_list_shows_the_suites(tmp_path):
    suites = "[unit]\npaths = ['a']\nworkers = 2\n[soak]\nretry = {times = 1, on = ['crash']}\n"
    folder = project(tmp_path, {"suites.toml": suites})
    shown = run_command(folder, "list").stdout
    assert "unit" in shown
    assert "1 retries on crash" in shown
    assert set(json.loads(run_command(folder, "list", "--json").stdout)) == {"unit", "soak"}
