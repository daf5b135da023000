"""A small baseline of SGLang, and a record that is as it expects."""

import copy
import json

from fusible.gate import sglang

PROFILE = {
    "e2e": 0.25,
    "denoise_stage": 0.25,
    "non_denoise_stage": 0.8,
    "denoise_step": 0.3,
    "denoise_agg": 0.2,
}
LONG = {**PROFILE, "e2e": 0.15, "load_peak_vram": 0.05}
FRACTIONS = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
CASE = {
    "stages_ms": {
        "TextEncodingStage": 5.0,
        "DenoisingStage": 10_000.0,
        "DecodingStage": 100.0,
        "per_frame_generation": None,
    },
    "denoise_step_ms": {"0": 100.0, "10": 200.0, "20": 200.0, "29": 200.0, "49": 10.0},
    "expected_e2e_ms": 12_000.0,
    "expected_avg_denoise_ms": 200.0,
    "expected_median_denoise_ms": 200.0,
}
FILE = {
    "metadata": {"model": "m", "hardware": "CI H100 80GB pool", "last_updated": "then"},
    "tolerances": {"pr_test": PROFILE, "long_term": LONG},
    "improvement_reporting": {"threshold": 0.2},
    "sampling": {"step_fractions": FRACTIONS},
    "scenarios": {"case": CASE},
}
RECORD = {
    "request_id": "r",
    "total_duration_ms": 12_000.0,
    "stages": [
        {"name": "TextEncodingStage", "execution_time_ms": 5.0},
        {"name": "DenoisingStage", "execution_time_ms": 10_000.0},
        {"name": "DecodingStage", "execution_time_ms": 100.0},
    ],
    "steps": [200.0] * 49 + [10.0],
}


def written(tmp_path, value, name="perf_baselines_h100.json"):
    path = tmp_path / name
    path.write_text(json.dumps(value, indent=4) + "\n")
    return path


def expectations(tmp_path, change=lambda value: None, **options):
    value = copy.deepcopy(FILE)
    change(value)
    return sglang.load(written(tmp_path, value), **options)


def changed(**keys):
    """A change of the case in the file."""
    return lambda value: value["scenarios"]["case"].update(keys)
