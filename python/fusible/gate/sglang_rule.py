"""SGLang's comparison, exactly: one sample, `actual <= max(expected*(1+rel), expected+pad)`.

Its pads let a stage of 5 ms take 125 ms, and one sample says nothing of noise; this is here so that
a team can move over with the verdicts it knows, not because it is right.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fusible.gate import document, names, outside
from fusible.gate.model import Finding, GateError, Report, Verdict
from fusible.gate.sglang import PER_FRAME, Case, Expectations, Tolerances

Platform = Literal["cuda", "hip", "other"]

_PAD, _STAGE_PAD, _DECODE_PAD = 20.0, 120.0, 450.0  # ms
_FIRST_STEP, _FIRST_STEP_PAD = 4.0, 80.0  # the first step compiles and warms up
_VIDEO_STEP_PAD, _LEAST_DECODE = 160.0, 0.9
_VRAM_PAD, _HOST_PAD = 128.0, 256.0  # MiB
_HIP_RELATIVE = 1.0

# Figure of a case -> the snapshot and the key in it that it is compared with, the attribute of the
# tolerances, the pad. A peak of allocated memory is enforced instead of the reserved one.
_MEMORY = {
    "load_peak_vram_mb": ("load_peak", "peak_reserved_mb", "load_peak_vram", _VRAM_PAD),
    "runtime_peak_vram_mb": ("runtime_peak", "peak_reserved_mb", "runtime_peak_vram", _VRAM_PAD),
    "warmup_peak_vram_mb": ("warmup_peak", "peak_reserved_mb", "runtime_peak_vram", _VRAM_PAD),
    "load_peak_allocated_mb": ("load_peak", "peak_allocated_mb", "load_peak_vram", _VRAM_PAD),
    "runtime_peak_allocated_mb": (
        *("runtime_peak", "peak_allocated_mb", "runtime_peak_vram"),
        _VRAM_PAD,
    ),
    "load_peak_host_anon_mb": ("load_peak", "peak_host_anon_mb", "host_anon", _HOST_PAD),
    "runtime_peak_host_anon_mb": ("runtime_peak", "peak_host_anon_mb", "host_anon", _HOST_PAD),
}
# What a record has to have; of a stage 0 is less than its rounding.
_ABOVE_ZERO = ("e2e_ms", "load_ms", "avg_denoise_ms")
_NEEDED_ON_CUDA = ("load_peak_vram_mb", "runtime_peak_vram_mb")


@dataclass(frozen=True)
class Guard:
    """One figure that is guarded: its flat name, its expectation, how much more is borne."""

    name: str
    expected: float
    relative: float
    pad: float
    unit: str = "ms"

    @property
    def limit(self) -> float:
        """The most that passes."""
        return max(self.expected * (1 + self.relative), self.expected + self.pad)


@dataclass(frozen=True)
class Measured:
    """What one request took, as SGLang's record says it.

    Attributes:
        e2e_ms: end to end.
        stages_ms: by name; of several of one name the last.
        denoising: the stages that denoise.
        steps_ms: of every step.
        load_ms: from launch until all workers are ready.
        frames: of a video.
        video: whether it is one.
        memory_mb: by the case's key (`load_peak_vram_mb`).
    """

    e2e_ms: float
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    denoising: frozenset[str] = frozenset()
    steps_ms: Sequence[float] = ()
    load_ms: float | None = None
    frames: int | None = None
    video: bool = False
    memory_mb: Mapping[str, float] = field(default_factory=dict)


def sampled_steps(count: int, fractions: Sequence[float]) -> list[int]:
    """Which of `count` steps are looked at: Python's `round` rounds halves to even."""
    last = count - 1
    return sorted({min(last, max(0, round(share * last))) for share in fractions}) if count else []


