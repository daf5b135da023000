"""`fusible gate compare`: a change and its base, as files, commands, commits, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusible.cli import gate_options as shared
from fusible.cli import gate_request as request
from fusible.gate import readers
from fusible.gate.model import Report, Rule, Verdict, family
from fusible.gate.readers import Samples

if TYPE_CHECKING:
    from fusible.gate.compare import FalseAlarms, Outcome
    from fusible.gate.measure import Command

Values = Mapping[str, Any]
# What each way of comparing looks at, beside what all of them do.
_ALWAYS = {
    *("only", "margin", "floor", "absolute_floor", "alpha", "allow_inconclusive"),
    *("history", "html", "as_json"),
}
_RUNNING = {"rounds", "pipe", "timeout", "name"}
_USED = {
    "files": {"base", "candidate", "control"},
    "commands": {"base_command", "candidate_command", "control", "instructions", *_RUNNING},
    "commits": {
        *("base_commit", "candidate_commit", "build", "command", "control", "instructions"),
        *_RUNNING,
    },
    "noop": {"noop", "times", "command", *_RUNNING},
}
_NAMES = {
    "files": "beside --base and --candidate",
    "commands": "beside --base-command and --candidate-command",
    "commits": "beside --base-commit",
    "noop": "beside --noop",
}


def compare(values: Values) -> tuple[Report, request.Held]:
    """The report of `fusible gate compare`."""
    ways = {
        "files": bool(values["base"] or values["candidate"]),
        "commands": bool(values["base_command"] or values["candidate_command"]),
        "commits": bool(values["base_commit"]),
        "noop": values["noop"],
    }
    chosen = [way for way, given in ways.items() if given]
    if len(chosen) != 1:
        raise click.UsageError(
            "expected one of --base and --candidate, --base-command and --candidate-command,"
            " --base-commit, --noop"
        )
    shared.refuse_unused(_NAMES[chosen[0]], _USED[chosen[0]] | _ALWAYS)
    return _WAYS[chosen[0]](values)


def compare_files(values: Values) -> tuple[Report, request.Held]:
    """Compares the samples of files."""
    from fusible.gate import decide
    from fusible.gate.check import ONE_PROCESS

    if not (values["base"] and values["candidate"]):
        raise click.UsageError("expected both --base and --candidate")
    sides = [readers.read_all(values[key]) for key in ("base", "candidate")]
    chosen = [
        [series for series in side.series if fnmatchcase(series.name, values["only"])]
        for side in sides
    ]
    rule, controls = shared.rule(values), values["control"]
    report = decide.decide(chosen[0], chosen[1], rule, controls=controls, bootstrap=True)
    report = _with_counts(report, sides[0].counts, sides[1].counts, values["only"])
    if any(side.one_process for side in sides):
        report = replace(report, notes=(*report.notes, ONE_PROCESS))
    return report, request.Held(sides[0].series, sides[1])


def compare_commands(values: Values) -> tuple[Report, request.Held]:
    """Compares two commands in turns."""
    if not (values["base_command"] and values["candidate_command"]):
        raise click.UsageError("expected both --base-command and --candidate-command")
    base, candidate = (
        request.command(values, key) for key in ("base_command", "candidate_command")
    )
    return _in_turns(base, candidate, values)


def compare_commits(
    values: Values, rules: Mapping[str, Rule] | None = None
) -> tuple[Report, request.Held]:
    """Compares two commits in turns, each built in a worktree of its own.

    Without a candidate commit the candidate is the folder we are in, as it is. Metrics that have
    rules of their own are judged by these.
    """
    from fusible.gate import worktree

    if not values["command"]:
        raise click.UsageError("--base-commit: expected --command beside it")
    build = shared.words(values["build"], "--build") if values["build"] else ()
    subject, here = request.command(values), Path.cwd()
    with ExitStack() as stack:
        folders = [
            stack.enter_context(worktree.checked_out(here, commit, build)) if commit else here
            for commit in (values["base_commit"], values["candidate_commit"])
        ]
        base, candidate = (replace(subject, folder=folder) for folder in folders)
        report, held = _in_turns(base, candidate, values, rules)
    if values["candidate_commit"] and held.samples is not None:
        commit = worktree.commit_of(here, values["candidate_commit"])
        held = replace(held, samples=replace(held.samples, commit=commit))
    return report, held


@dataclass(frozen=True)
class _Only:
    """What a command measures, without the metrics that were not asked for."""

    command: Command
    glob: str

    def sample(self) -> Samples:
        """Runs it once."""
        samples = self.command.sample()
        series = tuple(one for one in samples.series if fnmatchcase(one.name, self.glob))
        counts = {n: count for n, count in samples.counts.items() if fnmatchcase(n, self.glob)}
        if not series and not counts:
            raise click.UsageError(f"--only: expected to match a metric, got {self.glob!r}")
        return replace(samples, series=series, counts=counts)


def _in_turns(
    base: Command, candidate: Command, values: Values, rules: Mapping[str, Rule] | None = None
) -> tuple[Report, request.Held]:
    from fusible.gate import compare as comparing

    outcome = comparing.compare(
        _Only(base, values["only"]),
        _Only(candidate, values["only"]),
        shared.rule(values),
        rules=rules,
        controls=values["control"],
        budget=values["rounds"] or comparing.BUDGET,
        progress=_progress,
    )
    if values["instructions"]:
        counts = zip(outcome.counts, (base, candidate), strict=True)
        both = tuple({**held, **request.instructions(side)} for held, side in counts)
        outcome = replace(outcome, counts=(both[0], both[1]))
    return _outcome(outcome, values)


def _outcome(outcome: Outcome, values: Values) -> tuple[Report, request.Held]:
    note = f"{outcome.rounds} of {outcome.budget} rounds"
    report = replace(outcome.report, notes=(*outcome.report.notes, note))
    report = _with_counts(report, *outcome.counts, values["only"])
    return report, request.Held(outcome.base, Samples(outcome.candidate, outcome.counts[1]))


def _progress(rounds: int, report: Report) -> None:
    """One line a look, on the error stream: a comparison takes minutes."""
    click.echo(f"after {rounds} rounds: {report.verdict.value}", err=True)


def compare_noop(values: Values) -> tuple[Report, request.Held]:
    """Compares a command with itself, and tells how often it was found to differ."""
    from fusible.gate import compare as comparing

    if not values["command"]:
        raise click.UsageError("--noop: expected --command beside it")
    alarms, outcomes = comparing.noop(
        _Only(request.command(values), values["only"]),
        shared.rule(values),
        times=values["times"],
        budget=values["rounds"] or comparing.BUDGET,
        progress=_progress,
    )
    alarming = [one for one in outcomes if one.report.verdict is Verdict.REGRESSED]
    report, held = _outcome((alarming or outcomes)[-1], values)
    return replace(report, notes=(*report.notes, _alarms(alarms))), replace(held, alarms=alarms)


def _alarms(alarms: FalseAlarms) -> str:
    return (
        f"compared with itself {alarms.times} times: {alarms.regressed} regressed,"
        f" {alarms.improved} improved, {alarms.inconclusive} inconclusive;"
        f" the rate of false alarms is at most {alarms.most:.1%} (95 % interval)"
    )


_WAYS: dict[str, Callable[[Values], tuple[Report, request.Held]]] = {
    "files": compare_files,
    "commands": compare_commands,
    "commits": compare_commits,
    "noop": compare_noop,
}


def _with_counts(
    report: Report, base: Mapping[str, int], candidate: Mapping[str, int], only: str
) -> Report:
    from fusible.gate import check as checking

    findings = (*report.findings, *checking.counted(base, candidate, only))
    return replace(report, findings=findings, verdict=family(findings))
