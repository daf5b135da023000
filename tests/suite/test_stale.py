"""What an earlier commit or run has left behind: plans and reports."""

import json
import subprocess

import pytest

from support.small_suites import environment, project, run, run_command

GOOD = {"test_a.py": "def test_a(): pass\n", "test_b.py": "def test_b(): pass\n"}
BAD = "def test_new(): assert False\n"
PARTS = [("--plan", "p.json", "--partition-id", part, "--ledger", f"{part}.jsonl") for part in "01"]


def git(folder, *arguments):
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", *author, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder):
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def planned(tmp_path):
    """A checkout with a plan of its first commit, and that commit."""
    folder = project(tmp_path, {**GOOD, ".gitignore": "*.json*\n.fusible\n__pycache__\n"})
    git(folder, "init", "-q")
    first = commit(folder)
    made = run_command(folder, "plan", "--partitions", "2", "--output", "p.json")
    assert made.returncode == 0, made.stderr
    return folder, first


def add_tests(folder):
    (folder / "test_a.py").write_text(GOOD["test_a.py"] + BAD)
    (folder / "test_c.py").write_text(BAD)


def test_a_plan_of_another_commit_is_refused(planned):
    folder, first = planned
    assert [run(folder, *part).exit for part in PARTS] == [0, 0]
    add_tests(folder)
    second = commit(folder)
    for part in PARTS:
        done = run(folder, *part)
        assert done.exit == 2, done.explained()
        assert f"plan: expected one of commit {second}, got one of {first}" in done.stderr


def test_merge_refuses_the_plan_of_another_commit(planned):
    folder, first = planned
    (folder / "note").write_text("nothing that a test sees")
    second = commit(folder)
    for part in "01":
        where = ("--partition-id", part, "--total-partitions", "2", "--ledger", f"{part}.jsonl")
        assert run(folder, *where).exit == 0
    done = run_command(folder, "merge", "0.jsonl", "1.jsonl", "--plan", "p.json")
    assert done.returncode == 2, done.stdout
    assert f"commit: expected '{first}' as the plan, got '{second}'" in done.stderr


def test_what_was_not_committed_and_is_in_no_plan_is_named(planned):
    folder, _ = planned
    (folder / "test_a.py").write_text(GOOD["test_a.py"] + BAD)
    ran = [run(folder, *part, "--continue-on-error") for part in PARTS]
    assert sorted(done.exit for done in ran) == [0, 3]
    (told,) = [done.report["problems"] for done in ran if done.exit]
    assert told == ["collected, but in no plan: test_a.py::test_new"]
    merged = run_command(folder, "merge", "0.jsonl", "1.jsonl", "--plan", "p.json")
    assert merged.returncode == 1
    assert "unplanned: test_a.py::test_new" in merged.stdout


@pytest.mark.parametrize("where", ["test_c.py", "sub/c_test.py"])
def test_a_file_that_is_newer_than_the_plan_is_named(planned, where):
    folder, _ = planned
    for ignored in ("build", ".hidden"):
        (folder / ignored).mkdir()
        (folder / ignored / "test_d.py").write_text(BAD)
    (folder / "helper.py").write_text(BAD)
    assert [run(folder, *part).exit for part in PARTS] == [0, 0]
    (folder / where).parent.mkdir(exist_ok=True)
    (folder / where).write_text(BAD)
    for part in PARTS:
        ran = run(folder, *part)
        assert ran.exit == 3
        told = f"newer than the plan, which has none of their tests: {where}"
        assert ran.report["problems"] == [told]
    merged = run_command(folder, "merge", "0.jsonl", "1.jsonl", "--plan", "p.json")
    assert merged.returncode == 1
    assert where in merged.stdout
    assert "NOT proven" in merged.stdout


def test_names_of_files_are_those_that_pytest_is_told(tmp_path):
    settings = "[pytest]\npython_files = check_*.py\ntestpaths = checks\n"
    files = {"pytest.ini": settings, "checks/check_a.py": GOOD["test_a.py"]}
    folder = project(tmp_path, files)
    assert run_command(folder, "plan", "--output", "p.json").returncode == 0
    for name in ("checks/test_b.py", "check_c.py"):
        (folder / name).write_text(BAD)
    assert run(folder, "--plan", "p.json").exit == 0
    (folder / "checks/check_b.py").write_text(BAD)
    assert run(folder, "--plan", "p.json").exit == 3