def _stage(name: str, expected: float, tolerances: Tolerances, denoises: bool) -> Guard:
    relative = tolerances.denoise_stage if denoises else tolerances.non_denoise_stage
    if name.rpartition("/")[2].endswith("DecodingStage"):
        return Guard(name, expected, max(relative, _LEAST_DECODE), _DECODE_PAD)
    return Guard(name, expected, relative, _STAGE_PAD)


def _step(name: str, step: int, expected: float, tolerances: Tolerances, video: bool) -> Guard:
    if step == 0:
        return Guard(name, expected, _FIRST_STEP, _FIRST_STEP_PAD)
    pad = _VIDEO_STEP_PAD if video else _PAD
    return Guard(name, expected, tolerances.denoise_step, pad)


def guards(expected: Expectations, id_: str, measured: Measured | None = None) -> Iterator[Guard]:
    """All that a case guards, in SGLang's order; steps and stages of all that it has numbers for.

    Without a measurement a case is a video if it expects a time a frame, and the one stage that
    denoises is DenoisingStage.
    """
    case = expected.cases[id_]
    tolerances = expected.tolerances.of_case(case.timing_tolerance)
    video = measured.video if measured else PER_FRAME in case.stages_ms
    denoising = measured.denoising if measured else frozenset({"DenoisingStage"})
    yield Guard(_name(id_, "e2e_ms"), case.expected_e2e_ms, tolerances.e2e, _PAD)
    if case.expected_load_ms is not None:
        load = tolerances.e2e if tolerances.load is None else tolerances.load
        yield Guard(_name(id_, "load_ms"), case.expected_load_ms, load, _PAD)
    yield from _memory_guards(id_, case, expected.tolerances)
    for key in ("avg_denoise_ms", "median_denoise_ms"):
        yield Guard(_name(id_, key), getattr(case, f"expected_{key}"), tolerances.denoise_agg, _PAD)
    for step, ms in sorted(case.denoise_step_ms.items()):
        name = _name(id_, str(step), "denoise_step_ms")
        yield _step(name, step, ms, tolerances, video)
    for stage, stage_ms in case.stages_ms.items():
        name = _name(id_, stage, "stages_ms")
        if stage == PER_FRAME and stage_ms and video:
            yield Guard(name, stage_ms, tolerances.denoise_stage, _PAD)
        elif stage != PER_FRAME and stage_ms is not None:
            yield _stage(name, stage_ms, tolerances, stage in denoising)


def _name(id_: str, key: str, group: str = "metrics") -> str:
    return names.flat(names.Place(id_, group, key))


def _memory_guards(id_: str, case: Case, tolerances: Tolerances) -> Iterator[Guard]:
    for key, (_, _, tolerance, pad) in _MEMORY.items():
        expected = getattr(case, key)
        instead = getattr(case, key.replace("_vram_", "_allocated_"), None)
        if expected is None or ("_vram_" in key and instead is not None):
            continue
        yield Guard(_name(id_, key), expected, getattr(tolerances, tolerance), pad, "MiB")


def _actual(guard: Guard, measured: Measured, sampled: Sequence[int]) -> float | None:
    """The measured figure of a guard, None if there is none."""
    _, group, key = names.place(guard.name)
    steps = measured.steps_ms
    if group == "stages_ms":
        if key == PER_FRAME:
            return measured.e2e_ms / measured.frames if measured.frames else None
        return measured.stages_ms.get(key)
    if group == "denoise_step_ms":
        return steps[int(key)] if int(key) in sampled else None
    times = {
        "e2e_ms": measured.e2e_ms,
        "load_ms": measured.load_ms,
        "avg_denoise_ms": sum(steps) / len(steps) if steps else 0.0,
        "median_denoise_ms": statistics.median(steps) if steps else 0.0,
    }
    return times[key] if key in times else measured.memory_mb.get(key)


