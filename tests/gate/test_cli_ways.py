"""`fusible gate`: what its ways of measuring look at, what they refuse, how they end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from fusible import __main__ as program
from fusible.cli import gate_check
from fusible.gate import baseline, counts, history, machine
from support.gate_commands import bench, committed, lines
from support.gate_samples import drawn
from support.sglang_files import FILE, RECORD, written
from support.small_suites import heed_interrupts

SGLANG = ("check", "--semantics", "sglang")


@pytest.fixture
def sglang(tmp_path):
    """A check by SGLang's rule that passes."""
    record = written(tmp_path, {"case": RECORD}, "record.json")
    return (*SGLANG, "--baseline", written(tmp_path, FILE), "--samples", record)


def test_sglang_s_semantics_stand_beside_the_other_gates(gate, sglang):
    assert "(exit 0)" in gate(*sglang)
    assert "nothing.toml" in gate(*sglang, "--fusions", "nothing.toml", code=2)
    said = gate(*sglang, "--accuracy", "a=1/100", "--at-least", 0.9, code=1)
    assert "11 unchanged" in said
    assert said.startswith("regressed     a")


@pytest.mark.parametrize(
    "words",
    [
        ["--only", "zzz*"],
        ["--history", "h.jsonl"],
        ["--command", "true"],
        ["--margin", "0.1"],
        ["--scale"],
        ["--base-commit", "HEAD"],
    ],
    ids=" ".join,
)
def test_sglang_s_semantics_refuse_what_they_do_not_look_at(gate, sglang, words):
    said = gate(*sglang, *words, code=2)
    assert f"{words[0]}: expected no such option beside --semantics sglang, got one" in said


FILES = ["compare", "--base", "base.jsonl", "--candidate", "same.jsonl"]
COMMANDS = ["compare", "--base-command", "true", "--candidate-command", "true"]
SAMPLES = ["check", "--baseline", "b.json", "--samples", "same.jsonl"]
RECORD_SAMPLES = ["record", "-o", "new.json", "--samples", "same.jsonl"]
RECORD_MODEL = ["record", "-o", "new.toml", "--model", "llama-3.1-8b"]


@pytest.mark.parametrize(
    ("words", "ignored"),
    [
        (FILES, ["--command", "nonexist"]),
        (FILES, ["--candidate-commit", "zz"]),
        (FILES, ["--build", "foo"]),
        (FILES, ["--rounds", "3"]),
        (FILES, ["--instructions"]),
        (FILES, ["--times", "3"]),
        (COMMANDS, ["--command", "true"]),
        (COMMANDS, ["--build", "foo"]),
        (["compare", "--noop", "--command", "true"], ["--control", "x"]),
        (["compare", "--base-commit", "HEAD", "--command", "true"], ["--times", "3"]),
        (SAMPLES, ["--base-commit", "zz"]),
        (SAMPLES, ["--timeout", "3"]),
        (SAMPLES, ["--scenario", "x"]),
        (["check", "--fusions", "f.toml"], ["--alpha", "0.1"]),
        (RECORD_SAMPLES, ["--rounds", "3"]),
        (RECORD_SAMPLES, ["--target", "cpu"]),
        (["record", "-o", "new.json", "--command", "true"], ["--overlay", "x"]),
        (RECORD_MODEL, ["--samples", "same.jsonl"]),
        (RECORD_MODEL, ["--notes", "x"]),
    ],
    ids=" ".join,
)
def test_what_would_not_be_looked_at_is_refused(gate, recorded, tmp_path, words, ignored):
    (tmp_path / "f.toml").write_text("version = 1")
    if words[1] == "--fusions":
        gate("record", "--model", "llama-3.1-8b", "-o", "f.toml", "--overwrite")
    said = gate(*words, *ignored, code=2)
    assert f"{ignored[0]}: expected no such option beside " in said or "without --samples" in said
    assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize("words", [["--notes", "x"], ["--command", "true"]], ids=" ".join)
