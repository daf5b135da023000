"""SGLang's comparison, rule by rule, each with the verdict that SGLang gives."""

import copy

import pytest

from fusible.gate import sglang_rule
from fusible.gate.model import GateError, Verdict
from support.sglang_files import FRACTIONS, RECORD, changed, expectations


def judged(tmp_path, change=lambda value: None, platform="other", more=None, **keys):
    """The report on the record with other values, and the failing figures' short names."""
    expected = expectations(tmp_path, change, **(more or {}))
    measured = sglang_rule.record({**copy.deepcopy(RECORD), **keys}, "record")
    report = sglang_rule.check(expected, {"case": [measured]}, platform=platform)
    failed = [f.name.partition("#")[2] for f in report.findings if not f.verdict.passed]
    assert report.exit == (1 if failed else 0)
    return failed


def stages(**times):
    kept = [s for s in RECORD["stages"] if s["name"] not in times]
    return kept + [{"name": n, "execution_time_ms": t} for n, t in times.items() if t is not None]


def steps(**times):
    """Fifty steps, those of `times` (`s10=…`) as given."""
    return [times.get(f"s{i}", ms) for i, ms in enumerate(RECORD["steps"])]


def test_what_is_expected_passes(tmp_path):
    assert judged(tmp_path) == []


# Figure of the record, expected figure of the case, the largest value that passes.
LIMITS = [
    ("total_duration_ms", {}, 15_000.0, "e2e_ms"),  # relative 0.25
    ("total_duration_ms", {"expected_e2e_ms": 40.0}, 60.0, "e2e_ms"),  # pad 20
    ("load_ms", {"expected_load_ms": 1000.0}, 1250.0, "load_ms"),  # as e2e without its own
]


@pytest.mark.parametrize(("key", "case", "limit", "name"), LIMITS)
def test_limits_of_a_request(tmp_path, key, case, limit, name):
    given = {"load_ms": 1.0, key: limit}
    assert judged(tmp_path, changed(**case), **given) == []
    assert judged(tmp_path, changed(**case), **{**given, key: limit + 0.01}) == [name]


def test_load_has_a_tolerance_of_its_own(tmp_path):
    def change(value):
        value["tolerances"]["pr_test"]["load"] = 0.4
        value["scenarios"]["case"]["expected_load_ms"] = 1000.0

    assert judged(tmp_path, change, load_ms=1400.0) == []
    assert judged(tmp_path, change, load_ms=1401.0) == ["load_ms"]
    assert judged(tmp_path, change) == ["load_ms"]  # not measured


@pytest.mark.parametrize(
    ("stage", "limit"),
    [
        ("TextEncodingStage", 125.0),  # pad 120: five milliseconds may become 25 times as many
        ("DenoisingStage", 12_500.0),  # relative 0.25
        ("DecodingStage", 550.0),  # pad 450
    ],
)
def test_limits_of_stages(tmp_path, stage, limit):
    assert judged(tmp_path, stages=stages(**{stage: limit})) == []
    failed = judged(tmp_path, stages=stages(**{stage: limit + 0.01}))
    assert failed == [f"stages_ms/{stage}"]


def test_decoding_is_borne_at_least_90_percent(tmp_path):
    def change(value):
        value["scenarios"]["case"]["stages_ms"]["VAEDecodingStage"] = 10_000.0

    within, beyond = (stages(VAEDecodingStage=ms) for ms in (19_000.0, 19_001.0))
    assert judged(tmp_path, change, stages=within) == []
    assert judged(tmp_path, change, stages=beyond) == ["stages_ms/VAEDecodingStage"]


def test_the_record_says_which_stage_denoises(tmp_path):
    given = stages(TextEncodingStage=5.0)

    def change(value):
        value["scenarios"]["case"]["stages_ms"]["TextEncodingStage"] = 1000.0

    marked = [{**s, "is_denoising": s["name"] == "TextEncodingStage"} for s in given]
    for name, limit in (("TextEncodingStage", 1250.0), ("DenoisingStage", 18_000.0)):
        for ms, failed in ((limit, []), (limit + 1, [f"stages_ms/{name}"])):
            timed = [{**s, "execution_time_ms": ms} if s["name"] == name else s for s in marked]
            assert judged(tmp_path, change, stages=timed) == failed


