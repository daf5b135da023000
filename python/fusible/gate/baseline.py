"""The baseline file: what was measured, when, at which commit, on which machine, how much is borne.

The schema is `baseline.schema.json`, beside this file. A number that guards nothing (0, negative,
NaN), a key that nobody reads and a median that is not that of its samples are refused: each of
them has kept somebody's gate green (sgl-project/sglang#38335: ten expectations of 0).
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fusible.gate import document, names
from fusible.gate.model import Better, GateError, Rule, Series

FORMAT = "fusible-gate-baseline"
SCHEMA_FILE = Path(__file__).with_name("baseline.schema.json")
_MOST_RATIO = 1e6

Positive = Annotated[float, Field(gt=0, lt=1e300, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, lt=1e300, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(names.one_line)]
Step = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})$")]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


Kind = TypeVar("Kind", bound=BaseModel)


class Strict(BaseModel):
    """No unknown keys, no numbers in strings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Hard(Strict):
    """What must be equal for two times to be of one machine.

    Attributes:
        cpu: the processor's model.
        isa: the instruction sets that kernels choose from.
        cores: how many this process may use.
        memory_gib: rounded, for kernels reserve a little more or less.
        gpus: their models.
    """

    cpu: str
    isa: list[str]
    cores: Annotated[int, Field(ge=1)]
    memory_gib: Annotated[int, Field(ge=0)]
    gpus: list[str] = []


