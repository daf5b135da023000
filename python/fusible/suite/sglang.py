"""SGLang's partition plan, execution report and environment, read and written as its CI does.

There a test is a case, named by the text in brackets of its node ids, or a standalone file. The
formats are those of `run_suite.py` and `compute_diffusion_partitions.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fusible.suite import document
from fusible.suite.model import Item, Outcome, SuiteError, Summary, Verdict
from fusible.suite.plan import Plan

_TRUE = frozenset({"1", "true", "yes", "on"})
_STANDALONE = "standalone:"
FALLBACK_SECONDS = 300.0  # SGLang's weight of a file without an estimate
# What the summary job knows. Skipped and expected failures count as not executed there.
_RESULTS = {
    Outcome.PASSED: "pass",
    Outcome.FLAKY: "pass",
    Outcome.XPASSED: "pass",
    Outcome.FAILED: "fail",
    Outcome.TIMEOUT: "fail",
    Outcome.ERROR: "error",
    Outcome.CRASHED: "error",
}
_WORST = ("error", "fail", "pass")


@dataclass(frozen=True)
class CasePlan:
    """One partition of SGLang's plan."""

    case_ids: tuple[str, ...]
    standalone_files: tuple[str, ...] = ()
    missing_standalone_estimates: tuple[str, ...] = ()
    estimated_time: float = 0.0


@dataclass(frozen=True)
class Report:
    """What SGLang's summary job reads of one partition."""

    suite: str
    part: int
    parts: int
    executed: tuple[str, ...]
    results: Mapping[str, str]


def read_plan(text: str, suite: str, parts: int, part: int) -> CasePlan:
    """A partition of a plan's JSON text; refuses one of another suite or number of partitions."""
    value = document.Value("partition plan", document.parse(text, "partition plan"))
    if value["suite"].text() != suite:
        raise SuiteError(f"{value.where}: expected suite {suite!r}, got {value['suite'].value!r}")
    if value["partition_count"].count(least=1) != parts:
        count = value["partition_count"].value
        raise SuiteError(f"{value.where}: expected {parts} partitions, got {count}")
    rows = [row for row in value["partitions"].items() if row["part"].count() == part]
    if len(rows) != 1:
        raise SuiteError(f"{value.where}: expected partition {part} once, got it {len(rows)} times")
    return _case_plan(rows[0])


def _case_plan(row: document.Value) -> CasePlan:
    estimate = row["estimated_time"].seconds() if row.has("estimated_time") else 0.0
    return CasePlan(
        _texts(row, "case_ids"),
        _texts(row, "standalone_files"),
        _texts(row, "missing_standalone_estimates"),
        estimate,
    )


def _texts(row: document.Value, key: str) -> tuple[str, ...]:
    return tuple(one.text() for one in row[key].items()) if row.has(key) else ()


def plan_text(plan: Plan) -> str:
    """Our plan in SGLang's form, compact as it stands in a workflow's output.

    Tests without brackets are not expressible there, nor is a case in several partitions; such a
    plan is refused rather than shortened.
    """
    cases: dict[str, int] = {}
    for item, part in zip(plan.items, plan.partition, strict=True):
        case = case_id(item)
        if case is None:
            raise SuiteError(f"SGLang's plan: expected tests with an id in brackets, got {item}")
        if cases.setdefault(case, part) != part:
            raise SuiteError(f"SGLang's plan: expected case {case!r} in one partition, got several")
    partitions = [
        {
            "part": part,
            "case_ids": [case for case, own in cases.items() if own == part],
            "standalone_files": [],
            "missing_standalone_estimates": [],
            "estimated_time": round(seconds, 1),
        }
        for part, seconds in enumerate(plan.estimates)
    ]
    whole = {"suite": plan.suite, "partition_count": plan.parts, "partitions": partitions}
    return json.dumps(whole, separators=(",", ":"))


def case_id(item: Item) -> str | None:
    """The text in the brackets of a node id, brackets inside it included; None without any."""
    # A folder's name may hold brackets too.
    name = item.id[len(item.file) :] if item.file and item.id.startswith(item.file) else item.id
    before, bracket, rest = name.partition("[")
    return rest[:-1] if bracket and rest.endswith("]") and before else None


def select(items: Iterable[Item], case_ids: Sequence[str]) -> tuple[list[Item], list[str]]:
    """Every item of these cases, in the items' order, and the cases that no item has.

    An unmatched case must end the run with exit status 3: with `-k` it matched nothing and was
    green.
    """
    wanted = dict.fromkeys(case_ids)
    found = [(item, case) for item in items if (case := case_id(item)) in wanted]
    matched = {case for _, case in found}
    return [item for item, _ in found], [case for case in wanted if case not in matched]


def select_plan(items: Sequence[Item], plan: CasePlan) -> tuple[list[Item], list[str]]:
    """Every item of a partition: of its cases and of its standalone files; and what has none."""
    chosen, unmatched = select(items, plan.case_ids)
    files = {item.file for item in items}
    matches = {name: _files_named(name, files) for name in plan.standalone_files}
    standalone = {file for found in matches.values() for file in found}
    unmatched += [_STANDALONE + name for name, found in matches.items() if not found]
    keys = {item.key for item in chosen}
    return [i for i in items if i.key in keys or i.file in standalone], unmatched