def check(
    expected: Expectations,
    records: Mapping[str, Sequence[Measured]],
    *,
    platform: Platform = "other",
) -> Report:
    """Compares the records of each case, one after the other up to the first that fails.

    On HIP a tolerance is 100 % and nothing fails. On CUDA a case has to expect its peaks of memory.
    Every violation is told, where SGLang stops at the first.
    """
    found: list[Finding] = []
    for id_, repeated in records.items():
        of_case: list[Finding] = []
        for measured in repeated:
            of_case = list(_findings(expected, id_, measured, platform))
            if not all(finding.verdict.passed for finding in of_case):
                break
        found += of_case
    good = found and all(finding.verdict.passed for finding in found)
    verdict = Verdict.UNCHANGED if good else Verdict.REGRESSED
    return Report(tuple(found), verdict, (*expected.notes, *_untold(expected, records)))


def _untold(expected: Expectations, records: Mapping[str, Sequence[Measured]]) -> Iterator[str]:
    """What SGLang does not look at: scenarios without a record, stages without an expectation."""
    for id_ in expected.cases:
        if id_ not in records:
            yield f"{id_}: no record of it, not compared"
    for id_ in records.keys() & expected.cases.keys():
        known = expected.cases[id_].stages_ms
        new = {name for one in records[id_] for name in one.stages_ms if name not in known}
        for name in sorted(new):
            yield f"{_name(id_, name, 'stages_ms')}: no expectation, not compared"


def _findings(
    expected: Expectations, id_: str, measured: Measured, platform: Platform
) -> Iterator[Finding]:
    if id_ not in expected.cases:
        yield _missing(id_, "expected a scenario in the baseline, got none")
        return
    case = expected.cases[id_]
    sampled = sampled_steps(len(measured.steps_ms), expected.fractions)
    for guard in guards(expected, id_, measured):
        actual = _actual(guard, measured, sampled)
        if actual is not None:
            yield _compared(guard, actual, platform)
        elif _is_needed(guard, platform):
            yield _missing(guard.name, "expected a measurement, got none", platform)
    if not measured.stages_ms:
        yield _missing(_name(id_, "stages_ms"), "expected stages, got none", platform)
    for key in _NEEDED_ON_CUDA if platform == "cuda" else ():
        if getattr(case, key) is None and getattr(case, key.replace("vram", "allocated")) is None:
            yield _missing(_name(id_, key), "expected a figure in the baseline, got none")


def _is_needed(guard: Guard, platform: Platform) -> bool:
    """Whether a figure that wasn't measured is a failure: not a step, a frame, memory off CUDA."""
    _, group, key = names.place(guard.name)
    if group == "denoise_step_ms" or key == PER_FRAME:
        return False
    return guard.unit == "ms" or platform == "cuda"


def _compared(guard: Guard, actual: float, platform: Platform) -> Finding:
    hip = platform == "hip" and guard.unit == "ms"
    relative = max(_HIP_RELATIVE, guard.relative) if hip else guard.relative
    limit = Guard(guard.name, guard.expected, relative, guard.pad).limit
    key = names.place(guard.name).key
    measured = 0 < actual < math.inf or (actual == 0 and key not in _ABOVE_ZERO)
    guarded = guard.expected > 0 or key not in ("e2e_ms", "load_ms")
    good = measured and guarded and actual <= limit
    reason = (
        f"actual {actual:.2f}, expected {guard.expected:.2f}, limit {limit:.2f} {guard.unit}"
        f" (relative {relative:g}, pad {guard.pad:g})"
    )
    if not guarded:
        reason = f"expected a baseline above 0, got {guard.expected:g}: it guards nothing"
    if not good and hip:
        reason, good = f"a warning on HIP: {reason}", True
    ratio = actual / guard.expected if guard.expected > 0 else math.nan
    verdict = Verdict.UNCHANGED if good else Verdict.REGRESSED
    return Finding(guard.name, verdict, ratio, ratio, ratio, 1, math.nan, guard.unit, reason=reason)