class Machine(Strict):
    """A machine's fingerprint: hard keys decide, noted keys are told when they differ."""

    hard: Hard
    noted: dict[str, str] = {}

    @property
    def key(self) -> str:
        """What names it in a file: 12 hexadecimal digits of the hash of its hard keys."""
        text = json.dumps(self.hard.model_dump(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class Tolerance(Strict):
    """How much slower a metric may get: more than both of these is a regression.

    Attributes:
        relative: a ratio; 0.02 is 2 %.
        absolute: in the metric's unit.
    """

    relative: Annotated[float, Field(ge=0, le=_MOST_RATIO, allow_inf_nan=False)] = 0.02
    absolute: NotNegative = 0.0

    def rule(self, family: Rule) -> Rule:
        """The rule of a family of metrics with this one's floors."""
        from dataclasses import replace

        margin = max(family.margin, self.relative)
        return replace(family, margin=margin, floor=self.relative, absolute_floor=self.absolute)


class Metric(Strict):
    """What was measured of one metric.

    Attributes:
        unit: of the samples.
        better: whether lower or higher is better.
        samples: all of them, none dropped.
        rounds: the process that took each sample, if more than one process did.
        n: how many samples.
        median: theirs.
        mad: their median absolute deviation from it.
        tolerance: how much slower it may get.
        recorded: when, in UTC.
        commit: of what was measured.
        machine: the key of its machine in the file's `machines`; none of a converted file.
        calibration_ms: what `machine.calibrate` took beside the samples.
        reason: why a number was loosened.
    """

    unit: Name = "ms"
    better: Literal["lower", "higher"] = "lower"
    samples: Annotated[list[Positive], Field(min_length=1)]
    rounds: list[int] | None = None
    n: Annotated[int, Field(ge=1)]
    median: Positive
    mad: NotNegative
    tolerance: Tolerance = Tolerance()
    recorded: Moment | None = None
    commit: Commit | None = None
    machine: Digest | None = None
    calibration_ms: Positive | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _facts_are_of_the_samples(self) -> Metric:
        n, median, mad = facts(self.samples)
        for key, expected, got in (("n", n, self.n), ("median", median, self.median)):
            if not _close(expected, got):
                raise ValueError(f"expected {key} {expected:g} of its samples, got {got:g}")
        if not _close(mad, self.mad, beside=median):
            raise ValueError(f"expected mad {mad:g} of its samples, got {self.mad:g}")
        if self.rounds is not None and len(self.rounds) != n:
            raise ValueError(f"expected {n} rounds, one a sample, got {len(self.rounds)}")
        return self

    def series(self, name: str) -> Series:
        """Its samples as statistics take them."""
        rounds = None if self.rounds is None else tuple(self.rounds)
        return Series(name, tuple(self.samples), self.unit, Better(self.better), rounds)


def facts(samples: Sequence[float]) -> tuple[int, float, float]:
    """Number, median and median absolute deviation of samples."""
    median = statistics.median(samples)
    return len(samples), median, statistics.median(abs(s - median) for s in samples)


def _close(expected: float, got: float, *, beside: float = 0.0) -> bool:
    return abs(expected - got) <= 1e-9 * max(abs(expected), abs(got), beside)


class Scenario(Strict):
    """The metrics of one scenario.

    Attributes:
        metrics: by name; `value` is that of a scenario that has one.
        stages_ms: of a pipeline's stages; one inside another is `OUTER/INNER`.
        denoise_step_ms: of its steps, by number.
        counts: what is compared exactly: fusions, operators, bytes moved, instructions.
        notes: for readers.
    """

    metrics: dict[Name, Metric] = {}
    stages_ms: dict[Name, Metric] = {}
    denoise_step_ms: dict[Step, Metric] = {}
    counts: dict[Name, Annotated[int, Field(ge=0, lt=2**63)]] = {}
    notes: str = ""


class Baseline(Strict):
    """A baseline file."""

    format: Literal["fusible-gate-baseline"]
    version: Literal[1]
    machines: dict[Digest, Machine] = {}
    scenarios: Annotated[dict[Name, Scenario], Field(json_schema_extra={"minProperties": 1})]

    @model_validator(mode="after")
    def _machines_are_known(self) -> Baseline:
        for key, machine in self.machines.items():
            if machine.key != key:
                raise ValueError(f"expected machine {machine.key} of its hard keys, got {key}")
        for name, metric in self.metrics():
            if metric.machine is not None and metric.machine not in self.machines:
                raise ValueError(f"expected {name}'s machine among machines, got {metric.machine}")
        return self

    def metrics(self) -> Iterator[tuple[str, Metric]]:
        """Every metric with its flat name, in the file's order."""
        for scenario, held in self.scenarios.items():
            for group in ("metrics", *names.GROUPS):
                for key, metric in getattr(held, group).items():
                    yield names.flat(names.Place(scenario, group, key)), metric

    def counts(self) -> dict[str, int]:
        """Every count by its flat name."""
        return {
            names.flat(names.Place(scenario, "metrics", key)): count
            for scenario, held in self.scenarios.items()
            for key, count in held.counts.items()
        }

    def machine_of(self, metric: Metric) -> Machine | None:
        """The machine that a metric was measured on."""
        return None if metric.machine is None else self.machines[metric.machine]

    def dump(self) -> str:
        """The text of its file; a metric's samples on one line, so that a diff is readable."""
        return _compact(self.model_dump(exclude_none=True))


_OMITTED = {"metrics", *names.GROUPS, "counts", "notes", "reason"}  # where they are empty


def _compact(table: dict[str, Any]) -> str:
    """JSON with objects indented and lists on one line."""

    def render(value: Any, indent: str) -> str:
        if not isinstance(value, dict) or not value:
            return json.dumps(value)
        inner = indent + "  "
        rows = [
            f"{inner}{json.dumps(key)}: {render(held, inner)}"
            for key, held in value.items()
            if held or key not in _OMITTED
        ]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"

    return render(table, "") + "\n"


def measured(series: Series, **about: Any) -> Metric:
    """A metric of measured samples; `about` are further attributes of `Metric`.

    Raises:
        GateError: a sample is 0, negative or not finite.
    """
    n, median, mad = facts(series.values)
    rounds = None if series.rounds is None else list(series.rounds)
    table = {
        "unit": series.unit,
        "better": series.better.value,
        "samples": list(series.values),
        "rounds": rounds,
        "n": n,
        "median": median,
        "mad": mad,
        **about,
    }
    return _validated(Metric, table, series.name)


def assemble(
    metrics: Mapping[str, Metric],
    counts: Mapping[str, int],
    machines: Sequence[Machine] = (),
    notes: Mapping[str, str] | None = None,
) -> Baseline:
    """A baseline of metrics and counts by flat name, and of scenarios' notes."""
    scenarios: dict[str, dict[str, Any]] = {}
    for name, metric in metrics.items():
        where = names.place(name)
        held = scenarios.setdefault(where.scenario, {})
        held.setdefault(where.group, {})[where.key] = metric.model_dump()
    for name, count in counts.items():
        where = names.place(name)
        key = where.key if where.group == "metrics" else f"{where.group}/{where.key}"
        scenarios.setdefault(where.scenario, {}).setdefault("counts", {})[key] = count
    for scenario, text in (notes or {}).items():
        scenarios.setdefault(scenario, {})["notes"] = text
    table = {"format": FORMAT, "version": 1, "scenarios": scenarios}
    table["machines"] = {machine.key: machine.model_dump() for machine in machines}
    return _validated(Baseline, table, "baseline")


def load(path: Path) -> Baseline:
    """A baseline file; GateError with path and key for what is wrong in it."""
    return from_value(document.read(path), str(path))


def from_value(value: Any, where: str) -> Baseline:
    """The baseline that a JSON value holds; `where` names its file in errors."""
    if isinstance(value, dict) and value.get("format") != FORMAT:
        got = value.get("format", "no such key")
        raise GateError(f"{where}: format: expected {FORMAT!r}, got {got!r:.80}")
    read = _validated(Baseline, value, where)
    if not read.scenarios:
        raise GateError(f"{where}: scenarios: expected one or more, got none")
    return read


def save(path: Path, baseline: Baseline) -> None:
    """Writes a baseline file, whole or not at all."""
    document.write(path, baseline.dump())


def schema() -> str:
    """The JSON Schema of a baseline file, as `baseline.schema.json` holds it."""
    return json.dumps(Baseline.model_json_schema(), indent=1, sort_keys=True) + "\n"


def _validated(kind: type[Kind], value: Any, where: str) -> Kind:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise GateError(f"{where}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """The first complaint as `key: expected …, got …`."""
    found = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in found["loc"] if part != "[key]")
    place = f"{key}: " if key else ""
    message = found["msg"].removeprefix("Value error, ")
    if found["type"] == "value_error":
        return f"{place}{message}"
    if found["type"] == "extra_forbidden":
        return f"{place}expected no such key, got {found['input']!r:.60}"
    if found["type"] == "missing":
        return f"{place}expected a value, got none"
    expected = message.replace("Input should be", "expected").replace("should", "expected to")
    return f"{place}{expected[0].lower()}{expected[1:]}, got {found['input']!r:.60}"