def test_a_conversion_looks_at_nothing_of_ours(gate, tmp_path, words):
    path = written(tmp_path, FILE)
    said = gate("record", "--samples", path, "-o", "x.json", *words, code=2)
    assert f"{words[0]}: expected no such option beside --samples of SGLang" in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--accuracy-base", "1/2"], "--accuracy-base: expected --accuracy beside it"),
        (["--at-least", "0.5"], "--at-least: expected --accuracy beside it"),
    ],
    ids=["accuracy-base", "at-least"],
)
def test_what_means_something_only_beside_another(gate, recorded, words, complaint):
    assert complaint in gate(*SAMPLES, *words, code=2)


def test_a_build_needs_a_base_commit(gate, recorded):
    words = ("check", "--baseline", recorded, "--command", "true", "--build", "true")
    assert "--build: expected --base-commit beside it" in gate(*words, code=2)


@pytest.mark.parametrize(
    "words",
    [
        ["history", "h.jsonl", "--alpha", "nan"],
        ["history", "h.jsonl", "--alpha", "5"],
        ["history", "h.jsonl", "--floor", "inf"],
        [*COMMANDS, "--timeout", "-1"],
        [*COMMANDS, "--timeout", "nan"],
        [*COMMANDS, "--margin", "nan"],
    ],
    ids=" ".join,
)
def test_numbers_outside_of_their_range(gate, files, words):
    gate("history", "h.jsonl", "--append", files["base"])
    assert words[-2] in gate(*words, code=2)


def test_recorded_instructions_are_checked(gate, monkeypatch):
    counted = [1000]
    monkeypatch.setattr(counts, "instructions", lambda argv, folder=None: counted[0])
    words = ("--command", "true", "--rounds", 4, "--name", "decode", "--instructions")
    gate("record", *words, "--relative", 1000, "-o", "b.json")
    check = ("check", "--baseline", "b.json", *words, "--allow-inconclusive", "--json")
    found = {one["name"]: one["verdict"] for one in json.loads(gate(*check))["verdicts"]}
    assert found.keys() == {"decode", "decode#instructions"}
    assert found["decode#instructions"] == "unchanged"
    counted[0] = 1001
    found = {one["name"]: one["verdict"] for one in json.loads(gate(*check, code=1))["verdicts"]}
    assert found["decode#instructions"] == "regressed"


def test_instructions_of_commands_in_turns(gate, monkeypatch):
    counted = {"1.0": 1000, "1.001": 1050}
    monkeypatch.setattr(counts, "instructions", lambda argv, folder=None: counted[argv[-1]])
    words = ("compare", "--base-command", bench(1.0), "--candidate-command", bench(1.001))
    said = gate(*words, "--rounds", 4, "--instructions", code=1)
    assert "expected exactly 1000, got 1050" in said


def in_turns(gate, monkeypatch, relative, factor):
    """A check whose calibration moved, beside the recorded commit; what is measured is slower."""
    words = ("--command", f"{sys.executable} bench.py", "--rounds", 10)
    gate("record", *words, "--relative", relative, "-o", "b.json")
    monkeypatch.setattr(machine, "calibrate", lambda repeats=1: 12.0)
    text = Path("bench.py").read_text()
    Path("bench.py").write_text(text.replace("luck = 1.0,", f"luck = {factor},"))
    return (*("check", "--baseline", "b.json", *words), "--base-commit", "recorded")


@pytest.mark.parametrize(("relative", "code"), [(0.25, 0), (0.02, 1)])
def test_turns_with_the_base_commit_bear_what_the_metric_bears(
    gate, tmp_path, monkeypatch, relative, code
):
    committed(tmp_path, 1.0)
    said = gate(*in_turns(gate, monkeypatch, relative, 1.1), code=code)
    assert "measured in turns with the base commit, as the calibration moved" in said
    assert ("regressed     decode" in said) == (code == 1)


def test_scaling_decides_though_the_calibration_moved(gate, recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "calibrate", lambda repeats=1: 12.0)
    for name, factor, code in (("a", 1.2, 0), ("b", 1.4, 1)):
        samples = lines(tmp_path / f"{name}.jsonl", factor, 3)
        said = gate("check", "--baseline", recorded, "--samples", samples, "--scale", code=code)
        assert "note: times are scaled by the calibration, which moved by +20.0%" in said


