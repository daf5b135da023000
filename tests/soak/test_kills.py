"""Processes killed at random moments: never a false green, never an unnamed loss, no orphan."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.small_suites import project, run, start

FILES, TESTS = 4, 4
SUITE = {
    f"test_{file}.py": f"""
        import os, subprocess, time, pytest
        @pytest.mark.parametrize("x", range({TESTS}))
        def test_p(x):
            child = subprocess.Popen(["sleep", "0.02"], start_new_session=bool(x % 2))
            time.sleep(0.02)
            child.wait()
            log = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(log, b"test_{file}.py::test_p[%d]\\n" % x)
    """
    for file in range(FILES)
}
IDS = {f"test_{file}.py::test_p[{x}]" for file in range(FILES) for x in range(TESTS)}
SETTLING = 15.0  # seconds that a tree may take to go after its runner was killed


class Round:
    """One run that something happens to."""

    def __init__(self, folder: Path) -> None:
        self.folder = project(folder, SUITE)
        options = ("--json", "--workers", "2", "--continue-on-error")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = start(self.folder, *options, **pipes, text=True)

    def finish(self) -> tuple[int, dict]:
        out, self.errors = self.process.communicate(timeout=120)
        return self.process.returncode, json.loads(out) if out else {}

    @property
    def logged(self) -> set[str]:
        """What the tests themselves say they did."""
        log = self.folder / "log"
        return set(log.read_text().splitlines()) if log.exists() else set()

    def members(self) -> list[int]:
        """Every process that works in this folder or was told of it, except the runner."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in pids if self._ours(pid)]

    def _ours(self, pid: int) -> bool:
        if pid == self.process.pid:
            return False
        with contextlib.suppress(OSError):
            place = Path(f"/proc/{pid}")
            told = os.fsencode(self.folder) in (place / "cmdline").read_bytes()
            return told or (place / "cwd").readlink() == self.folder
        return False

    def workers(self) -> list[int]:
        """The processes of pytest, by the script that starts them."""
        return [p for p in self.members() if b"suite/boot.py" in command_line(p)]

    def no_orphan(self) -> None:
        until = time.monotonic() + SETTLING
        while self.members() and time.monotonic() < until:
            time.sleep(0.05)
        assert self.members() == []

    def resumes(self) -> None:
        """--resume runs what is left; then every test has passed."""
        ran = run(self.folder, "--workers", "2", "--continue-on-error", "--resume")
        told = {test["id"]: test["outcome"] for test in ran.tests}
        assert (ran.exit, set(told)) == (0, IDS), ran.explained()
        assert set(told.values()) == {"passed"}
        assert self.logged == IDS


def command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Seconds that an undisturbed run takes."""
    started = time.monotonic()
    status, told = Round(tmp_path_factory.mktemp("usual")).finish()
    assert (status, len(told["tests"])) == (0, len(IDS))
    return time.monotonic() - started


def planned(folder: Path) -> bool:
    """Whether the runner came so far as to know its tests."""
    (ledger,) = folder.glob(".fusible/**/ledger.jsonl")
    events = (json.loads(line) for line in ledger.read_text().splitlines())
    return any(event["e"] == "plan" and event["whole"] for event in events)


def honest(status: int, told: dict, one: Round) -> None:
    """Green only if everything ran; every test that did not pass is named with an outcome."""
    logged = one.logged
    outcomes = {test["id"]: test["outcome"] for test in told["tests"]}
    passed = {name for name, outcome in outcomes.items() if outcome == "passed"}
    assert passed <= logged
    if status == 0:
        assert passed == IDS
    else:
        # Without a plan nobody knows names: then that is what is told.
        known = planned(one.folder)
        missing = {name for name in IDS - set(outcomes) if not lost_with_file(name, outcomes)}
        assert not (known and missing), (missing, told)
        assert known or told.get("problems") or status in (130, 143), told


def lost_with_file(name: str, outcomes: dict[str, str]) -> bool:
    """Whether its process died while its file was imported: then the file stands for its tests."""
    return outcomes.get(name.partition("::")[0], "passed") != "passed"


def test_killed_worker(tmp_path, usual, rounds):
    chance = random.Random(1)
    seen = set()
    for number in range(rounds(100)):
        one = Round(tmp_path / str(number))
        time.sleep(chance.uniform(0, usual))
        victims = one.workers()
        for pid in victims[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        status, told = one.finish()
        assert status in (0, 3), (number, status, told, one.errors)
        honest(status, told, one)
        if status:
            assert victims, told
        one.no_orphan()
        seen.add(status)
    assert 3 in seen  # else nothing was killed, and nothing shown


def test_killed_runner(tmp_path, usual, rounds):
    chance = random.Random(2)
    for number in range(rounds(30)):
        one = Round(tmp_path / str(number))
        time.sleep(chance.uniform(0, usual))
        one.process.kill()
        one.finish()
        one.no_orphan()
        if list(one.folder.glob(".fusible/**/ledger.jsonl")):
            one.resumes()


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_interrupted(tmp_path, usual, rounds, number, expected):
    chance = random.Random(int(number))
    for attempt in range(rounds(30)):
        one = Round(tmp_path / str(attempt))
        # Before Python has set its handlers a signal just ends it, as it would any program.
        time.sleep(chance.uniform(0.5, max(usual, 0.6)))
        one.process.send_signal(number)
        status, told = one.finish()
        one.no_orphan()
        if not told:
            assert status in (-number, expected, 1), one.errors
            continue
        if status == -number and told["exit"] == 0:
            status = 0  # it came when all had been said, while Python itself was ending
        assert status in (0, expected), (status, told, one.errors)
        honest(status, told, one)
        if status and told["tests"]:
            assert {test["id"] for test in told["tests"]} == IDS
            one.resumes()
