"""SGLang's baselines and records: how they are read, and what becomes of them here."""

import json

import pytest

from fusible.gate import baseline, readers, sglang, sglang_rule
from fusible.gate.model import GateError
from support.sglang_files import CASE, FILE, PROFILE, RECORD, changed, expectations, written


def test_profiles(tmp_path):
    assert expectations(tmp_path, profile="long_term").tolerances.e2e == 0.15
    assert expectations(tmp_path, profile="long_term").tolerances.load_peak_vram == 0.05
    assert expectations(tmp_path, profile="other").tolerances.e2e == 0.25
    assert expectations(tmp_path).tolerances.load_peak_vram == 0.01
    assert expectations(tmp_path).tolerances.host_anon == 0.02


def test_flat_tolerances(tmp_path):
    flat = {**PROFILE, "e2e": 0.1}
    found = expectations(tmp_path, lambda v: v.update(tolerances=flat), profile="long_term")
    assert found.tolerances.e2e == 0.1


def test_the_environment_comes_before_the_file(tmp_path):
    given = {"SGLANG_E2E_TOLERANCE": "0.5", "SGLANG_STAGE_TIME_TOLERANCE": "0.6"}
    found = expectations(tmp_path, environment=given).tolerances
    assert (found.e2e, found.denoise_stage, found.non_denoise_stage) == (0.5, 0.6, 0.8)
    with pytest.raises(GateError, match="SGLANG_E2E_TOLERANCE"):
        expectations(tmp_path, environment={"SGLANG_E2E_TOLERANCE": "much"})


def test_overlays_replace_whole_scenarios(tmp_path):
    other = {"metadata": {}, "scenarios": {"case": {**CASE, "stages_ms": {}}, "new": CASE}}
    found = expectations(tmp_path, overlays=[written(tmp_path, other, "musa.json")])
    assert found.cases["case"].stages_ms == {}
    assert found.cases["new"].expected_e2e_ms == 12_000.0
    assert found.tolerances.e2e == 0.25


OVERRIDES = {
    "b200": {"case": {"expected_e2e_ms": 1.0, "expected_avg_denoise_ms": 2.0}},
    "b200-di": {"case": {"expected_e2e_ms": 3.0, "stages_ms": {"DecodingStage": 4.0}}},
    "h": {"case": {"expected_e2e_ms": 5.0}},
}


@pytest.mark.parametrize(
    ("runner", "e2e", "average", "decoding"),
    [
        ("b200-di-7", 3.0, 2.0, 4.0),
        ("b200-verda", 1.0, 2.0, 100.0),
        ("B200", 12_000.0, 200.0, 100.0),
        ("", 12_000.0, 200.0, 100.0),
    ],
)
def test_the_longest_prefix_of_the_runner_wins(tmp_path, runner, e2e, average, decoding):
    found = expectations(tmp_path, lambda v: v.update(runner_overrides=OVERRIDES), runner=runner)
    case = found.cases["case"]
    assert (case.expected_e2e_ms, case.expected_avg_denoise_ms) == (e2e, average)
    assert case.stages_ms["DecodingStage"] == decoding
    assert case.stages_ms["DenoisingStage"] == 10_000.0


def test_memory_at_the_top_level(tmp_path):
    def change(value):
        value["load_peak_vram_mb"] = {"case": 5.0, "gone": 6.0}
        value["runtime_peak_vram_mb"] = {"case": 7.0}
        value["scenarios"]["case"]["runtime_peak_vram_mb"] = 8.0

    case = expectations(tmp_path, change).cases["case"]
    assert (case.load_peak_vram_mb, case.runtime_peak_vram_mb) == (5.0, 8.0)


def test_the_oldest_files_have_one_map_of_memory_and_one_tolerance_of_stages(tmp_path):
    def change(value):
        value["peak_vram_mb"] = {"case": 1000.0}
        tolerances = value["tolerances"]["pr_test"]
        tolerances["stage"] = 0.7
        del tolerances["denoise_stage"]
        del tolerances["non_denoise_stage"]

    expected = expectations(tmp_path, change)
    assert expected.cases["case"].runtime_peak_vram_mb == 1000.0
    assert (expected.tolerances.denoise_stage, expected.tolerances.non_denoise_stage) == (0.7, 0.7)
    snapshots = {"runtime_peak": {"peak_reserved_mb": 99_999.0}}
    measured = sglang_rule.record({**RECORD, "memory_snapshots": snapshots}, "record")
    assert sglang_rule.check(expected, {"case": [measured]}).exit == 1


