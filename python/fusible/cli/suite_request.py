"""From the options of `fusible suite run` to the request that the runner gets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusible.cli.suite_options import base_request

if TYPE_CHECKING:
    from fusible.suite.model import Collection
    from fusible.suite.plan import Plan
    from fusible.suite.request import Choice, Request
    from fusible.suite.sglang import CasePlan

MOST_PARTS = 1 << 16  # more than any CI has machines; balancing a million takes seconds
# Variable's key of sglang.from_environment -> option.
_BRIDGE = {
    "partition_id": "partition_id",
    "total_partitions": "total_partitions",
    "partition_plan_json": "partition_plan_json",
    "filter": "k",
    "continue_on_error": "continue_on_error",
}


def settled_request(values: Mapping[str, Any], purpose: str) -> Request:
    """A request without partitions, with a folder for its files."""
    from fusible.suite import place

    return place.settled(base_request(values), None, name=purpose)


def run_request(values: dict[str, Any]) -> tuple[Request, CasePlan | None]:
    """What `run` is asked for, and SGLang's plan if that said so."""
    from fusible.suite import hunt, place, resume

    _check(values)
    _read_environment(values)
    if values["repeat"]:
        ids, values["paths"] = values["paths"], ()
        request = hunt.repeated(base_request(values), ids, values["repeat"])
        return place.settled(request, values["ledger"]), None
    request, cases = _partitioned(base_request(values), values)
    if values["failed_from"] is not None:
        request = resume.failed_from(request, values["failed_from"])
    request = place.settled(request, values["ledger"], values["resume"])
    return (resume.resumed(request) if values["resume"] else request), cases


def _check(values: Mapping[str, Any]) -> None:
    """Options that contradict each other are refused, not silently dropped."""
    ways = ("resume", "failed_from", "repeat")
    given = [f"--{way.replace('_', '-')}" for way in ways if values[way]]
    if len(given) > 1:
        raise click.UsageError(f"expected one of them, got {' and '.join(given)}")
    plans = ("plan_file", "partition_plan_json", "partition_id", "total_partitions")
    if given and given != ["--resume"] and any(values[key] is not None for key in plans):
        raise click.UsageError(f"{given[0]}: expected no partition, got one")
    _check_files(values)
    if values["plan_file"] is not None and values["partition_plan_json"] is not None:
        raise click.UsageError("expected one plan, got --plan and --partition-plan-json")


def _check_files(values: Mapping[str, Any]) -> None:
    """One file cannot hold two reports."""
    options: dict[str, str] = {}
    for key in ("ledger", "junit", "report"):
        if values.get(key) is None:
            continue
        option, path = f"--{key}", os.path.realpath(values[key])
        if options.setdefault(path, option) != option:
            raise click.UsageError(f"{options[path]} and {option}: expected two files, got one")


def _read_environment(values: dict[str, Any]) -> None:
    """Options that are not given are taken from a workflow's variables."""
    from fusible.suite.sglang import from_environment

    if not values["env_prefix"]:
        return
    for key, value in from_environment(values["env_prefix"], os.environ).items():
        option = _BRIDGE[key]
        if values[option] is None or values[option] is False:
            values[option] = value


def _partitioned(request: Request, values: Mapping[str, Any]) -> tuple[Request, CasePlan | None]:
    from fusible.suite import plan

    text = values["partition_plan_json"]
    if values["plan_file"] is not None:
        return _of_plan(request, plan.load(values["plan_file"]), values), None
    if text is not None and _is_ours(text):
        return _of_plan(request, plan.load(text), values), None
    request = _numbered(request, values["partition_id"], values["total_partitions"])
    return (request, None) if text is None else _of_cases(request, text)


def _is_ours(text: str) -> bool:
    """SGLang's plans have no version."""
    try:
        found = json.loads(text)
    except ValueError:
        return True  # whoever reads it says what is wrong
    return isinstance(found, dict) and "version" in found


def _numbered(request: Request, part: int | None, parts: int | None) -> Request:
    if part is None and parts is None:
        return request
    if parts is None:
        raise click.UsageError("--partition-id: expected --total-partitions too")
    if not 1 <= parts <= MOST_PARTS:
        raise click.UsageError(f"--total-partitions: expected 1 to {MOST_PARTS}, got {parts}")
    if part is None and parts > 1:
        raise click.UsageError("--total-partitions: expected --partition-id too")
    part = part or 0
    if not 0 <= part < parts:
        raise click.UsageError(f"--partition-id: expected 0 to {parts - 1}, got {part}")
    return replace(request, part=part, parts=parts)


def _of_plan(request: Request, plan: Plan, values: Mapping[str, Any]) -> Request:
    """Runs a partition of a plan, without collecting first."""
    from fusible.suite.request import Given

    parts = values["total_partitions"]
    request = _numbered(request, values["partition_id"], parts or plan.parts)
    plan.verify(request.config.name, request.parts, commit=request.commit)
    given = Given(
        items=tuple(plan.part(request.part)),
        whole=len(plan.items),
        hash=plan.hash,
        origin=f"plan {values['plan_file'] or 'of --partition-plan-json'}",
        known=None if plan.narrowed else plan.items,
        broken=plan.broken if request.part == 0 else (),
        problems=() if plan.narrowed else tuple(_newer(plan, request.base)),
    )
    # The plan has chosen already, and chose by what it was told.
    config = replace(request.config, k="", markers="")
    return replace(request, given=given, config=config)


def _newer(plan: Plan, base: Path) -> Iterator[str]:
    """A sentence for files of tests that are not those of which the plan was made."""
    from fusible.suite import newer
    from fusible.suite.plan import few

    new = sorted({*newer.matching(base, plan.roots, plan.patterns)} - {*plan.seen})
    if new:
        yield f"newer than the plan, which has none of their tests: {few(new)}"


def _of_cases(request: Request, text: str) -> tuple[Request, CasePlan]:
    """Runs the cases that SGLang's plan has for this partition."""
    from fusible.suite import sglang
    from fusible.suite.request import Choice

    cases = sglang.read_plan(text, request.config.name, request.parts, request.part)

    def choose(collection: Collection) -> Choice:
        items, unmatched = sglang.select_plan(collection.items, cases)
        return Choice(tuple(items), tuple(f"the plan's {one} matches no test" for one in unmatched))

    return replace(request, choose=choose), cases


def make_plan(values: Mapping[str, Any]) -> Plan:
    """Collects once, and plans."""
    from fusible.suite import collect, newer, plan

    parts = values["partitions"]
    if parts is not None and values["target_seconds"] is not None:
        raise click.UsageError("expected --partitions or --target-seconds, got both")
    request = settled_request(values, "plan")
    collection = collect.collect(request)
    roots = newer.relative(request.base, collection.roots)
    return plan.make(
        collection,
        request.durations,
        request.weigh_as,
        parts,
        values["target_seconds"],
        suite=request.config.name,
        commit=request.commit or "",
        narrowed=request.config.narrowed,
        roots=roots,
        patterns=collection.patterns,
        seen=newer.matching(request.base, roots, collection.patterns),
    )