def _files_named(name: str, files: Collection[str]) -> list[str]:
    """Files that end in this path: plans name them relative to the suite's folder."""
    parts = PurePosixPath(name).parts
    return [file for file in files if PurePosixPath(file).parts[-len(parts) :] == parts]


def report_json(summary: Summary, plan: CasePlan | None = None) -> dict[str, Any]:
    """The execution report of a partition."""
    plan = plan or CasePlan(())
    results = dict(sorted(_results(summary.verdicts, plan.standalone_files).items()))
    only = plan.standalone_files[0] if _is_standalone(plan) else None
    return {
        "suite": summary.suite,
        "partition_id": summary.part,
        "total_partitions": summary.parts,
        "is_standalone": only is not None,
        "standalone_file": only,
        "executed_cases": list(results),
        "case_results": results,
        "missing_standalone_estimates": list(plan.missing_standalone_estimates),
        "standalone_measurements": [
            _measurement(summary, plan, name) for name in plan.standalone_files
        ],
    }


def _is_standalone(plan: CasePlan) -> bool:
    return len(plan.standalone_files) == 1 and not plan.case_ids


def _results(verdicts: Iterable[Verdict], standalone: Sequence[str]) -> dict[str, str]:
    """The worst result of the tests of each case; none where one of them never ended."""
    results: dict[str, str] = {}
    unended: set[str] = set()
    for verdict in verdicts:
        names = _names(verdict.item, standalone)
        if verdict.outcome in (Outcome.LOST, Outcome.NOT_RUN):
            unended.update(names)
        result = _RESULTS.get(verdict.outcome)
        for name in names if result else ():
            results[name] = min(results.get(name, "pass"), str(result), key=_WORST.index)
    return {name: result for name, result in results.items() if name not in unended}


def _names(item: Item, standalone: Sequence[str]) -> list[str]:
    """The keys of the report that a test counts for."""
    names = [_STANDALONE + name for name in standalone if _files_named(name, [item.file])]
    case = case_id(item)
    return names or ([case] if case is not None else [])


def _measurement(summary: Summary, plan: CasePlan, name: str) -> dict[str, Any]:
    own = [v.seconds for v in summary.verdicts if _files_named(name, [v.item.file])]
    missing = name in plan.missing_standalone_estimates
    # A plan carries the sum of a partition: a file's own estimate only where it is alone in one.
    configured = plan.estimated_time if _is_standalone(plan) else None
    return {
        "suite": summary.suite,
        "standalone_file": name,
        "measured_full_test_time_s": round(sum(own), 1),
        "used_fallback_estimate": missing,
        "fallback_estimate_s": FALLBACK_SECONDS,
        "had_configured_estimate": not missing,
        "configured_or_fallback_estimate_s": FALLBACK_SECONDS if missing else configured,
    }


def report_path(path: Path, suite: str, part: int) -> Path:
    """Where the report goes: of a folder `execution_report_<suite>_<partition>.json` in it."""
    return path / f"execution_report_{suite}_{part}.json" if path.is_dir() else path


def write_report(path: Path, summary: Summary, plan: CasePlan | None = None) -> None:
    """Writes the report where `report_path` says."""
    path = report_path(path, summary.suite, summary.part)
    document.write(path, json.dumps(report_json(summary, plan), indent=2) + "\n")


def read_report(path: Path) -> Report:
    """An execution report, SGLang's or ours."""
    value = document.Value(str(path), document.read(path))
    results = {case: result.text() for case, result in value["case_results"].table()}
    for case, result in results.items():
        if result not in _WORST:
            expected = "error, fail or pass"
            raise SuiteError(f"{path}: case_results: {case}: expected {expected}, got {result!r}")
    return Report(
        value["suite"].text(),
        value["partition_id"].count(),
        value["total_partitions"].count(least=1),
        _texts(value, "executed_cases"),
        results,
    )


def from_environment(prefix: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Values of flags that a workflow gives as PREFIX_PARTITION_ID and such; unset ones are absent.

    Keys: partition_id, total_partitions, partition_plan_json, filter, continue_on_error. An empty
    variable is one that the workflow left out.
    """
    values: dict[str, Any] = {}
    for suffix, (flag, read) in _VARIABLES.items():
        name = f"{prefix.rstrip('_')}_{suffix}"
        text = environ.get(name, "").strip()
        if text:
            values[flag] = read(name, text)
    return values


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise SuiteError(f"{name}: expected a whole number, got {text!r}")
    return int(text)


def _switch(_: str, text: str) -> bool:
    return text.lower() in _TRUE


def _text(_: str, text: str) -> str:
    return text


_VARIABLES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "PARTITION_ID": ("partition_id", _number),
    "TOTAL_PARTITIONS": ("total_partitions", _number),
    "PARTITION_PLAN_JSON": ("partition_plan_json", _text),
    "PYTEST_FILTER": ("filter", _text),
    "CONTINUE_ON_ERROR": ("continue_on_error", _switch),
}
