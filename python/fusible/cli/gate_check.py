"""`fusible gate check`: samples, or records of SGLang, against baselines; and the exact gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from fusible.cli import gate_options as shared
from fusible.cli import gate_request as request
from fusible.cli.gate_request import Held
from fusible.gate.baseline import Baseline
from fusible.gate.model import Finding, Report, Rule, family, worst
from fusible.gate.readers import Samples

Values = Mapping[str, Any]
_EXACT = {
    *("fusions", "numerics", "accuracy", "accuracy_base", "at_least"),
    *("require_decision", "allow_inconclusive", "html", "as_json"),
}
_SGLANG = {"baseline", "overlay", "runner", "profile"}
_JUDGED = {*_SGLANG, "only", "scale", "margin", "alpha", "semantics", "history"}
# What each way of checking looks at, beside the exact gates, which stand beside any of them.
_USED = {
    "beside --semantics sglang": {*_SGLANG, "semantics", "samples", "platform", "scenario"},
    "beside --samples": {*_JUDGED, "samples"},
    "beside --command": {
        *("command", "rounds", "pipe", "timeout", "name", "instructions", "base_commit", "build"),
        *_JUDGED,
    },
    "without --samples or --command": {"baseline", "semantics"},
}


def check(values: Values) -> tuple[Report, Held]:
    """The report of `fusible gate check`."""
    way, held = _way(values), Held()
    shared.refuse_unused(way, _USED[way] | _EXACT)
    _refuse_alone(values)
    exact = _exact(values)
    reports = [exact] if exact.findings else []
    if values["semantics"] == "sglang":
        reports.insert(0, _check_sglang(values))
    elif values["baseline"]:
        timed, held = check_samples(values)
        reports.insert(0, timed)
    elif values["samples"] or values["command"]:
        raise click.UsageError("--baseline: expected a file beside --samples or --command")
    if not reports:
        raise click.UsageError("expected --baseline, --fusions, --numerics or --accuracy")
    return _joined(reports), held


def _joined(reports: Sequence[Report]) -> Report:
    """Several reports as one; each has its own verdict: SGLang's fails for a missing figure."""
    findings = tuple(finding for report in reports for finding in report.findings)
    notes = tuple(note for report in reports for note in report.notes)
    return Report(findings, worst(report.verdict for report in reports), notes)


def _way(values: Values) -> str:
    if values["semantics"] == "sglang":
        return "beside --semantics sglang"
    given = [key for key in ("samples", "command") if values[key]]
    return f"beside --{given[0]}" if given else "without --samples or --command"


def _refuse_alone(values: Values) -> None:
    """Refuses options that mean something only beside another one."""
    for key, beside in (
        ("accuracy_base", "accuracy"),
        ("at_least", "accuracy"),
        ("build", "base_commit"),
    ):
        if values[key] is not None and not values[beside]:
            names = (word.replace("_", "-") for word in (key, beside))
            raise click.UsageError("--{}: expected --{} beside it".format(*names))


def check_samples(values: Values) -> tuple[Report, Held]:
    """Compares samples with stored baselines."""
    from fusible.gate import check as checking

    held = [request.load_baseline(path, values) for path in values["baseline"]]
    asked = checking.Request(
        rule=shared.rule(values),
        only=values["only"],
        scale=values["scale"],
        again=_again(values),
        interleaved=_interleaved(values, held),
    )
    report, samples = checking.checked(held, request.samples_of(values), asked)
    stored = {name: metric for one in reversed(held) for name, metric in one.metrics()}
    base = tuple(metric.series(name) for name, metric in stored.items())
    return report, Held(base, samples)


def _again(values: Values) -> Callable[[Sequence[str]], Samples] | None:
    """Measures --command once more, with all that it measures; None of files."""
    uncounted = {**values, "instructions": False}
    return (lambda _: request.run(uncounted)) if values["command"] else None


def _interleaved(
    values: Values, held: Sequence[Baseline]
) -> Callable[[Mapping[str, Rule]], Report] | None:
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
    chosen["instructions"] = False
    from fusible.cli.gate_compare import compare_commits

    return lambda rules: compare_commits(chosen, rules)[0]


def _check_sglang(values: Values) -> Report:
    from fusible.gate import sglang_rule

    if len(values["baseline"]) != 1 or not values["samples"]:
        raise click.UsageError("--semantics sglang: expected one --baseline, and --samples")
    expected = request.expectations(values["baseline"][0], values)
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
