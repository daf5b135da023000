"""A suite as a Slurm array job: a partition a task, then one job that merges.

Tasks share a folder: each appends to its own ledger there. A requeued task finds that ledger and
goes on where it was cut off, so a preempted machine costs the test that was running and no more.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusible.suite import document
from fusible.suite.model import SuiteError

_LONGEST = 60.0  # seconds that sbatch may take; a controller that is down lets it wait for longer


@dataclass(frozen=True)
class Job:
    """What is submitted.

    Attributes:
        folder: shared by all nodes; scripts, ledgers and outputs go there.
        directory: shared too; where the tasks start.
        arguments: of `fusible suite run`, without those of partition and ledger.
        options: of sbatch for the array, such as `--partition=gpu` or `--time=30`.
        command: what starts fusible on the nodes.
        name: of the jobs, for squeue.
    """

    folder: Path
    directory: Path
    parts: int
    arguments: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = (sys.executable, "-m", "fusible")
    name: str = "fusible-suite"

    def ledger(self, part: int) -> Path:
        """The ledger of a partition."""
        return self.folder / f"part-{part}.jsonl"

    @property
    def ledgers(self) -> list[Path]:
        """Those of all partitions."""
        return [self.ledger(part) for part in range(self.parts)]


def array_script(job: Job) -> str:
    """What each task runs. Slurm's task number is the only thing that its shell fills in."""
    run = [*job.command, "suite", "run", *job.arguments, "--total-partitions", str(job.parts)]
    prefix = shlex.quote(str(job.folder / "part-"))
    return f"""#!/usr/bin/env bash
#SBATCH --requeue
#SBATCH --open-mode=append
set -u
part=${{SLURM_ARRAY_TASK_ID:?this is the script of an array job}}
cd -- {shlex.quote(str(job.directory))} || exit 2
ledger={prefix}"$part".jsonl
# A ledger that is there is this task's own, from before it was requeued.
resume=
if [[ -s $ledger ]]; then resume=yes; fi
# No shell may stand between Slurm's signals and the runner.
exec {shlex.join(run)} --partition-id "$part" --ledger "$ledger" ${{resume:+--resume}}
"""


def merge_script(job: Job) -> str:
    """What the dependent job runs: every ledger by name, so that a missing one is noticed."""
    merge = [*job.command, "suite", "merge", *map(str, job.ledgers)]
    return f"""#!/usr/bin/env bash
cd -- {shlex.quote(str(job.directory))} || exit 2
exec {shlex.join(merge)}
"""


def write(job: Job) -> tuple[Path, Path]:
    """Writes both scripts; refuses a folder with ledgers: the tasks would resume from them."""
    if job.parts < 1:
        raise SuiteError(f"partitions: expected 1 or more, got {job.parts}")
    for ledger in job.ledgers:
        if ledger.exists():
            raise SuiteError(f"{job.folder}: expected a folder without ledgers, got {ledger.name}")
    array, merge = job.folder / "array.sh", job.folder / "merge.sh"
    document.write(array, array_script(job))
    document.write(merge, merge_script(job))
    return array, merge


def array_command(job: Job, script: Path) -> list[str]:
    """The call of sbatch for the array; what users chose goes here, where no shell reads it."""
    tasks = [f"--array=0-{job.parts - 1}", f"--output={_pattern(job.folder)}/task-%a.out"]
    return ["sbatch", "--parsable", f"--job-name={job.name}", *tasks, *job.options, str(script)]


def merge_command(job: Job, script: Path, array: str) -> list[str]:
    """The call for the merge, which waits for the end of each task; a requeued one has none yet."""
    after = [f"--dependency=afterany:{array}", f"--output={_pattern(job.folder)}/merge.out"]
    return ["sbatch", "--parsable", f"--job-name={job.name}-merge", *after, str(script)]


def _pattern(folder: Path) -> str:
    """A folder in Slurm's patterns for file names."""
    return str(folder).replace("%", "%%")


def submit(job: Job) -> str:
    """Writes the scripts and submits both jobs; says what to watch."""
    array_path, merge_path = write(job)
    array = _sbatch(array_command(job, array_path))
    merge = _sbatch(merge_command(job, merge_path, array))
    return (
        f"job {array}: {job.parts} tasks, ledgers in {job.folder}\n"
        f"job {merge}: merges them after all have ended, into {job.folder / 'merge.out'}"
    )


def _sbatch(command: Sequence[str]) -> str:
    """Submits; gives the job's number."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_LONGEST
        )
    except FileNotFoundError:
        raise SuiteError("sbatch: expected Slurm's commands on this machine, got none") from None
    except subprocess.TimeoutExpired:
        raise SuiteError(f"sbatch: expected an answer within {_LONGEST:g} s, got none") from None
    # "number" or "number;cluster"
    number = done.stdout.strip().partition(";")[0]
    if done.returncode or not number.isdigit():
        said = "; ".join((done.stderr or done.stdout).split("\n")).strip("; ")
        raise SuiteError(f"sbatch: expected a job number, got: {said}")
    return number
