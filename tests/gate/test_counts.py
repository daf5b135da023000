"""Exact gates."""

import math
import shutil
import sys

import pytest

from fusible.gate import counts
from fusible.gate.model import Better, GateError, Verdict

valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind on PATH")


@pytest.mark.parametrize(
    ("count", "expected", "better", "verdict", "ratio"),
    [
        (7, 7, Better.LOWER, Verdict.UNCHANGED, 1),
        (8, 7, Better.LOWER, Verdict.REGRESSED, 8 / 7),
        (6, 7, Better.LOWER, Verdict.IMPROVED, 6 / 7),
        (6, 7, Better.HIGHER, Verdict.REGRESSED, 7 / 6),
        (8, 7, Better.HIGHER, Verdict.IMPROVED, 7 / 8),
        (0, 0, Better.LOWER, Verdict.UNCHANGED, 1),
        (1, 0, Better.LOWER, Verdict.REGRESSED, math.inf),
        (0, 2, Better.HIGHER, Verdict.REGRESSED, math.inf),
        (10**18 + 1, 10**18, Better.LOWER, Verdict.REGRESSED, 1),
    ],
)
def test_one_is_a_change(count, expected, better, verdict, ratio):
    found = counts.check("operators", count, expected, better=better)
    assert (found.verdict, found.ratio) == (verdict, pytest.approx(ratio))
    assert bool(found.reason) == (count != expected)
    assert found.p == float(count == expected)


@pytest.mark.parametrize("count", [-1, 1.0, True, "3", None])
def test_what_is_no_count_is_refused(count):
    with pytest.raises(GateError, match="operators: count: expected a whole number"):
        counts.check("operators", count, 3)


def test_without_valgrind_it_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GateError, match="expected valgrind on PATH"):
        counts.instructions(["true"])


def shell(loops):
    return ["sh", "-c", f"i=0; while [ $i -lt {loops} ]; do i=$((i+1)); done"]


@valgrind
def test_instructions_repeat_and_see_five_percent():
    first = counts.instructions(shell(1000))
    assert counts.instructions(shell(1000)) == first
    assert counts.instructions(shell(1100)) > first


@valgrind
def test_children_count():
    alone = counts.instructions(["sh", "-c", "true"])
    assert counts.instructions(["sh", "-c", "env true; env true"]) > alone


@valgrind
def test_a_command_that_fails_is_told():
    with pytest.raises(GateError, match="expected exit status 0, got 3: sorry"):
        counts.instructions(["sh", "-c", "echo sorry >&2; exit 3"])
    with pytest.raises(GateError, match="expected exit status 0"):
        counts.instructions(["no-such-command-anywhere"])


@valgrind
def test_a_command_without_end_is_ended():
    with pytest.raises(GateError, match=r"expected an end within 0\.5 s"):
        counts.instructions([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.5)