def test_a_stage_may_take_no_time(tmp_path):
    # Files have stages of 0.0, which took less than their rounding.
    change = changed(stages_ms={"ImageVAEEncodingStage": 0.0, "DecodingStage": 1.0})
    for ms, failed in ((0.0, []), (120.0, []), (121.0, ["stages_ms/ImageVAEEncodingStage"])):
        taken = stages(ImageVAEEncodingStage=ms, DecodingStage=0.0)
        assert judged(tmp_path, change, stages=taken) == failed


def test_a_missing_stage_fails(tmp_path):
    assert judged(tmp_path, stages=stages(DecodingStage=None)) == ["stages_ms/DecodingStage"]


def test_without_stages_each_fails(tmp_path):
    failed = judged(tmp_path, stages=[])
    assert "stages_ms" in failed
    assert "stages_ms/DenoisingStage" in failed


def test_a_new_stage_is_not_compared_and_told(tmp_path):
    record = sglang_rule.record({**RECORD, "stages": stages(NewStage=1.0)}, "r")
    report = sglang_rule.check(expectations(tmp_path), {"case": [record]})
    assert report.exit == 0
    assert report.notes == ("case#stages_ms/NewStage: no expectation, not compared",)


def test_of_two_stages_of_one_name_the_last_counts(tmp_path):
    twice = [*RECORD["stages"], {"name": "TextEncodingStage", "execution_time_ms": 126.0}]
    assert judged(tmp_path, stages=twice) == ["stages_ms/TextEncodingStage"]
    assert judged(tmp_path, stages=twice[::-1]) == []


@pytest.mark.parametrize(
    ("step", "limit"),
    [
        (0, 500.0),  # 100 * (1 + 4.0)
        (10, 260.0),  # relative 0.3
        (49, 30.0),  # pad 20
    ],
)
def test_limits_of_steps(tmp_path, step, limit):
    within, beyond = (steps(**{f"s{step}": ms}) for ms in (limit, limit + 0.01))
    loose = changed(expected_avg_denoise_ms=1e6)
    assert judged(tmp_path, loose, steps=within) == []
    assert judged(tmp_path, loose, steps=beyond) == [f"denoise_step_ms/{step}"]


def test_the_first_step_has_a_pad_of_80(tmp_path):
    change = changed(denoise_step_ms={"0": 10.0})
    assert judged(tmp_path, change, steps=steps(s0=90.0)) == []
    assert judged(tmp_path, change, steps=steps(s0=91.0)) == ["denoise_step_ms/0"]


def test_steps_of_a_video_have_a_pad_of_160(tmp_path):
    given = {"modality": "video", "num_frames": 16}
    assert judged(tmp_path, steps=steps(s49=170.0), **given) == []
    assert judged(tmp_path, steps=steps(s49=171.0), **given) == ["denoise_step_ms/49"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (1, [0]),
        (2, [0, 1]),
        (4, [0, 1, 2, 3]),  # 0.6, 1.2, 1.8, 2.4
        (50, [0, 10, 20, 29, 39, 49]),  # 9.8, 19.6, 29.4, 39.2
    ],
)
def test_which_steps_are_sampled(count, expected):
    assert sglang_rule.sampled_steps(count, FRACTIONS) == expected


def test_halves_round_to_even():
    # 0.5 * 5 = 2.5 -> 2, 0.5 * 3 = 1.5 -> 2, 0.1 * 5 = 0.5 -> 0, 0.3 * 5 = 1.5 -> 2
    assert sglang_rule.sampled_steps(6, [0.5]) == [2]
    assert sglang_rule.sampled_steps(4, [0.5]) == [2]
    assert sglang_rule.sampled_steps(6, [0.1, 0.3]) == [0, 2]