def _missing(name: str, reason: str, platform: Platform = "other") -> Finding:
    """A figure that isn't there; on HIP, where no time fails, that is a warning too."""
    verdict, nan = Verdict.MISSING, math.nan
    if platform == "hip":
        verdict, reason = Verdict.UNCHANGED, f"a warning on HIP: {reason}"
    return Finding(name, verdict, nan, nan, nan, 0, nan, reason=reason)


def read_records(path: Path, scenario: str | None = None) -> dict[str, list[Measured]]:
    """Records of requests: one, `{case id: record or list of them}`, or JSON lines with `case_id`.

    Args:
        path: of the file.
        scenario: whose record it is, if the file holds one that doesn't say so (`case_id`).
    """
    text, where = document.read_text(path), str(path)
    try:
        rows = [document.parse(text, where)]
    except GateError:
        given = text.split("\n")
        rows = [
            document.parse(row, f"{where}:{n}") for n, row in enumerate(given, 1) if row.strip()
        ]
    found: dict[str, list[Measured]] = {}
    for id_, value in _rows(rows, scenario, where):
        found.setdefault(id_, []).append(record(value, f"{where}: {id_}"))
    if not found:
        raise GateError(f"{where}: expected records of requests, got none")
    return found


def _rows(rows: Iterable[Any], scenario: str | None, where: str) -> Iterator[tuple[str, Any]]:
    for row in rows:
        if not isinstance(row, dict):
            raise GateError(f"{where}: expected an object, got {row!r:.60}")
        if "total_duration_ms" in row:
            id_ = row.get("case_id", scenario)
            if not isinstance(id_, str):
                raise GateError(f"{where}: case_id: expected a scenario's id (or --scenario)")
            yield id_, row
            continue
        for id_, value in row.items():
            yield from ((id_, one) for one in (value if isinstance(value, list) else [value]))


def record(value: Any, where: str) -> Measured:
    """The measurement that a record of SGLang says."""
    if not isinstance(value, dict) or "total_duration_ms" not in value:
        raise GateError(f"{where}: expected a record with total_duration_ms, got {value!r:.60}")
    stages = [_stage_of(one, f"{where}: stages") for one in _listed(value, "stages", where)]
    frames = value.get("num_frames")
    return Measured(
        outside.finite(value["total_duration_ms"], f"{where}: total_duration_ms"),
        {name: took for name, took, _ in stages},
        # Of several of one name the last counts.
        frozenset(n for n, denoises in {n: d for n, _, d in stages}.items() if denoises),
        tuple(outside.finite(step, f"{where}: steps") for step in _listed(value, "steps", where)),
        None
        if value.get("load_ms") is None
        else outside.finite(value["load_ms"], f"{where}: load_ms"),
        frames if isinstance(frames, int) else None,
        value.get("modality", "video" if frames else "image") == "video",
        _memory(value.get("memory_snapshots") or {}, where),
    )


def _listed(value: dict[str, Any], key: str, where: str) -> list[Any]:
    given = value.get(key) or []
    if not isinstance(given, list):
        raise GateError(f"{where}: {key}: expected a list, got {given!r:.60}")
    return given


def _stage_of(value: Any, where: str) -> tuple[str, float, bool]:
    """A stage's name, its time, and whether it denoises."""
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str):
        raise GateError(f"{where}: expected objects with a name, got {value!r:.60}")
    took = outside.finite(value.get("execution_time_ms"), f"{where}: {name}: execution_time_ms")
    return name, took, bool(value.get("is_denoising", name == "DenoisingStage"))


def _memory(snapshots: Any, where: str) -> dict[str, float]:
    found = {}
    for key, (snapshot, peak, _, _) in _MEMORY.items():
        held = snapshots.get(snapshot) if isinstance(snapshots, dict) else None
        if isinstance(held, dict) and held.get(peak) is not None:
            found[key] = outside.finite(held[peak], f"{where}: memory_snapshots.{snapshot}.{peak}")
    return found
