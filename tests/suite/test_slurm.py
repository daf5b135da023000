"""Slurm's scripts: run by a real shell with a fake sbatch, names as odd as they come."""

import json
import os
import subprocess
import sys

import pytest

from fusible.suite import slurm
from fusible.suite.model import SuiteError

ODD = "a b'c\"$(touch pwned)`touch pwned`;%j&\n*é"
# Stands for fusible: writes the arguments that reach it.
ECHO = "import json, sys; print(json.dumps(sys.argv[1:]))"


def job(folder, **changes):
    directory = folder / ODD
    directory.mkdir(exist_ok=True)
    fields = {
        "folder": directory / "shared",
        "directory": directory,
        "parts": 3,
        "arguments": ("--suite", ODD, "tests", "-k", "a or b"),
        "command": (sys.executable, "-c", ECHO),
    }
    return slurm.Job(**{**fields, **changes})


def arguments(script, **environment):
    """What fusible gets of a script."""
    done = subprocess.run(
        ["bash", str(script)],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_task_runs_its_partition(tmp_path):
    mine = job(tmp_path)
    array, _ = slurm.write(mine)
    assert arguments(array, SLURM_ARRAY_TASK_ID="2") == [
        *("suite", "run", *mine.arguments, "--total-partitions", "3"),
        *("--partition-id", "2", "--ledger", str(mine.ledger(2))),
    ]
    assert not list(tmp_path.rglob("pwned"))


def test_a_requeued_task_resumes_from_its_own_ledger(tmp_path):
    mine = job(tmp_path)
    array, _ = slurm.write(mine)
    mine.ledger(1).write_text('{"e":"run"}\n')
    assert arguments(array, SLURM_ARRAY_TASK_ID="1")[-1] == "--resume"
    assert "--resume" not in arguments(array, SLURM_ARRAY_TASK_ID="0")


def test_an_empty_ledger_is_nothing_to_resume(tmp_path):
    mine = job(tmp_path)
    array, _ = slurm.write(mine)
    mine.ledger(0).touch()
    assert "--resume" not in arguments(array, SLURM_ARRAY_TASK_ID="0")


def test_the_merge_names_every_ledger(tmp_path):
    mine = job(tmp_path)
    _, merge = slurm.write(mine)
    assert arguments(merge) == ["suite", "merge", *map(str, mine.ledgers)]


def test_a_task_without_a_number_fails(tmp_path):
    array, _ = slurm.write(job(tmp_path))
    with pytest.raises(subprocess.CalledProcessError):
        arguments(array)


def test_the_array_may_be_requeued_and_appends_its_output(tmp_path):
    lines = slurm.array_script(job(tmp_path)).splitlines()
    assert {"#SBATCH --requeue", "#SBATCH --open-mode=append"} <= set(lines[1:3])


def test_what_users_choose_reaches_sbatch_as_it_is(tmp_path):
    mine = job(tmp_path, options=("--partition=x y", "--time=30"), name=ODD)
    command = slurm.array_command(mine, tmp_path / "array.sh")
    assert command[:2] == ["sbatch", "--parsable"]
    assert {"--array=0-2", "--partition=x y", f"--job-name={ODD}"} <= set(command)
    # A percent sign in a folder is no pattern of Slurm's.
    assert any(one.startswith("--output=") and "%%j" in one for one in command)


FAKE = f"""#!{sys.executable}
import json, os, pathlib, sys
log = pathlib.Path(os.environ["FAKE_LOG"])
with log.open("a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
print(str(40 + len(log.read_text().splitlines())) + ";cluster")
"""


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """Puts an sbatch first in PATH: gives a function that writes it and gives one for its calls."""
    log = tmp_path / "log"
    path = tmp_path / "bin" / "sbatch"
    path.parent.mkdir()
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(log))

    def install(text):
        path.write_text(text)
        path.chmod(0o755)
        return lambda: [json.loads(line) for line in log.read_text().splitlines()]

    return install


def test_the_merge_waits_for_all_tasks(tmp_path, sbatch):
    calls = sbatch(FAKE)
    said = slurm.submit(job(tmp_path))
    array, merge = calls()
    assert array[-1].endswith("array.sh")
    assert "--dependency=afterany:41" in merge
    assert said.splitlines()[0].startswith("job 41: 3 tasks")
    assert "job 42: merges" in said


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/usr/bin/env sh\necho 'Invalid partition' >&2; exit 1\n", "got: Invalid partition"),
        ("#!/usr/bin/env sh\necho hello\n", "expected a job number, got: hello"),
    ],
)
def test_a_refusal_of_sbatch_is_told(tmp_path, sbatch, script, message):
    sbatch(script)
    with pytest.raises(SuiteError, match=message):
        slurm.submit(job(tmp_path))


def test_without_slurm_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SuiteError, match="sbatch: expected Slurm's commands"):
        slurm.submit(job(tmp_path))


def test_a_folder_with_ledgers_is_refused(tmp_path):
    mine = job(tmp_path)
    slurm.write(mine)
    mine.ledger(2).touch()
    with pytest.raises(SuiteError, match=r"expected a folder without ledgers, got part-2\.jsonl"):
        slurm.write(mine)


def test_no_partitions_are_refused(tmp_path):
    with pytest.raises(SuiteError, match="partitions: expected 1 or more, got 0"):
        slurm.write(job(tmp_path, parts=0))
