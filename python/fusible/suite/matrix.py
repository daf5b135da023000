"""A plan as the job matrix of a CI system: a job a partition, the command written out in each."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from fusible.suite.model import SuiteError
from fusible.suite.plan import Plan

COMMAND = ("fusible", "suite", "run")
PLAN_FILE = ".fusible/plan.json"
_MOST = {"github": 256, "gitlab": 200}  # jobs that these systems take from one matrix


def render(
    plan: Plan, format: str, command: Sequence[str] = COMMAND, plan_file: str = PLAN_FILE
) -> str:
    """The matrix as text: `github`, `gitlab` or `buildkite`.

    github: one line for `$GITHUB_OUTPUT`, used as `matrix: ${{ fromJSON(…) }}`; each job has
    `part`, `parts` and `estimate`. gitlab: a child pipeline. buildkite: for `pipeline upload`.
    All are JSON, which is YAML too: no name or path can change what is read.
    """
    if format not in _FORMATS:
        raise SuiteError(f"format: expected {', '.join(_FORMATS)}, got {format!r}")
    most = _MOST.get(format, plan.parts)
    if plan.parts > most:
        raise SuiteError(f"{format}: expected up to {most} partitions, got {plan.parts}")
    arguments = [*command, "--suite", plan.suite, "--plan", plan_file]
    return _FORMATS[format](plan, arguments)


def _github(plan: Plan, _: Sequence[str]) -> str:
    include = [
        {"part": part, "parts": plan.parts, "estimate": round(seconds, 1)}
        for part, seconds in enumerate(plan.estimates)
    ]
    return json.dumps({"include": include}, separators=(",", ":"))


def _gitlab(plan: Plan, arguments: Sequence[str]) -> str:
    jobs = {
        f"{plan.suite} {part}:{plan.parts}": {
            "script": [_line(arguments, plan, part)],
            # The merge needs the ledger of a partition that failed most of all.
            "artifacts": {"when": "always", "paths": [".fusible/"]},
        }
        for part in range(plan.parts)
    }
    return _document(jobs)


def _buildkite(plan: Plan, arguments: Sequence[str]) -> str:
    steps = [
        {
            "label": f"{plan.suite} {part}:{plan.parts}".replace("$", "$$"),
            # `pipeline upload` replaces $NAME before any shell sees the command.
            "command": _line(arguments, plan, part).replace("$", "$$"),
            "artifact_paths": ".fusible/**/*",
        }
        for part in range(plan.parts)
    ]
    return _document({"steps": steps})


def _line(arguments: Sequence[str], plan: Plan, part: int) -> str:
    partition = ["--partition-id", str(part), "--total-partitions", str(plan.parts)]
    return shlex.join([*arguments, *partition])


def _document(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


_FORMATS: dict[str, Callable[[Plan, Sequence[str]], str]] = {
    "github": _github,
    "gitlab": _gitlab,
    "buildkite": _buildkite,
}