def test_steps_that_are_not_sampled_or_not_expected_are_skipped(tmp_path):
    assert judged(tmp_path, steps=steps(s11=1e3, s39=1e3)) == []


def test_other_numbers_of_steps_are_sampled_by_what_was_measured(tmp_path):
    # Of 21 steps 0, 4, 8, 12, 16 and 20 are looked at; of these 0 and 20 are expected.
    given = [200.0] * 21
    assert judged(tmp_path, steps=given) == []
    assert judged(tmp_path, steps=[*given[:20], 261.0]) == ["denoise_step_ms/20"]
    assert judged(tmp_path, steps=[*given[:10], 261.0, *given[11:]]) == []


def test_aggregates(tmp_path):
    assert judged(tmp_path, steps=[240.0] * 49 + [10.0]) == []
    failed = ["avg_denoise_ms", "median_denoise_ms", "denoise_step_ms/49"]
    assert judged(tmp_path, steps=[245.0] * 50) == failed


def test_a_request_without_steps_fails(tmp_path):
    assert judged(tmp_path, steps=[]) == ["avg_denoise_ms"]


def test_frames_of_a_video(tmp_path):
    def change(value):
        value["scenarios"]["case"]["stages_ms"]["per_frame_generation"] = 600.0

    video = {"modality": "video"}
    assert judged(tmp_path, change, num_frames=16, **video) == []  # 750 = 600 * 1.25
    assert judged(tmp_path, change, num_frames=15, **video) == ["stages_ms/per_frame_generation"]
    assert judged(tmp_path, change, **video) == []
    assert judged(tmp_path, change) == []


def test_a_case_may_have_a_tolerance_of_its_own(tmp_path):
    change = changed(timing_tolerance=1.0, load_peak_vram_mb=10_000.0)
    memory = {"load_peak": {"peak_reserved_mb": 10_100.0}}
    given = {"steps": steps(s0=500.0), "memory_snapshots": memory}
    assert judged(tmp_path, change, total_duration_ms=24_000.0, **given) == []
    assert judged(tmp_path, change, total_duration_ms=24_001.0, **given) == ["e2e_ms"]
    memory["load_peak"]["peak_reserved_mb"] = 10_129.0  # memory keeps the profile's 1 %, pad 128
    assert judged(tmp_path, change, **given) == ["load_peak_vram_mb"]


@pytest.mark.parametrize(
    ("key", "snapshot", "peak", "limit"),
    [
        ("load_peak_vram_mb", "load_peak", "peak_reserved_mb", 20_200.0),  # 1 %
        ("runtime_peak_vram_mb", "runtime_peak", "peak_reserved_mb", 20_400.0),  # 2 %
        ("warmup_peak_vram_mb", "warmup_peak", "peak_reserved_mb", 20_400.0),
        ("load_peak_allocated_mb", "load_peak", "peak_allocated_mb", 20_200.0),
        ("runtime_peak_allocated_mb", "runtime_peak", "peak_allocated_mb", 20_400.0),
        ("load_peak_host_anon_mb", "load_peak", "peak_host_anon_mb", 20_400.0),
        ("runtime_peak_host_anon_mb", "runtime_peak", "peak_host_anon_mb", 20_400.0),
    ],
)
def test_memory(tmp_path, key, snapshot, peak, limit):
    change = changed(**{key: 20_000.0})
    for used, failed in ((limit, []), (limit + 1, [key])):
        assert judged(tmp_path, change, memory_snapshots={snapshot: {peak: used}}) == failed


def test_allocated_memory_is_enforced_instead_of_reserved(tmp_path):
    change = changed(load_peak_vram_mb=1000.0, load_peak_allocated_mb=1000.0)
    held = {"load_peak": {"peak_reserved_mb": 5000.0, "peak_allocated_mb": 1000.0}}
    assert judged(tmp_path, change, memory_snapshots=held) == []


