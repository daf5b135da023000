"""What the options of `fusible gate` come to: files read, commands run, findings put together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusible.cli import gate_options as shared
from fusible.gate import baseline, document, machine, readers, sglang
from fusible.gate.baseline import Baseline, Tolerance
from fusible.gate.model import Series
from fusible.gate.readers import Samples
from fusible.gate.update import Proposal

if TYPE_CHECKING:
    from fusible.gate.compare import FalseAlarms
    from fusible.gate.measure import Command

Values = Mapping[str, Any]
# What each way of recording looks at, beside --output and --overwrite.
_RECORDED = {
    "beside --model or --graph": {
        *("model", "graph", "target", "pipeline", "layers", "fp8", "fp8_format"),
    },
    "beside --samples of SGLang": {"samples", "overlay", "runner", "profile"},
    "beside --samples": {"samples", "relative", "absolute", "notes"},
    "beside --command": {
        *("command", "rounds", "pipe", "timeout", "name", "instructions"),
        *("relative", "absolute", "notes"),
    },
}
_ROUNDS = 20  # processes of a command, unless --rounds says another number


@dataclass(frozen=True)
class Held:
    """What a report was made of, for pages and histories; `alarms` of a comparison with itself."""

    base: tuple[Series, ...] = ()
    samples: Samples | None = None
    alarms: FalseAlarms | None = None


def load_baseline(path: Path, values: Values) -> Baseline:
    """A baseline file, of SGLang's format too."""
    value = document.read(path)
    if sglang.recognised(value):
        return sglang.convert(expectations(path, values), str(path))
    return baseline.from_value(value, str(path))


def expectations(path: Path, values: Values) -> sglang.Expectations:
    """SGLang's baseline with what the options say of overlays, runner and profile."""
    return sglang.load(
        path,
        values.get("overlay", ()),
        runner=values.get("runner", ""),
        profile=values.get("profile", "pr_test"),
        environment=os.environ,
    )


def samples_of(values: Values) -> Samples:
    """The samples of --samples or of --command, with machine and calibration."""
    from fusible.gate import record as recording

    files = values["samples"]
    if bool(files) == bool(values["command"]):
        raise click.UsageError("expected either --samples or --command")
    if files:
        return recording.about(readers.read_all(files))
    return run(values)


def command(values: Values, key: str = "command") -> Command:
    """A command of the options; `key` names which."""
    from fusible.gate.measure import Command

    words = shared.words(values[key], f"--{key.replace('_', '-')}")
    made = Command(tuple(words), timeout=values["timeout"], pipe=values["pipe"])
    return replace(made, name=values["name"]) if values["name"] else made


def run(values: Values) -> Samples:
    """Measures --command once: as many processes as --rounds says."""
    from fusible.gate import record as recording

    subject = command(values)
    samples = recording.take(subject, values["rounds"] or _ROUNDS)
    if not values["instructions"]:
        return samples
    return replace(samples, counts={**samples.counts, **instructions(subject)})


def instructions(subject: Command) -> dict[str, int]:
    """The instructions of a command, under the name of their count."""
    from fusible.gate import counts

    counted = counts.instructions(subject.argv, folder=subject.folder)
    return {f"{subject.name}#instructions": counted}


def tolerance_of(values: Values, present: Tolerance | None = None) -> Tolerance | None:
    """The tolerance of --relative and --absolute; None if neither is given."""
    given = {key: values[key] for key in ("relative", "absolute") if values[key] is not None}
    if not given:
        return present
    bad = [key for key, value in given.items() if not 0 <= value < 1e6]
    if bad:
        raise click.UsageError(f"--{bad[0]}: expected a number from 0 on, got {given[bad[0]]}")
    return Tolerance(**given)


def record(output: Path, values: Values) -> dict[str, Any]:
    """Writes a baseline, or an expectation of fusions; gives what there is to say of it."""
    if values["model"] or values["graph"]:
        _only_recorded("beside --model or --graph")
        return _record_fusions(output, values)
    made = _converted(values) or _recorded(values)
    baseline.save(output, made)
    metrics, counts = len(list(made.metrics())), len(made.counts())
    return {"written": f"{metrics} metrics, {counts} counts", "metrics": metrics, "counts": counts}


def _only_recorded(way: str) -> None:
    shared.refuse_unused(way, _RECORDED[way] | {"output", "overwrite", "as_json"})


def _record_fusions(output: Path, values: Values) -> dict[str, Any]:
    from fusible.gate import fusion

    subject = fusion.Subject(
        model=values["model"] or "",
        graph=values["graph"] or "",
        target=values["target"],
        pipeline=values["pipeline"],
        fp8=values["fp8"],
        fp8_format=values["fp8_format"],
    )
    text = fusion.record(output, subject, values["layers"])
    return {"written": "expected fusions", "text": text}


def _converted(values: Values) -> Baseline | None:
    """A baseline of SGLang as one of ours; None if --samples is something else."""
    files = values["samples"]
    if len(files) != 1 or readers.is_lines(document.read_text(files[0])):
        return None
    value = document.parse(document.read_text(files[0]), str(files[0]), constants=True)
    if not sglang.recognised(value):
        return None
    if tolerance_of(values) is not None:
        raise click.UsageError("--relative, --absolute: expected SGLang's own, got others")
    _only_recorded("beside --samples of SGLang")
    return load_baseline(files[0], values)


def _recorded(values: Values) -> Baseline:
    from fusible.gate import record as recording

    if bool(values["samples"]) != bool(values["command"]):
        _only_recorded("beside --samples" if values["samples"] else "beside --command")
    samples = samples_of(values)
    tolerance = tolerance_of(values) or Tolerance()
    return recording.to_baseline(samples, tolerance, recording.now(), values["notes"])


def update(values: Values) -> Proposal:
    """The proposal of `fusible gate update`; it is written if that is asked for."""
    from fusible.gate import record as recording
    from fusible.gate import update as updating

    old = baseline.load(values["baseline"])
    samples = readers.joined([readers.read(path) for path in values["results"]])
    if not values["results"]:
        samples = replace(samples, machine=machine.fingerprint())
    wishes = updating.Wishes(
        rule=shared.rule(values),
        only=values["only"],
        remove=values["remove"],
        tolerance=tolerance_of(values),
        allow_looser=values["allow_looser"],
        reason=values["reason"],
        moment=recording.now(),
    )
    proposal = updating.propose(old, recording.about(samples), wishes)
    if values["write"] and proposal.changed and not proposal.refused:
        baseline.save(values["baseline"], proposal.baseline)
    return proposal
