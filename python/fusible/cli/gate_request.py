"""What the options of `fusible gate` come to: files read, commands run, findings put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusible.cli import gate_options as shared
from fusible.gate import baseline, document, machine, readers, sglang
from fusible.gate.baseline import Baseline, Tolerance
from fusible.gate.model import Finding, Report, Series, family
from fusible.gate.readers import Samples
from fusible.gate.update import Proposal

if TYPE_CHECKING:
    from fusible.gate.compare import FalseAlarms
    from fusible.gate.measure import Command

Values = Mapping[str, Any]
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
    return run(values)()


def command(values: Values, key: str = "command") -> Command:
    """A command of the options; `key` names which."""
    from fusible.gate.measure import Command

    words = shared.words(values[key], f"--{key.replace('_', '-')}")
    return Command(tuple(words), timeout=values.get("timeout"), pipe=values["pipe"])


def run(values: Values) -> Callable[[], Samples]:
    """What measures --command once: as many processes as --rounds says."""
    from fusible.gate import record as recording

    subject, rounds = command(values), values["rounds"] or _ROUNDS

    def measured() -> Samples:
        return _named(recording.take(subject, rounds), values.get("name"))

    return measured


def _named(samples: Samples, name: str | None) -> Samples:
    """Samples with another name for the wall time of a command."""
    from fusible.gate.measure import WALL

    if name is None:
        return samples
    series = [replace(one, name=name) if one.name == WALL else one for one in samples.series]
    return replace(samples, series=tuple(series))


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
        return _record_fusions(output, values)
    made = _converted(values) or _recorded(values)
    baseline.save(output, made)
    metrics, counts = len(list(made.metrics())), len(made.counts())
    return {"written": f"{metrics} metrics, {counts} counts", "metrics": metrics, "counts": counts}


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
    return load_baseline(files[0], values)


def _recorded(values: Values) -> Baseline:
    from fusible.gate import counts
    from fusible.gate import record as recording
    from fusible.gate.measure import WALL

    samples = samples_of(values)
    if values["instructions"]:
        if not values["command"]:
            raise click.UsageError("--instructions: expected --command beside it")
        words = shared.words(values["command"], "--command")
        name = f"{values['name'] or WALL}#instructions"
        samples = replace(samples, counts={**samples.counts, name: counts.instructions(words)})
    tolerance = tolerance_of(values) or Tolerance()
    return recording.to_baseline(samples, tolerance, recording.now(), values["notes"])


def check(values: Values) -> tuple[Report, Held]:
    """The report of `fusible gate check`."""
    if values["semantics"] == "sglang":
        return _check_sglang(values), Held()
    reports = [_exact(values)]
    held = Held()
    if values["baseline"]:
        timed, held = check_samples(values)
        reports.insert(0, timed)
    elif values["samples"] or values["command"]:
        raise click.UsageError("--baseline: expected a file beside --samples or --command")
    findings = tuple(finding for report in reports for finding in report.findings)
    if not findings and not values["baseline"]:
        raise click.UsageError("expected --baseline, --fusions, --numerics or --accuracy")
    notes = tuple(note for report in reports for note in report.notes)
    return Report(findings, family(findings), notes), held


def check_samples(values: Values) -> tuple[Report, Held]:
    """Compares samples with stored baselines."""
    from fusible.gate import check as checking

    held = [load_baseline(path, values) for path in values["baseline"]]
    samples = samples_of(values)
    request = checking.Request(
        rule=shared.rule(values),
        only=values["only"],
        scale=values["scale"],
        again=_again(values),
        interleaved=_interleaved(values, held),
    )
    report = checking.check(held, samples, request)
    stored = {name: metric for one in reversed(held) for name, metric in one.metrics()}
    base = tuple(metric.series(name) for name, metric in stored.items())
    return report, Held(base, samples)


def _again(values: Values) -> Callable[[Sequence[str]], Samples] | None:
    """Measures --command once more, with all that it measures; None of files."""
    return (lambda _: run(values)()) if values["command"] else None


def _interleaved(
    values: Values, held: Sequence[Baseline]
) -> Callable[[Sequence[str]], Report] | None:
    """Measures in turns with --base-commit; `recorded` is the commit of the baseline."""
    commit = values["base_commit"]
    if not (commit and values["command"]):
        return None
    if commit == "recorded":
        commits = {metric.commit for one in held for _, metric in one.metrics()}
        if len(commits) != 1 or None in commits:
            raise click.UsageError("--base-commit recorded: expected a baseline of one commit")
        commit = commits.pop()
    chosen = {**values, "base_commit": commit, "candidate_commit": None, "control": ()}
    from fusible.cli.gate_compare import compare_commits

    return lambda _: compare_commits(chosen)[0]


def _check_sglang(values: Values) -> Report:
    from fusible.gate import sglang_rule

    if len(values["baseline"]) != 1 or not values["samples"]:
        raise click.UsageError("--semantics sglang: expected one --baseline, and --samples")
    expected = expectations(values["baseline"][0], values)
    records: dict[str, list[sglang_rule.Measured]] = {}
    for path in values["samples"]:
        for id_, found in sglang_rule.read_records(path, values["scenario"]).items():
            records.setdefault(id_, []).extend(found)
    return sglang_rule.check(expected, records, platform=values["platform"])


def _exact(values: Values) -> Report:
    """Fusions, numerics and accuracy: what needs no samples."""
    from fusible.gate import accuracy, fusion, numerics

    findings: list[Finding] = []
    for path in values["fusions"]:
        findings += fusion.check(path)
    for path in values["numerics"]:
        findings += numerics.check(path)
    base = values["accuracy_base"]
    for text in values["accuracy"]:
        name, mark, rest = text.partition("=")
        if not (name and mark):
            raise click.UsageError(f"--accuracy: expected NAME=RIGHT/TOTAL, got {text!r}")
        before = None if base is None else _proportion(base, "--accuracy-base")
        findings.append(
            accuracy.check(
                name, *_proportion(rest, "--accuracy"), before, at_least=values["at_least"]
            )
        )
    return Report(tuple(findings), family(findings))


def _proportion(text: str, option: str) -> tuple[int, int]:
    right, _, total = text.partition("/")
    if not (right.isdecimal() and total.isdecimal() and len(text) < 30):
        raise click.UsageError(f"{option}: expected RIGHT/TOTAL, got {text!r}")
    return int(right), int(total)


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
