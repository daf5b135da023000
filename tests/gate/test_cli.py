"""`fusible gate` as a user runs it: what it prints, writes and exits with."""

import json
import subprocess
import sys

import pytest

from fusible.cli import failure
from fusible.gate import baseline, machine
from support.gate_commands import bench, committed, lines
from support.gate_samples import drawn, stored
from support.sglang_files import FILE, RECORD, written

COMMANDS = ["record", "check", "compare", "update", "history", "report", "show"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_examples(gate, command):
    said = gate(command, "--help")
    assert "Examples:" in said
    assert "--json" in said


def test_the_group_teaches(gate):
    said = gate("--help")
    assert "Exit codes: 0 all unchanged or improved" in said
    assert all(command in said for command in COMMANDS)


def test_help_needs_no_package():
    command = [sys.executable, "-X", "importtime", "-m", "fusible", "gate", "check", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    for package in ("numpy", "scipy", "pydantic", "fusible._core", "fusible.gate.check"):
        assert f" {package}\n" not in said


@pytest.mark.parametrize("package", ["scipy", "pydantic"])
def test_a_missing_package_is_named(package):
    said = failure.sentence(ModuleNotFoundError(name=package))
    assert said == f"this needs the package {package}: pip install 'fusible[gate]'"


def test_no_module_of_the_gate_loads_the_extension():
    code = """
import importlib, pkgutil, sys
import fusible.gate
for module in pkgutil.iter_modules(fusible.gate.__path__):
    importlib.import_module(f"fusible.gate.{module.name}")
print("fusible._core" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_record_and_check_fusions(gate, tmp_path):
    words = ("record", "--model", "llama-3.1-8b", "--target", "rocm-gfx942", "-o", "f.toml")
    gate(*words)
    assert gate("check", "--fusions", "f.toml").splitlines()[-1].endswith("(exit 0)")
    path = tmp_path / "f.toml"
    path.write_text(path.read_text().replace('"2*L"', '"3*L"'))
    assert "fused_add_rms_norm" in gate("check", "--fusions", "f.toml", code=1)


@pytest.mark.parametrize(
    ("candidate", "verdict", "code"),
    [("same", "unchanged", 0), ("slow", "regressed", 1), ("fast", "improved", 0)],
)
def test_compare_files(gate, files, candidate, verdict, code):
    words = ("compare", "--base", files["base"], "--candidate", files[candidate], "--json")
    found = json.loads(gate(*words, code=code))
    assert set(found) == {"verdicts", "verdict"}
    (one,) = found["verdicts"]
    assert list(one) == ["name", "verdict", "ratio", "low", "high", "n", "p"]
    assert (one["name"], one["verdict"], found["verdict"]) == ("m", verdict, verdict)
    assert one["low"] <= one["ratio"] <= one["high"]


def test_compare_pairs_rounds(gate, tmp_path):
    base = lines(tmp_path / "a.jsonl", 1.0, 1, rounds=True)
    candidate = lines(tmp_path / "b.jsonl", 1.0, 2, rounds=True)
    found = json.loads(gate("compare", "--base", base, "--candidate", candidate, "--json"))
    assert found["verdicts"][0]["n"] == 20


def test_compare_says_what_counts_in_its_last_line(gate, files):
    said = gate("compare", "--base", files["base"], "--candidate", files["slow"], code=1)
    assert said.splitlines()[-1] == "1 regressed: regressed (exit 1)"


def test_too_few_samples_are_inconclusive(gate, tmp_path):
    base, candidate = (lines(tmp_path / f"{n}.jsonl", 1.0, n, count=2) for n in (1, 2))
    words = ("compare", "--base", base, "--candidate", candidate)
    assert "1 inconclusive: inconclusive (exit 3)" in gate(*words, code=3)
    assert "(exit 0)" in gate(*words, "--allow-inconclusive")


def test_compare_commands(gate):
    words = ("compare", "--base-command", bench(), "--candidate-command", bench(1.3))
    found = json.loads(gate(*words, "--rounds", 10, "--json", code=1))
    verdicts = {one["name"]: one["verdict"] for one in found["verdicts"]}
    assert verdicts["decode"] == "regressed"
    assert verdicts["decode#fused"] == "unchanged"


def test_compare_only_some_metrics(gate):
    words = ("compare", "--base-command", bench(), "--candidate-command", bench(1.3))
    words = (*words, "--rounds", 10, "--json", "--only")
    found = json.loads(gate(*words, "prefill#*", code=1))
    assert [one["name"] for one in found["verdicts"]] == ["prefill#e2e"]
    assert "--only: expected to match a metric, got 'x'" in gate(*words, "x", code=2)


def test_compare_commits(gate, tmp_path):
    committed(tmp_path, 1.0, 1.4)
    words = ("compare", "--base-commit", "HEAD~1", "--candidate-commit", "HEAD")
    command = f"{sys.executable} bench.py"
    said = gate(*words, "--command", command, "--rounds", 10, code=1)
    assert "regressed" in said


def test_noop_reports_the_rate_of_false_alarms(gate):
    words = ("compare", "--noop", "--command", bench(), "--times", 2, "--rounds", 8, "--json")
    found = json.loads(gate(*words))
    assert (found["noop"]["times"], found["noop"]["regressed"]) == (2, 0)
    assert 0 < found["noop"]["most"] <= 1


def test_record_and_check_a_command(gate, tmp_path):
    gate("record", "--command", bench(), "--rounds", 8, "--notes", "why", "-o", "b.json")
    held = baseline.load(tmp_path / "b.json")
    metric = dict(held.metrics())["decode"]
    assert (metric.n, max(metric.rounds), metric.calibration_ms) == (16, 7, 10.0)
    assert held.machine_of(metric).hard == machine.fingerprint().hard
    assert held.counts() == {"decode#fused": 20}
    assert held.scenarios["prefill"].notes == "why"
    check = ("check", "--baseline", "b.json", "--rounds", 8)
    assert "3 unchanged: unchanged (exit 0)" in gate(*check, "--command", bench())
    said = gate(*check, "--command", bench(1.3), code=1)
    assert "note: measured again and decided on all samples: decode, prefill#e2e" in said
    assert "n=24" in said


def test_record_the_wall_time(gate, tmp_path):
    command = f"{sys.executable} -c pass"
    words = ("--rounds", 2, "--name", "nothing", "--relative", 0.5, "--absolute", 2)
    gate("record", "--command", command, *words, "-o", "b.json")
    ((name, metric),) = baseline.load(tmp_path / "b.json").metrics()
    assert (name, metric.n) == ("nothing", 2)
    assert metric.tolerance == baseline.Tolerance(relative=0.5, absolute=2.0)


def test_record_what_a_command_prints(gate, tmp_path):
    line = json.dumps({"name": "x", "value": 3, "unit": "ms"})
    command = f"{sys.executable} -c 'print({json.dumps(line)})'"
    gate("record", "--command", command, "--pipe", "--rounds", 2, "-o", "b.json")
    ((name, metric),) = baseline.load(tmp_path / "b.json").metrics()
    assert (name, metric.samples) == ("x", [3.0, 3.0])


def test_record_replaces_no_file(gate, recorded, files):
    said = gate("record", "--samples", files["slow"], "-o", recorded, code=2)
    assert "--output: expected a new file" in said
    gate("record", "--samples", files["slow"], "-o", recorded, "--overwrite")


def test_samples_of_one_process_are_noted(gate, tmp_path):
    stats = {"data": [value / 1000 for value in drawn(1).values]}
    file = {"machine_info": {}, "benchmarks": [{"name": "m", "stats": stats}]}
    (tmp_path / "p.json").write_text(json.dumps(file))
    said = gate("compare", "--base", "p.json", "--candidate", "p.json")
    assert "note: the samples of a metric are of one process" in said


@pytest.mark.parametrize(("name", "code"), [("same", 0), ("slow", 1), ("fast", 0)])
def test_check_samples(gate, recorded, files, name, code):
    gate("check", "--baseline", recorded, "--samples", files[name], code=code)


def test_check_on_another_machine(gate, tmp_path, files):
    baseline.save(tmp_path / "b.json", stored(drawn(0)))
    words = ("check", "--baseline", "b.json", "--samples", files["slow"])
    assert gate(*words, code=3).splitlines()[-1] == "1 advisory: advisory (exit 3)"
    gate(*words, "--allow-inconclusive")
    for more in ((), ("--allow-inconclusive",)):
        assert "(exit 1)" in gate(*words, "--require-decision", *more, code=1)


def test_check_after_the_calibration_moved(gate, recorded, files, monkeypatch):
    monkeypatch.setattr(machine, "calibrate", lambda repeats=1: 12.0)
    said = gate("check", "--baseline", recorded, "--samples", files["slow"], code=3)
    assert "the calibration moved by +20.0%" in said


def test_check_accuracy(gate):
    words = ("check", "--accuracy", "gsm8k=1072/1319")
    assert "gsm8k" in gate(*words, "--accuracy-base", "1047/1319", "--allow-inconclusive")
    gate("check", "--accuracy", "gsm8k=700/1319", "--at-least", 0.79, code=1)


def sglang_file(tmp_path):
    record = written(tmp_path, {"case": RECORD}, "record.json")
    slow = written(tmp_path, {"case": {**RECORD, "total_duration_ms": 15_001.0}}, "slow.json")
    return written(tmp_path, FILE), record, slow


def test_check_with_sglang_s_semantics(gate, tmp_path):
    path, record, slow = sglang_file(tmp_path)
    words = ("check", "--semantics", "sglang", "--baseline", path, "--samples")
    assert json.loads(gate(*words, record, "--json"))["verdict"] == "unchanged"
    said = gate(*words, slow, code=1)
    assert "actual 15001.00, expected 12000.00, limit 15000.00 ms" in said


def test_convert_sglang_s_baseline(gate, tmp_path):
    path, _, _ = sglang_file(tmp_path)
    gate("record", "--samples", path, "-o", "ours.json")
    assert len(list(baseline.load(tmp_path / "ours.json").metrics())) == 11
    assert "case#e2e_ms: 12000 ms" in gate("show", path)
    said = gate("record", "--samples", path, "--relative", 0.1, "-o", "x.json", code=2)
    assert "expected SGLang's own" in said


def test_update(gate, recorded, files, tmp_path):
    before = (tmp_path / recorded).read_text()
    assert gate("update", recorded, files["same"]).splitlines()[1].startswith("kept")
    assert "it takes --allow-looser" in gate("update", recorded, files["slow"], code=1)
    gate("update", recorded, files["slow"], "--write", code=1)
    said = gate("update", recorded, files["slow"], "--allow-looser", code=2)
    assert "--allow-looser: expected a --reason" in said
    rows = json.loads(gate("update", recorded, files["fast"], "--json"))["rows"]
    assert [row["action"] for row in rows] == ["tightened"]
    assert (tmp_path / recorded).read_text() == before
    loosen = ("--allow-looser", "--reason", "more layers", "--write")
    gate("update", recorded, files["slow"], *loosen)
    ((_, metric),) = baseline.load(tmp_path / recorded).metrics()
    assert (metric.reason, metric.median > 12) == ("more layers", True)


def test_update_of_tolerances_needs_no_result(gate, recorded, tmp_path):
    gate("update", recorded, "--relative", 0.01, "--write")
    ((_, metric),) = baseline.load(tmp_path / recorded).metrics()
    assert (metric.tolerance.relative, metric.n) == (0.01, 20)
    assert "refused" in gate("update", recorded, "--relative", 0.5, code=1)


def test_history(gate, files):
    append = [word for _ in range(8) for word in ("--append", files["base"])]
    gate("history", "h.jsonl", *append)
    append = [word for _ in range(8) for word in ("--append", files["slow"])]
    (change,) = json.loads(gate("history", "h.jsonl", *append, "--json"))
    assert (change["name"], change["worse"]) == ("m", True)
    assert change["ratio"] == pytest.approx(1.3, rel=0.02)
    assert "m  worse  +3" in gate("history", "h.jsonl")


def test_check_keeps_a_history_and_a_page(gate, recorded, files, tmp_path):
    words = ("check", "--baseline", recorded, "--samples", files["same"])
    gate(*words, "--history", "h.jsonl", "--html", "out.html")
    assert (tmp_path / "h.jsonl").read_text().count("\n") == 1
    assert "<svg" in (tmp_path / "out.html").read_text()


def test_report(gate, recorded, files, tmp_path):
    gate("report", "--html", "a.html", "--baseline", recorded, "--samples", files["slow"])
    gate("report", "--html", "b.html", "--base", files["base"], "--samples", files["slow"])
    for name in ("a.html", "b.html"):
        assert "regressed" in (tmp_path / name).read_text()


def test_show(gate, recorded, files):
    assert "m: 9.99" in gate("show", recorded)
    assert json.loads(gate("show", files["base"], "--json"))["metrics"][0]["n"] == 20
    assert "calibration: 10 ms" in gate("show", "--machine")
    assert gate("show", "--schema") == baseline.schema()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["compare"], "expected one of --base and --candidate"),
        (["compare", "--base", "base.jsonl"], "expected both --base and --candidate"),
        (["compare", "--base", "no.json", "--candidate", "no.json"], "no.json: No such file"),
        (["compare", "--noop"], "--noop: expected --command"),
        (["compare", "--noop", "--command", "'"], "--command: expected a command"),
        (["compare", "--noop", "--command", "no-such-program"], "expected one that can be started"),
        (["compare", "--noop", "--command", "false"], "expected exit status 0, got exit status 1"),
        (["compare", "--base-command", "true"], "expected both --base-command"),
        (["compare", "--base-commit", "HEAD"], "expected --command beside it"),
        (["check"], "expected --baseline, --fusions, --numerics or --accuracy"),
        (["check", "--samples", "base.jsonl"], "--baseline: expected a file"),
        (["check", "--baseline", "b.json"], "expected either --samples or --command"),
        (["check", "--accuracy", "x"], "--accuracy: expected NAME=RIGHT/TOTAL"),
        (["check", "--accuracy", "x=1/y"], "--accuracy: expected RIGHT/TOTAL, got '1/y'"),
        (["check", "--semantics", "sglang"], "expected one --baseline, and --samples"),
        (["check", "--baseline", "base.jsonl", "--samples", "base.jsonl"], "base.jsonl:"),
        (["record", "-o", "x.json"], "expected either --samples or --command"),
        (["record", "--samples", "base.jsonl", "--relative", "-1", "-o", "x"], "--relative"),
        (["update", "b.json", "base.jsonl", "--remove", "x"], "--remove: expected the name"),
        (["report", "--html", "x.html"], "expected --samples, and either"),
        (["show"], "show: expected one of FILE"),
        (["compare", "--base", "x", "--candidate", "y", "--alpha", "0.9"], "--alpha"),
    ],
    ids=" ".join,
)
def test_bad_requests(gate, recorded, files, words, complaint):
    said = gate(*words, code=2)
    assert complaint in said
    assert len(said.strip().splitlines()) == 1