def test_a_changed_checkout_is_not_resumed(planned):
    folder, _ = planned
    for part in PARTS:
        run(folder, *part)
    (folder / "test_a.py").write_text(GOOD["test_a.py"] + BAD)
    for part in PARTS:
        ran = run(folder, *part, "--resume")
        assert ran.exit == 2
        assert "digest of changed files: expected " in ran.stderr
    git(folder, "checkout", "test_a.py")
    assert [run(folder, *part, "--resume").exit for part in PARTS] == [0, 0]


def test_a_changed_file_of_tests_is_not_resumed(tmp_path):
    folder = project(tmp_path, GOOD)
    assert run(folder).exit == 0
    (folder / "test_a.py").write_text(GOOD["test_a.py"] + BAD)
    ran = run(folder, "--resume")
    assert ran.exit == 2
    assert "changed since this run began: test_a.py" in ran.stderr


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        (("test_a.py",), ("test_b.py",), "paths: expected 'test_b.py' to resume, got 'test_a.py'"),
        ((".", "-k", "a"), (".",), "-k: expected '' to resume, got 'a'"),
        ((".",), (".", "-m", "slow"), "-m: expected 'slow' to resume, got ''"),
    ],
    ids=str,
)
def test_another_selection_is_not_resumed(tmp_path, first, second, named):
    folder = project(tmp_path, GOOD)
    assert run(folder, *first).exit == 0
    ran = run(folder, *second, "--resume")
    assert ran.exit == 2
    assert named in ran.stderr
    # Without any, it is that of the run before.
    assert run(folder, "--resume").outcomes == run(folder, *first, "--resume").outcomes


@pytest.mark.parametrize("selection", [("-k", "not new"), ("test_a.py::test_a",)], ids=str)
def test_what_a_plan_left_out_on_purpose_is_no_news(tmp_path, selection):
    folder = project(tmp_path, {"test_a.py": GOOD["test_a.py"] + BAD})
    run_command(folder, "plan", *selection, "--output", "p.json")
    done = run(folder, "--plan", "p.json")
    assert (done.exit, done.outcomes) == (0, {"test_a": "passed"}), done.explained()


REPORTS = ("--junit", "j.xml", "--report", "r.json", "--execution-report", "e.json")


@pytest.mark.parametrize(
    "arguments",
    [("nope.py",), ("--suite", "nope"), ("--retries", "1", "--resume", "--repeat", "2")],
    ids=["path", "suite", "options"],
)
def test_a_refused_run_leaves_no_report_of_the_one_before(tmp_path, arguments):
    folder = project(tmp_path, GOOD)
    assert run(folder, *REPORTS).exit == 0
    assert all((folder / name).exists() for name in REPORTS[1::2])
    assert run(folder, *REPORTS, *arguments).exit == 2
    assert [name for name in REPORTS[1::2] if (folder / name).exists()] == []


def test_a_refused_merge_leaves_no_report(tmp_path):
    folder = project(tmp_path, GOOD)
    assert run(folder, "--ledger", "l.jsonl").exit == 0
    assert run_command(folder, "merge", "l.jsonl", "--junit", "j.xml").returncode == 0
    assert (folder / "j.xml").exists()
    assert run_command(folder, "merge", "none.jsonl", "--junit", "j.xml").returncode == 2
    assert not (folder / "j.xml").exists()


def test_reports_in_a_folder_are_each_partition_s_own(tmp_path):
    folder = project(tmp_path, GOOD)
    (folder / "out").mkdir()
    for part in "01":
        where = ("--partition-id", part, "--total-partitions", "2", "--execution-report", "out")
        assert run(folder, *where).exit == 0
    ran = [json.loads(path.read_text())["partition_id"] for path in (folder / "out").iterdir()]
    assert sorted(ran) == [0, 1]


def test_an_id_in_quarantine_that_names_nothing_is_noted(tmp_path):
    rows = ", ".join(
        f"{{id = '{name}', reason = 'x', until = '2999-12-31'}}"
        for name in ("test_a.py::test_a", "test_a.py::test_old", "test_old.py::test_x", "test_b.py")
    )
    folder = project(tmp_path, {**GOOD, "suites.toml": f"[default]\nquarantine = [{rows}]\n"})
    notes = [line for line in run(folder).stderr.splitlines() if line.startswith("quarantine: ")]
    expected = "quarantine: no test has the id"
    assert notes == [f"{expected} {n!r}" for n in ("test_a.py::test_old", "test_old.py::test_x")]
