"""Where output goes: files, links, pipes, full disks, two runs at a time."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET

import pytest

from fusible.files import forget, write_whole
from fusible.suite import document
from fusible.suite.ledger import Ledger
from fusible.suite.model import SuiteError
from support.small_suites import (
    LONGEST,
    PYTHON,
    captured,
    environment,
    project,
    pytest_alone,
    run,
    run_command,
    start,
)

GOOD = {"test_a.py": "def test_a(): pass\n", "test_b.py": "def test_b(): pass\n"}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def read_once(path, into):
    """Reads a pipe to its end, beside what writes to it."""
    thread = threading.Thread(target=lambda: into.append(path.read_text()), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("write", [write_whole, document.write])
def test_a_pipe_is_written_to_and_stays_one(tmp_path, write):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = read_once(pipe, found)
    write(pipe, "text")
    reader.join(60)
    assert (found, pipe.is_fifo()) == (["text"], True)
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("existing", [True, False])
def test_a_link_stays_one(tmp_path, existing):
    (tmp_path / "sub").mkdir()
    file, link = tmp_path / "sub/file", tmp_path / "link"
    if existing:
        file.write_text("old")
    link.symlink_to(file)
    write_whole(link, "new")
    assert (link.is_symlink(), file.read_text(), names(tmp_path / "sub")) == (
        True,
        "new",
        ["file"],
    )


@pytest.mark.parametrize("name", ["folder", "none/file"])
def test_what_cannot_be_written_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=name) as caught:
        write_whole(tmp_path / name, "text")
    assert caught.value.filename == str(tmp_path / name)
    assert names(tmp_path) == ["folder"]


def test_only_files_are_forgotten(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("pipe", "link", "none"):
        forget(tmp_path / name)
    assert names(tmp_path) == ["link", "pipe"]


def test_reports_go_through_pipes(tmp_path):
    folder, found = project(tmp_path, GOOD), []
    os.mkfifo(folder / "r.json")
    reader = read_once(folder / "r.json", found)
    assert run(folder, "--report", "r.json").exit == 0
    reader.join(60)
    assert json.loads(found[0])["exit"] == 0


@pytest.mark.parametrize("more", [(), ("--resume",)], ids=["new", "resume"])
def test_a_ledger_is_a_file(tmp_path, more):
    folder = project(tmp_path, GOOD)
    os.mkfifo(folder / "pipe")
    done = run(folder, "--ledger", "pipe", *more)
    assert done.exit == 2, done.explained()
    assert "pipe: expected a file for the ledger" in done.stderr
    assert (folder / "pipe").is_fifo()


SLOW = {
    f"test_{letter}.py": """
        import pathlib, time
        def test_it():
            pathlib.Path(__file__).with_suffix(".begun").touch()
            while not pathlib.Path(__file__).with_name("go").exists():
                time.sleep(0.02)
    """
    for letter in "ab"
}


def partition(number):
    return ("--partition-id", str(number), "--total-partitions", "2")


@pytest.fixture
def slow(tmp_path):
    """A folder, and what starts a run in it whose tests wait for the file `go`."""
    folder, started = project(tmp_path, SLOW), []

    def begin(*arguments):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(start(folder, *arguments, **quiet))
        until = time.monotonic() + LONGEST
        while len(list(folder.glob("*.begun"))) < len(started):
            assert time.monotonic() < until
            time.sleep(0.02)
        return started[-1]

    yield folder, begin
    for one in started:
        one.kill()
        one.wait()


def test_two_runs_at_a_time_do_not_share_a_ledger(slow):
    folder, begin = slow
    first = begin(*partition(0), "--ledger", "l.jsonl", "--report", "r.json")
    for more in ((), ("--resume",)):
        second = run(folder, *partition(1), "--ledger", "l.jsonl", *more)
        assert second.exit == 2, second.explained()
        assert "l.jsonl: " in second.stderr
    (folder / "go").touch()
    assert first.wait(LONGEST) == 0
    told = json.loads((folder / "r.json").read_text())
    assert [test["outcome"] for test in told["tests"]] == ["passed"]


def test_a_report_that_two_partitions_share_is_whole(slow):
    folder, begin = slow
    both = [begin(*partition(number), "--junit", "j.xml") for number in range(2)]
    (folder / "go").touch()
    assert [one.wait(LONGEST) for one in both] == [0, 0]
    cases = [case.get("classname") for case in ET.parse(folder / "j.xml").iter("testcase")]
    assert cases in (["test_a"], ["test_b"])


def test_a_ledger_that_lost_its_place_is_no_one_s(tmp_path):
    first = Ledger(tmp_path / "l")
    (tmp_path / "l").unlink()
    second = Ledger(tmp_path / "l")
    with pytest.raises(SuiteError, match="one of two at a time"):
        first.claim()
    second.claim()
    with pytest.raises(SuiteError, match="one of two at a time"):
        Ledger(tmp_path / "l").claim()


@pytest.mark.parametrize("way", ["rmtree('.fusible')", "move('.fusible', 'elsewhere')"])
def test_a_ledger_that_a_test_removes_is_named(tmp_path, way):
    tests = f"import shutil\ndef test_it(): shutil.{way}\ndef test_last(): pass\n"
    folder = project(tmp_path, {"test_a.py": tests})
    # With retries of files a process of its own collects: it has been heard by then.
    done = run(folder, "--continue-on-error", "--retries", "1")
    assert done.exit == 3, done.explained()
    (problem,) = done.report["problems"]
    assert problem.startswith("the ledger is gone: ")
    assert str(folder / ".fusible") in problem
    assert done.outcomes["test_last"] == "lost"


def test_a_full_disk_is_never_green(tmp_path):
    tests = "import pytest\n@pytest.mark.parametrize('x', range(300))\ndef test_p(x): pass\n"
    folder = project(tmp_path, {"test_a.py": tests})

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "fusible", "suite", "run", "--python", PYTHON]
    done = captured(command, cwd=folder, env=environment(), preexec_fn=full)
    assert done.returncode in (2, 3), done.stdout + done.stderr


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    folder = project(tmp_path, GOOD)
    done = run_command("/proc", "run", str(folder / "test_a.py"))
    assert done.returncode == 2
    assert "/proc/.fusible" in done.stderr
    assert "Traceback" not in done.stderr


PEAK = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_a_long_log_needs_little_memory(tmp_path):
    tests = "import os\ndef test_a():\n    for _ in range(400): os.write(1, b'x' * 2**20)\n"
    folder = project(tmp_path, {"test_a.py": tests, "pytest.ini": "[pytest]\naddopts = -s\n"})
    command = [sys.executable, "-m", "fusible", "suite", "run", "--python", PYTHON]
    done = captured([sys.executable, "-c", PEAK, *command], cwd=folder, env=environment())
    status, kilobytes = map(int, done.stdout.split())
    assert status == 0, done.stderr
    assert kilobytes < 150 << 10  # the runner, its guard or pytest, whichever took most
    kept = sum(path.stat().st_size for path in folder.glob(".fusible/**/output"))
    assert 4 << 20 < kept < 9 << 20


@pytest.mark.parametrize("workers", ["1", "2"])
def test_links_are_followed_as_pytest_does(tmp_path, workers):
    folder = project(tmp_path, {"sub dir/test_a.py": "def test_a(): pass\n"})
    (folder / "link").symlink_to("sub dir", target_is_directory=True)
    (folder / "test_linked.py").symlink_to("sub dir/test_a.py")
    collected = pytest_alone(folder, "--collect-only", "-q").stdout
    ids = [line for line in collected.splitlines() if "::" in line]
    done = run(folder, "--workers", workers)
    assert sorted(test["id"] for test in done.tests) == sorted(ids)
    assert (done.exit, len(ids)) == (0, 3), done.explained()


def test_two_reports_are_two_files(tmp_path):
    folder = project(tmp_path, {"test_a.py": "def test_a(): pass\n"})
    done = run_command(folder, "run", "--ledger", "z", "--junit", "./z")
    assert done.returncode == 2
    assert "--ledger and --junit: expected two files, got one" in done.stderr
    assert not (folder / "z").exists()
