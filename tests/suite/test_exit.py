"""The exit status of `fusible suite run`, the first that applies, and why."""

import json
import signal
import subprocess
import time

import pytest

from support.small_suites import project, run, run_command, start

GOOD = "def test_good(): pass\n"
BAD = "def test_bad(): assert 1 == 2\n"
FLAKY = """
import pathlib
def test_flaky():
    seen = pathlib.Path(__file__).with_name("seen")
    if not seen.exists():
        seen.touch()
        raise TimeoutError("first time")
"""
CRASH = "import os, signal\ndef test_crash(): os.kill(os.getpid(), signal.SIGSEGV)\n"
FAR, PAST = ("-".join([year, "01", "31"]) for year in ("2999", "1999"))


def quarantine(until: str) -> str:
    row = f"{{id = 'test_a.py::test_bad', reason = 'issue 7', until = {until}}}"
    return f"[s]\nquarantine = [{row}]\n"


CASES = {
    "good": (GOOD, (), 0),
    "failed": (BAD, (), 1),
    "broken file": ("import nothing_like_it\n", (), 1),
    "syntax error": ("def (\n", (), 1),
    "crash": (CRASH, (), 3),
    "crash before failure": (CRASH + BAD, ("--continue-on-error",), 3),
    "os._exit(0)": ("import os\ndef test_a(): os._exit(0)\n", (), 3),
    "os._exit(0) at import": ("import os\nos._exit(0)\n", (), 3),
    "hang": ("def test_a():\n    while True: pass\n", ("--timeout-test", "1"), 3),
    "hang at import": ("while True: pass\n", ("--timeout-test", "1"), 3),
    "flaky": (FLAKY, ("--retries", "1"), 0),
    "flaky counts": (FLAKY, ("--retries", "1", "--fail-on-flaky"), 4),
    "nothing selected": (GOOD, ("-k", "nothing"), 5),
    "nothing selected, allowed": (GOOD, ("-k", "nothing", "--allow-empty"), 0),
    "empty partition": (GOOD, ("--partition-id", "1", "--total-partitions", "2"), 0),
    "partition too high": (GOOD, ("--partition-id", "2", "--total-partitions", "2"), 2),
    "no partitions": (GOOD, ("--partition-id", "0", "--total-partitions", "0"), 2),
    "negative partition": (GOOD, ("--partition-id", "-1", "--total-partitions", "2"), 2),
    "bad -k": (GOOD, ("-k", "a (("), 2),
}


@pytest.mark.parametrize(("text", "options", "status"), CASES.values(), ids=CASES)
def test_exit_status(tmp_path, text, options, status):
    done = run(project(tmp_path, {"test_a.py": text}), *options)
    assert done.exit == status, done.explained()
    if status != 2:
        assert done.report["exit"] == status


def test_a_path_that_is_not_there_is_told_in_pytest_s_words(tmp_path):
    done = run(project(tmp_path, {"test_a.py": GOOD}), "test_a.py", "test_none.py")
    assert done.exit == 2
    assert "file or directory not found: test_none.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_options_in_the_ini_are_told_in_pytest_s_words(tmp_path):
    files = {"pytest.ini": "[pytest]\naddopts = --no-such-option\n", "test_a.py": GOOD}
    done = run(project(tmp_path, files))
    assert done.exit == 2, done.explained()
    assert "--no-such-option" in done.stderr


def test_a_conftest_that_raises_is_a_failure(tmp_path):
    done = run(project(tmp_path, {"conftest.py": "raise RuntimeError('x')\n", "test_a.py": GOOD}))
    assert done.exit == 1, done.explained()
    assert done.outcomes == {"conftest.py": "error"}


@pytest.mark.parametrize(("until", "status"), [(FAR, 0), (PAST, 1)])
def test_quarantine_counts_until_its_day(tmp_path, until, status):
    files = {"suites.toml": quarantine(until), "test_a.py": BAD + GOOD}
    done = run(project(tmp_path, files), "--suite", "s")
    assert done.exit == status, done.explained()
    assert done.test("test_bad")["outcome"] == "failed"
    if status == 0:
        assert done.test("test_bad")["quarantined"] == "issue 7"
        assert done.test("test_good")["outcome"] == "passed"
    else:
        assert "quarantine" in done.stderr


def test_every_partition_is_part_of_a_suite_that_is_not_empty(tmp_path):
    folder = project(tmp_path, {"test_a.py": GOOD})
    ran = [
        run(folder, "--partition-id", str(part), "--total-partitions", "3").tests
        for part in range(3)
    ]
    assert sorted(map(len, ran)) == [0, 0, 1]
    ledgers = sorted(folder.glob(".fusible/suite/*/*/ledger.jsonl"))
    assert len(ledgers) == 3
    merged = run_command(folder, "merge", *map(str, ledgers))
    assert merged.returncode == 0, merged.stdout + merged.stderr


SLOW = """
    import pathlib, time
    def test_first(): pass
    def test_running():
        begun = pathlib.Path(__file__).with_name("begun")
        if not begun.exists():
            begun.touch()
            time.sleep(600)
    def test_last(): pass
"""


def signalled(folder, number):
    """The exit status of a runner that gets a signal in the middle of a test."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with start(folder, "--junit", "j.xml", "--report", "r.json", **quiet) as runner:
        while not (folder / "begun").exists():
            assert runner.poll() is None
            time.sleep(0.05)
        runner.send_signal(number)
        try:
            return runner.wait(60)
        finally:
            runner.kill()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_writes_its_reports_and_can_be_resumed(tmp_path, number, status):
    folder = project(tmp_path, {"test_a.py": SLOW})
    assert signalled(folder, number) == status
    assert (folder / "j.xml").stat().st_size
    report = json.loads((folder / "r.json").read_text())
    assert report["exit"] == status
    assert [test["outcome"] for test in report["tests"]] == ["passed", "not-run", "not-run"]
    assert {test["reason"] for test in report["tests"][1:]} == {"interrupted"}
    finishes(folder)


def test_a_killed_run_can_be_resumed(tmp_path):
    folder = project(tmp_path, {"test_a.py": SLOW})
    assert signalled(folder, signal.SIGKILL) == -9
    finishes(folder)


def finishes(folder):
    """Resumes: what had ended does not run again, and the one ledger proves the whole."""
    resumed = run(folder, "--resume")
    assert resumed.exit == 0, resumed.explained()
    assert set(resumed.outcomes.values()) == {"passed"}
    assert [test["attempts"] for test in resumed.tests] == [1, 1, 1]
    (ledger,) = folder.glob(".fusible/suite/*/*/ledger.jsonl")
    assert ledger.read_text().count('"i":0,"w":"call"') == 1
    merged = run_command(folder, "merge", str(ledger))
    assert merged.returncode == 0, merged.stdout