def test_small_memory_has_a_pad(tmp_path):
    change = changed(runtime_peak_host_anon_mb=100.0)
    for used, failed in ((356.0, []), (357.0, ["runtime_peak_host_anon_mb"])):
        held = {"runtime_peak": {"peak_host_anon_mb": used}}
        assert judged(tmp_path, change, memory_snapshots=held) == failed


def test_on_cuda_peaks_are_expected_and_measured(tmp_path):
    peaks = ["load_peak_vram_mb", "runtime_peak_vram_mb"]
    assert judged(tmp_path, platform="cuda") == peaks
    change = changed(**dict.fromkeys(peaks, 1000.0))
    assert judged(tmp_path, change, platform="cuda") == peaks
    assert judged(tmp_path, change) == []


def test_nothing_fails_on_hip(tmp_path):
    assert judged(tmp_path, platform="hip", total_duration_ms=1e9) == []
    assert judged(tmp_path, platform="hip", stages=stages(DecodingStage=None)) == []
    assert judged(tmp_path, platform="hip", stages=[]) == []


def test_hip_narrows_no_tolerance(tmp_path):
    measured = sglang_rule.record({**RECORD, "steps": steps(s0=600.0)}, "record")
    report = sglang_rule.check(expectations(tmp_path), {"case": [measured]}, platform="hip")
    (first,) = [f for f in report.findings if f.name == "case#denoise_step_ms/0"]
    assert "limit 500.00 ms (relative 4, pad 80)" in first.reason


def test_a_scenario_without_a_record_is_told(tmp_path):
    expected = expectations(tmp_path, lambda v: v["scenarios"].update(other=v["scenarios"]["case"]))
    measured = sglang_rule.record(RECORD, "record")
    assert (
        "other: no record of it, not compared"
        in sglang_rule.check(expected, {"case": [measured]}).notes
    )


def test_a_negative_time_fails(tmp_path):
    failed = judged(tmp_path, stages=stages(TextEncodingStage=-1000.0))
    assert failed == ["stages_ms/TextEncodingStage"]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"steps": 5}, "steps: expected a list, got 5"),
        ({"stages": 5}, "stages: expected a list, got 5"),
        ({"stages": [5]}, "stages: expected objects with a name, got 5"),
        ({"stages": [{"name": ["x"]}]}, "stages: expected objects with a name"),
        ({"stages": [{"name": "x"}]}, "x: execution_time_ms: expected a finite number, got None"),
        ({"total_duration_ms": 10**5000}, "expected a finite number, got an integer of hundreds"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:20],
)
def test_bad_records(keys, complaint):
    with pytest.raises(GateError) as caught:
        sglang_rule.record({**RECORD, **keys}, "record")
    assert complaint in str(caught.value)


def test_a_missing_scenario_fails(tmp_path):
    measured = sglang_rule.record(RECORD, "r")
    report = sglang_rule.check(expectations(tmp_path), {"new": [measured]})
    assert (report.exit, report.findings[0].verdict) == (1, Verdict.MISSING)


def test_repeated_requests_stop_at_the_first_that_fails(tmp_path):
    good, bad = (sglang_rule.record({**RECORD, "total_duration_ms": ms}, "r") for ms in (1.0, 1e9))
    for records, code in (([good, good], 0), ([good, bad, good], 1)):
        assert sglang_rule.check(expectations(tmp_path), {"case": records}).exit == code


def test_nothing_measured_does_not_pass(tmp_path):
    assert sglang_rule.check(expectations(tmp_path), {}).exit == 1


def test_an_expectation_of_zero_fails(tmp_path):
    assert judged(tmp_path, changed(expected_e2e_ms=0.0), total_duration_ms=10.0) == ["e2e_ms"]


@pytest.mark.parametrize("ms", [0.0, -1.0])
def test_a_request_that_took_no_time_fails(tmp_path, ms):
    assert judged(tmp_path, total_duration_ms=ms) == ["e2e_ms"]