def test_commits_are_measured_in_the_same_subfolder(gate, tmp_path, monkeypatch):
    committed(tmp_path, 1.0, 1.001, file="sub/bench.py")
    monkeypatch.chdir(tmp_path / "sub")
    words = ("--command", f"{sys.executable} bench.py", "--rounds", 4, "--allow-inconclusive")
    build = ("--build", f"{sys.executable} bench.py")
    monkeypatch.setenv("FUSIBLE_GATE_SAMPLES", os.devnull)
    gate("compare", "--base-commit", "HEAD~1", "--candidate-commit", "HEAD", *words, *build)
    gate("compare", "--base-commit", "HEAD~1", *words)
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    assert "expected a folder new" in gate("compare", "--base-commit", "HEAD", *words, code=2)


def test_the_history_has_the_commit_that_was_measured(gate, tmp_path):
    committed(tmp_path, 1.0, 1.1, 1.2)
    words = ("compare", "--base-commit", "HEAD~2", "--candidate-commit", "HEAD~1")
    command = ("--command", f"{sys.executable} bench.py", "--rounds", 4, "--allow-inconclusive")
    gate(*words, *command, "--history", "h.jsonl")
    asked = ["git", "rev-parse", "HEAD~1"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert {point.commit for point in history.points(tmp_path / "h.jsonl")} == {commit}


def test_the_history_has_the_samples_that_were_measured_again(gate, tmp_path):
    gate("record", "--command", bench(), "--rounds", 8, "-o", "b.json")
    check = ("check", "--baseline", "b.json", "--rounds", 8, "--command", bench(1.3))
    gate(*check, "--history", "h.jsonl", code=1)
    assert {len(point.values) for point in history.points(tmp_path / "h.jsonl")} == {32}


SLOW = """
import os, pathlib, time
pathlib.Path(os.environ["STARTED"]).write_text(str(os.getpid()))
time.sleep(600)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
@pytest.mark.parametrize("where", ["build", "command"])
def test_a_signal_leaves_nothing_behind(gate, tmp_path, number, status, where):
    committed(tmp_path, 1.0)
    (tmp_path / "slow.py").write_text(SLOW)
    started, folders = tmp_path / "started", tmp_path / "tmp"
    folders.mkdir()
    slow = f"{sys.executable} {tmp_path / 'slow.py'}"
    words = ["--build", slow, "--command", "true"] if where == "build" else ["--command", slow]
    process = subprocess.Popen(
        [sys.executable, "-m", "fusible", "gate", "compare", "--base-commit", "HEAD", *words],
        env={**os.environ, "STARTED": str(started), "TMPDIR": str(folders)},
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 -- no other thread runs here
    )
    until = monotonic() + 60
    while not (started.exists() and started.read_text()) and monotonic() < until:
        sleep(0.02)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == status, said
    assert said.splitlines()[-1] in ("fusible: interrupted", "fusible: terminated")
    assert not alive(int(started.read_text()))
    assert list(folders.iterdir()) == []
    listed = subprocess.run(["git", "worktree", "list"], capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


@pytest.mark.parametrize(("name", "code"), [("same", 0), ("slow", 1)])
def test_a_reader_that_has_gone_changes_no_exit_status(gate, files, name, code):
    words = ["compare", "--base", str(files["base"]), "--candidate", str(files[name])]
    command = [sys.executable, "-m", "fusible", "gate", *words]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (code, b"")


def test_a_fault_of_the_program_is_no_regression(gate, recorded, monkeypatch, capsys):
    def broken(values):
        raise RuntimeError("a fault")

    monkeypatch.setattr(gate_check, "check", broken)
    gate(*SAMPLES, code=program.FAULT)


def test_names_cannot_write_lines_of_their_own(gate, tmp_path):
    text = '[scenarios."a\\n::error::x"]\nactual = "now.npy"\nreference = "before.npy"\nulp = 1'
    (tmp_path / "n.toml").write_text(f"version = 1\n{text}\n")
    said = gate("check", "--numerics", "n.toml", code=2)
    assert "expected a name without control characters" in said
    record = written(tmp_path, {"a\n::error::x": RECORD}, "record.json")
    words = (*SGLANG, "--baseline", written(tmp_path, FILE), "--samples", record)
    said = gate(*words, code=1)
    assert not any(line.startswith("::error") for line in said.splitlines())
    assert "a\\n::error::x" in said


def test_ratios_beyond_what_floats_hold(gate, tmp_path):
    for name, value in (("a", 5e-324), ("b", 1e308)):
        rows = [json.dumps({"name": "m", "value": value, "unit": "x"})] * 8
        (tmp_path / name).write_text("\n".join(rows))
    assert "1 regressed" in gate("compare", "--base", "a", "--candidate", "b", code=1)
    assert "1 improved" in gate("compare", "--base", "b", "--candidate", "a")


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (
            'fusions = {a = "2*M"}',
            "fusions.a: expected a number from 0 on or a sum such as '2*L+1'",
        ),
        ("fusions = {a = -1}", "fusions.a: expected a number from 0 on"),
        (f"fusions = {'[' * 5000}", "too many brackets in brackets"),
    ],
    ids=["formula", "number", "levels"],
)
def test_bad_expectations(gate, tmp_path, keys, complaint):
    (tmp_path / "f.toml").write_text(f'version = 1\nmodel = "llama-3.1-8b"\n{keys}\n')
    said = gate("check", "--fusions", "f.toml", code=2)
    assert complaint in said
    assert "constrained-str" not in said


def test_a_baseline_of_nothing_is_a_bad_file(gate, tmp_path):
    table = {"format": baseline.FORMAT, "version": 1, "machines": {}, "scenarios": {}}
    (tmp_path / "b.json").write_text(json.dumps(table))
    lines(tmp_path / "s.jsonl")
    said = gate("check", "--baseline", "b.json", "--samples", "s.jsonl", code=2)
    assert "b.json: scenarios: expected one or more, got none" in said


def test_an_update_keeps_what_only_the_calibration_moved(gate, recorded, files, monkeypatch):
    monkeypatch.setattr(machine, "calibrate", lambda repeats=1: 12.0)
    assert gate("update", recorded, files["same"]).splitlines()[1].startswith("kept")
    said = gate("update", recorded, files["slow"], code=1)
    assert "the calibration moved by +20.0%; it takes --allow-looser" in said


def test_five_hundred_metrics(gate, tmp_path):
    for side, seed in (("a", 0), ("b", 1000)):
        rows = [
            json.dumps({"unit": "ms", "name": f"m{number}", "value": value})
            for number in range(500)
            for value in drawn(seed + number).values
        ]
        (tmp_path / side).write_text("\n".join(rows))
    words = ("compare", "--base", "a", "--candidate", "b", "--json")
    found = json.loads(gate(*words))
    assert len(found["verdicts"]) == 500
    assert {one["verdict"] for one in found["verdicts"]} == {"unchanged"}


@pytest.mark.parametrize(
    ("factor", "verdict", "code"), [(1.0, "unchanged", 0), (1.3, "regressed", 1)]
)
def test_a_timer_of_coarse_steps(gate, tmp_path, factor, verdict, code):
    for name, seed, times in (("a", 1, 1.0), ("b", 2, factor)):
        values = [round(value * 4) / 4 for value in drawn(seed, times).values]  # 250 us
        rows = [json.dumps({"unit": "ms", "name": "m", "value": value}) for value in values]
        (tmp_path / name).write_text("\n".join(rows))
    found = json.loads(gate("compare", "--base", "a", "--candidate", "b", "--json", code=code))
    assert found["verdict"] == verdict


def test_metrics_of_several_commits_are_noted(gate, tmp_path):
    held = [baseline.measured(drawn(seed), commit=letter * 7) for seed, letter in enumerate("ab")]
    baseline.save(tmp_path / "b.json", baseline.assemble(dict(zip("mn", held, strict=True)), {}))
    lines(tmp_path / "s.jsonl")
    words = ("check", "--baseline", "b.json", "--samples", "s.jsonl")
    assert "note: the baseline's metrics are of several commits" in gate(*words, code=3)
