"""Exact gates: what is counted is the same every time, so once is enough and one is a change."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fusible.gate import document
from fusible.gate.model import Better, Finding, GateError, Verdict


def check(
    name: str, count: int, expected: int, *, better: Better = Better.LOWER, unit: str = ""
) -> Finding:
    """Compares a count with the expected one: any difference is a regression or an improvement."""
    for key, value in (("count", count), ("expected", expected)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise GateError(f"{name}: {key}: expected a whole number from 0 on, got {value!r:.80}")
    good, bad = (expected, count) if better is Better.LOWER else (count, expected)
    verdict = Verdict.REGRESSED if bad > good else Verdict.IMPROVED
    reason = f"expected {expected}, got {count}"
    if count == expected:
        verdict, reason = Verdict.UNCHANGED, ""
    return exact(name, verdict, quotient(bad, good), reason=reason, unit=unit, better=better)


def exact(name: str, verdict: Verdict, ratio: float, **fields: Any) -> Finding:
    """A finding without noise: its interval is the ratio itself, its p is 0 or 1."""
    p = 1.0 if verdict is Verdict.UNCHANGED else 0.0
    return Finding(**{"name": name, "n": 1, "p": p, **fields, **_point(ratio), "verdict": verdict})


def _point(ratio: float) -> dict[str, float]:
    return {"ratio": ratio, "low": ratio, "high": ratio}


def quotient(over: float, under: float) -> float:
    """A ratio that also has an answer for 0: 1 if both are, else infinity."""
    if under:
        return over / under
    return float("inf") if over else 1.0


def instructions(
    command: Sequence[str], *, folder: Path | None = None, timeout: float = 600.0
) -> int:
    """Instructions that a command and its children run, as callgrind counts them.

    The count repeats where the command does: with one thread, the same environment and
    inputs. Python's hashes are fixed for it.

    Args:
        command: a program and its arguments.
        folder: where it runs; None is here.
        timeout: seconds; callgrind is about fifty times slower than the program alone.

    Raises:
        GateError: there is no valgrind on PATH, or the command failed or took too long.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise GateError("instructions: expected valgrind on PATH, got none")
    with tempfile.TemporaryDirectory() as made:
        options = ["--tool=callgrind", "--trace-children=yes", "--quiet"]
        out = f"--callgrind-out-file={made}/%p"
        _run([valgrind, *options, out, "--", *command], folder, timeout)
        texts = [document.read_text(path) for path in Path(made).iterdir()]
    # A process's file has its total once, whatever parts it was dumped in.
    totals = [re.search(r"^totals: (\d+)$", text, re.MULTILINE) for text in texts]
    if not totals or None in totals:
        raise GateError(f"instructions: expected callgrind's totals of {command[0]}, got none")
    return sum(int(found[1]) for found in totals if found)


def _run(command: list[str], folder: Path | None, timeout: float) -> None:
    """Runs a command in a session of its own, so that its children end with it."""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        start_new_session=True,
    ) as process:
        try:
            _, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            late = f"instructions: expected an end within {timeout:g} s, got none"
            raise GateError(late) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        last = (errors.decode(errors="replace").strip().splitlines() or [""])[-1][:200]
        raise GateError(f"instructions: expected exit status 0, got {process.returncode}: {last}")
