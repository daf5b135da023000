"""Samples of a command with all that is told of them: machine, calibration, commit, moment."""

from __future__ import annotations

import statistics
import subprocess
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from fusible.gate import machine, names, readers
from fusible.gate.baseline import Baseline, Tolerance, assemble, measured
from fusible.gate.measure import Subject
from fusible.gate.model import GateError
from fusible.gate.readers import Samples

_BESIDE = 3  # repeats of the calibration beside each process


def now() -> str:
    """This moment in UTC, as a baseline has it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit_here(folder: Path | None = None) -> str | None:
    """The commit checked out here; None outside of git, or if files differ from it."""
    here = folder or Path.cwd()
    commit = _git(here, "rev-parse", "HEAD")
    changes = _git(here, "status", "--porcelain", "--untracked-files=no")
    return commit if commit and changes == "" else None


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def about(samples: Samples) -> Samples:
    """Samples of a file with machine, calibration and commit: its own, else this machine's now.

    A file that says nothing of its machine is taken as made here.
    """
    if samples.machine is not None:
        return samples
    calibration = machine.calibrate() if samples.calibration_ms is None else samples.calibration_ms
    commit = samples.commit or commit_here()
    return replace(
        samples, machine=machine.fingerprint(), calibration_ms=calibration, commit=commit
    )


def take(command: Subject, rounds: int) -> Samples:
    """The samples of as many processes of a command, after one that fills caches.

    The calibration runs beside each of them, so that its median is of the same minutes.
    """
    command.sample()
    found: list[Samples] = []
    calibrations: list[float] = []
    for _ in range(rounds):
        calibrations.append(machine.calibrate(_BESIDE))
        found.append(_of_one_process(command.sample()))
    return replace(
        readers.joined(found),
        machine=machine.fingerprint(),
        calibration_ms=statistics.median(calibrations),
        commit=commit_here(),
    )


def _of_one_process(samples: Samples) -> Samples:
    series = [replace(one, rounds=(0,) * len(one.values)) for one in samples.series]
    return replace(samples, series=tuple(series))


def to_baseline(
    samples: Samples, tolerance: Tolerance, moment: str | None, notes: str = ""
) -> Baseline:
    """A baseline of samples that know their machine.

    Raises:
        GateError: there are none.
    """
    if not samples.series and not samples.counts:
        raise GateError("record: expected samples, got none")
    key = None if samples.machine is None else samples.machine.key
    metrics = {
        series.name: measured(
            series,
            tolerance=tolerance,
            recorded=moment,
            commit=samples.commit,
            machine=key,
            calibration_ms=samples.calibration_ms,
        )
        for series in samples.series
    }
    # Counts are the same on every machine.
    held = [] if samples.machine is None or not metrics else [samples.machine]
    scenarios = {names.place(name).scenario for name in (*metrics, *samples.counts)}
    told = dict.fromkeys(sorted(scenarios), notes) if notes else {}
    return assemble(metrics, samples.counts, held, told)
