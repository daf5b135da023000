"""SGLang's `perf_baselines*.json`: read as SGLang reads them, and converted to ours.

Facts of the format are SGLang's (sgl-project/sglang, multimodal_gen/test/server): profiles of
tolerances or flat ones, overlays that replace whole scenarios, figures of a runner by the prefix
of its name, environment variables before files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusible.gate import document, outside
from fusible.gate.baseline import Baseline, Metric, Tolerance, assemble, measured
from fusible.gate.model import GateError, Series

if TYPE_CHECKING:
    from fusible.gate.sglang_rule import Guard

_TOP = {"metadata", "tolerances", "improvement_reporting", "sampling", "scenarios"} | {
    *("runner_overrides", "load_peak_vram_mb", "runtime_peak_vram_mb", "peak_vram_mb")
}
# Attribute of Tolerances -> the environment variable that comes before the file.
_ENVIRONMENT = {
    "e2e": "SGLANG_E2E_TOLERANCE",
    "denoise_stage": "SGLANG_STAGE_TIME_TOLERANCE",
    "non_denoise_stage": "SGLANG_NON_DENOISE_STAGE_TIME_TOLERANCE",
    "denoise_step": "SGLANG_DENOISE_STEP_TOLERANCE",
    "denoise_agg": "SGLANG_DENOISE_AGG_TOLERANCE",
    "load_peak_vram": "SGLANG_LOAD_PEAK_VRAM_TOLERANCE",
    "runtime_peak_vram": "SGLANG_RUNTIME_PEAK_VRAM_TOLERANCE",
}
# The oldest files have one tolerance for both kinds of stages.
_OLDER = {"denoise_stage": "stage", "non_denoise_stage": "stage"}
_TIMES = ("e2e", "denoise_stage", "non_denoise_stage", "denoise_step", "denoise_agg")
_DEFAULT_PROFILE = "pr_test"
PER_FRAME = "per_frame_generation"
_NOTE = "from SGLang: one sample, of a machine that the file doesn't name"


@dataclass(frozen=True)
class Tolerances:
    """Ratios by which a figure may exceed its expectation; 0.25 is 25 %."""

    e2e: float
    denoise_stage: float
    non_denoise_stage: float
    denoise_step: float
    denoise_agg: float
    load: float | None = None
    load_peak_vram: float = 0.01
    runtime_peak_vram: float = 0.02
    host_anon: float = 0.02

    def of_case(self, timing: float | None) -> Tolerances:
        """Those of a scenario with a `timing_tolerance`: memory keeps its own."""
        return self if timing is None else replace(self, **dict.fromkeys(_TIMES, timing))


@dataclass(frozen=True)
class Case:
    """What is expected of one scenario; None is not guarded. Times in ms, memory in MiB."""

    stages_ms: Mapping[str, float | None]
    denoise_step_ms: Mapping[int, float]
    expected_e2e_ms: float
    expected_avg_denoise_ms: float = 0.0
    expected_median_denoise_ms: float = 0.0
    estimated_full_test_time_s: float | None = None
    expected_load_ms: float | None = None
    load_peak_vram_mb: float | None = None
    runtime_peak_vram_mb: float | None = None
    warmup_peak_vram_mb: float | None = None
    load_peak_allocated_mb: float | None = None
    runtime_peak_allocated_mb: float | None = None
    load_peak_host_anon_mb: float | None = None
    runtime_peak_host_anon_mb: float | None = None
    timing_tolerance: float | None = None
    notes: str = ""


_REQUIRED = tuple(field.name for field in fields(Case))[:5]
_NUMBERS = tuple(f.name for f in fields(Case) if f.name not in ("stages_ms", "notes"))[1:]


@dataclass(frozen=True)
class Expectations:
    """A baseline of SGLang, after overlays, the runner's figures and the environment.

    Attributes:
        cases: by id.
        tolerances: of the profile.
        fractions: at which steps are sampled.
        improvement: ratio from which on SGLang prints that something got faster.
        notes: what was seen and is not used.
    """

    cases: Mapping[str, Case]
    tolerances: Tolerances
    fractions: Sequence[float]
    improvement: float = 0.2
    notes: tuple[str, ...] = field(default=())


def load(
    path: Path,
    overlays: Iterable[Path] = (),
    *,
    runner: str = "",
    profile: str = _DEFAULT_PROFILE,
    environment: Mapping[str, str] | None = None,
) -> Expectations:
    """Reads a baseline of SGLang.

    Args:
        path: the file of the platform.
        overlays: files whose scenarios replace those of the same id, later ones last.
        runner: the runner's name; of `runner_overrides` the longest prefix of it wins, figure by
            figure.
        profile: of the tolerances; `pr_test` stands in for one that the file lacks.
        environment: where SGLANG_…_TOLERANCE are looked up.
    """
    table = _object(document.read(path), str(path))
    where = str(path)
    scenarios = dict(_object(_needed(table, "scenarios", where), f"{where}: scenarios"))
    notes = [f"{where}: {key}: not read" for key in table if key not in _TOP]
    for key in ("load_peak_vram_mb", "runtime_peak_vram_mb", "peak_vram_mb"):
        _move_in(scenarios, key, table.get(key, {}), where)
    for overlay in overlays:
        more = _object(document.read(overlay), str(overlay))
        scenarios |= _object(_needed(more, "scenarios", str(overlay)), f"{overlay}: scenarios")
    _override(scenarios, table.get("runner_overrides", {}), runner, where)
    cases = {id_: _case(id_, case, where, notes) for id_, case in scenarios.items()}
    tolerances = _tolerances(table.get("tolerances", {}), profile, environment or {}, where)
    reporting = _object(table.get("improvement_reporting", {}), f"{where}: improvement_reporting")
    threshold = _number(reporting.get("threshold", 0.2), f"{where}: improvement_reporting")
    return Expectations(cases, tolerances, _fractions(table, where), threshold, tuple(notes))


def recognised(value: Any) -> bool:
    """Whether a JSON value looks like a baseline of SGLang."""
    keys = {"scenarios", "sampling"}
    return isinstance(value, dict) and keys <= value.keys() and "format" not in value


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise GateError(f"{where}: expected an object, got {value!r:.60}")
    return value


def _needed(table: dict[str, Any], key: str, where: str) -> Any:
    if key not in table:
        raise GateError(f"{where}: {key}: expected a value, got none")
    return table[key]


def _number(value: Any, where: str) -> float:
    number = outside.finite(value, where)
    if number < 0:
        raise GateError(f"{where}: expected 0 or more, got {number}")
    return number


def _fractions(table: dict[str, Any], where: str) -> tuple[float, ...]:
    sampling = _object(_needed(table, "sampling", where), f"{where}: sampling")
    given = _needed(sampling, "step_fractions", f"{where}: sampling")
    if not isinstance(given, list):
        raise GateError(f"{where}: sampling.step_fractions: expected a list, got {given!r:.60}")
    return tuple(_number(value, f"{where}: sampling.step_fractions") for value in given)


def _move_in(scenarios: dict[str, Any], key: str, figures: Any, where: str) -> None:
    """Memory figures once stood at the top level, by scenario; those inside a scenario win.

    The oldest such map doesn't say of which phase it is: it is that of the request.
    """
    inner = "runtime_peak_vram_mb" if key == "peak_vram_mb" else key
    for id_, figure in _object(figures, f"{where}: {key}").items():
        if id_ in scenarios:
            scenarios[id_] = {inner: figure, **_object(scenarios[id_], f"{where}: scenarios.{id_}")}


def _override(scenarios: dict[str, Any], overrides: Any, runner: str, where: str) -> None:
    place = f"{where}: runner_overrides"
    matching = [prefix for prefix in _object(overrides, place) if runner.startswith(prefix)]
    for prefix in sorted(matching, key=len) if runner else ():
        for id_, figures in _object(overrides[prefix], f"{place}.{prefix}").items():
            if id_ not in scenarios:
                raise GateError(f"{place}.{prefix}.{id_}: expected the id of a scenario")
            scenarios[id_] = _merged(scenarios[id_], figures, f"{place}.{prefix}.{id_}")


def _merged(case: Any, figures: Any, where: str) -> dict[str, Any]:
    merged = dict(_object(case, where))
    for key, value in _object(figures, where).items():
        inner = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if inner else value
    return merged


def _case(id_: str, value: Any, where: str, notes: list[str]) -> Case:
    place = f"{where}: scenarios.{id_}"
    table = _object(value, place)
    for key in _REQUIRED:
        _needed(table, key, place)
    known = {*_NUMBERS, "stages_ms", "denoise_step_ms", "notes"}
    notes += [f"{place}.{key}: not read" for key in table if key not in known]
    numbers = {
        key: _number(table[key], f"{place}.{key}")
        for key in _NUMBERS
        if table.get(key) is not None or key in _REQUIRED
    }
    stages = {
        name: None if ms is None else _number(ms, f"{place}.stages_ms.{name}")
        for name, ms in _object(table["stages_ms"], f"{place}.stages_ms").items()
    }
    return Case(stages, _steps(table["denoise_step_ms"], place), notes="", **numbers)


def _steps(value: Any, where: str) -> dict[int, float]:
    place = f"{where}.denoise_step_ms"
    found = {}
    for key, ms in _object(value, place).items():
        if not key.isdecimal():
            raise GateError(f"{place}: expected steps' numbers, got {key!r:.60}")
        found[int(key)] = _number(ms, f"{place}.{key}")
    return found


def _tolerances(value: Any, profile: str, environment: Mapping[str, str], where: str) -> Tolerances:
    table = _object(value, f"{where}: tolerances")
    flat = "e2e" in table and not isinstance(table["e2e"], dict)
    chosen = table if flat else table.get(profile, table.get(_DEFAULT_PROFILE))
    place = f"{where}: tolerances" if flat else f"{where}: tolerances.{profile}"
    if not chosen:
        raise GateError(f"{place}: expected that profile or {_DEFAULT_PROFILE}, got neither")
    chosen = {**_object(chosen, place)}
    for key, older in _OLDER.items():
        if older in chosen:
            chosen.setdefault(key, chosen[older])
    found = {}
    for key in (f.name for f in fields(Tolerances)):
        given: Any = environment.get(_ENVIRONMENT.get(key, ""))
        if given is not None:
            found[key] = _from_environment(_ENVIRONMENT[key], given)
        elif chosen.get(key) is not None or key in _TIMES:
            found[key] = _number(_needed(chosen, key, place), f"{place}.{key}")
    return Tolerances(**found)


def _from_environment(name: str, text: str) -> float:
    try:
        return _number(float(text), name)
    except ValueError:
        raise GateError(f"{name}: expected a ratio, got {text!r:.60}") from None


def convert(expected: Expectations, where: str = "SGLang's baseline") -> Baseline:
    """The same expectations as a baseline of ours: one sample each, of no known machine.

    Their tolerances become ours, the absolute ones included. What SGLang leaves unguarded on
    purpose (null; 0 for the aggregates of a scenario without steps) has no metric, and neither has
    a stage of less than 5 us, which its files round to 0; the scenario's notes name these.

    Raises:
        GateError: an end-to-end or a load time is 0, which guards nothing.
    """
    from fusible.gate import sglang_rule

    metrics: dict[str, Metric] = {}
    notes = {}
    for id_, case in expected.cases.items():
        for key in ("expected_e2e_ms", "expected_load_ms"):
            if getattr(case, key) == 0:
                got = f"{where}: scenarios.{id_}.{key}"
                raise GateError(f"{got}: expected a number above 0, got 0")
        guards = list(sglang_rule.guards(expected, id_))
        zeros = [guard.name.rpartition("#")[2] for guard in guards if not guard.expected]
        notes[id_] = _NOTE + (f"; 0 there, so left out: {', '.join(zeros)}" if zeros else "")
        metrics |= {guard.name: _converted(guard) for guard in guards if guard.expected}
    return assemble(metrics, {}, notes=notes)


def _converted(guard: Guard) -> Metric:
    borne = Tolerance(relative=guard.relative, absolute=guard.pad)
    return measured(Series(guard.name, (guard.expected,), guard.unit), tolerance=borne)