def test_unknown_keys_are_told(tmp_path):
    (note,) = expectations(tmp_path, changed(expected_first_token_ms=3.0)).notes
    assert note.endswith("scenarios.case.expected_first_token_ms: not read")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda v: v.pop("scenarios"), "scenarios: expected a value, got none"),
        (lambda v: v.pop("sampling"), "sampling: expected a value, got none"),
        (lambda v: v.update(tolerances={}), "tolerances.pr_test: expected that profile"),
        (lambda v: v["tolerances"]["pr_test"].pop("e2e"), "pr_test: e2e: expected a value"),
        (lambda v: v["scenarios"]["case"].pop("stages_ms"), "case: stages_ms: expected a value"),
        (changed(expected_e2e_ms="1"), "case.expected_e2e_ms: expected a finite number, got '1'"),
        (changed(expected_e2e_ms=None), "case.expected_e2e_ms: expected a finite number, got None"),
        (changed(expected_e2e_ms=-1.0), "case.expected_e2e_ms: expected 0 or more, got -1.0"),
        (changed(expected_e2e_ms=10**400), "expected a finite number, got an integer of hundreds"),
        (lambda v: v["tolerances"].update(pr_test=5), "pr_test: expected an object, got 5"),
        (changed(stages_ms={"a": []}), "stages_ms.a: expected a finite number, got []"),
        (changed(denoise_step_ms={"x": 1.0}), "denoise_step_ms: expected steps' numbers, got 'x'"),
        (lambda v: v.update(runner_overrides={"r": {"new": {}}}), "r.new: expected the id"),
    ],
)
def test_bad_files(tmp_path, change, complaint):
    with pytest.raises(GateError) as caught:
        expectations(tmp_path, change, runner="runner-1")
    assert complaint in str(caught.value)
    assert "perf_baselines_h100.json" in str(caught.value)


def test_not_a_number_is_refused(tmp_path):
    path = tmp_path / "b.json"
    path.write_text(json.dumps(FILE).replace("12000.0", "NaN"))
    with pytest.raises(GateError, match="expected a finite number, got NaN"):
        sglang.load(path)


def test_conversion(tmp_path):
    change = changed(expected_load_ms=9.0, load_peak_vram_mb=10_000.0)
    held = sglang.convert(expectations(tmp_path, change))
    metrics = dict(held.metrics())
    assert metrics["case#e2e_ms"].samples == [12_000.0]
    assert metrics["case#e2e_ms"].tolerance == baseline.Tolerance(relative=0.25, absolute=20.0)
    assert metrics["case#stages_ms/DecodingStage"].tolerance.relative == 0.9
    assert metrics["case#denoise_step_ms/0"].tolerance.absolute == 80.0
    assert metrics["case#load_peak_vram_mb"].unit == "MiB"
    assert "case#stages_ms/per_frame_generation" not in metrics
    assert len(metrics) == 13
    path = tmp_path / "ours.json"
    baseline.save(path, held)
    assert baseline.load(path) == held
    assert len(readers.read(path).series) == 13


@pytest.mark.parametrize("key", ["expected_e2e_ms", "expected_load_ms"])
def test_conversion_refuses_what_guards_nothing(tmp_path, key):
    with pytest.raises(GateError, match=f"case.{key}: expected a number above 0, got 0"):
        sglang.convert(expectations(tmp_path, changed(**{key: 0.0})))


def test_conversion_leaves_out_stages_of_nothing(tmp_path):
    held = sglang.convert(expectations(tmp_path, changed(stages_ms={"A": 0.0, "B": 1.0})))
    assert [name for name in held.scenarios["case"].stages_ms] == ["B"]
    assert held.scenarios["case"].notes.endswith("; 0 there, so left out: stages_ms/A")


def test_conversion_leaves_out_aggregates_without_steps(tmp_path):
    none = {"expected_avg_denoise_ms": 0.0, "expected_median_denoise_ms": 0.0}
    held = sglang.convert(expectations(tmp_path, changed(**none)))
    assert "case#avg_denoise_ms" not in dict(held.metrics())


@pytest.mark.parametrize(
    "content",
    [
        {"case": RECORD},
        {"case": [RECORD]},
        {**RECORD, "case_id": "case"},
    ],
)
def test_forms_of_records(tmp_path, content):
    path = written(tmp_path, content, "record.json")
    (measured,) = sglang_rule.read_records(path)["case"]
    assert (measured.e2e_ms, len(measured.steps_ms)) == (12_000.0, 50)


def test_records_in_lines(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps({**RECORD, "case_id": "case"}) + "\n" for _ in range(2)))
    assert len(sglang_rule.read_records(path)["case"]) == 2


def test_a_record_without_its_case(tmp_path):
    path = written(tmp_path, RECORD, "record.json")
    assert list(sglang_rule.read_records(path, "case")) == ["case"]
    with pytest.raises(GateError, match="case_id"):
        sglang_rule.read_records(path)
