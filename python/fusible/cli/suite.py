"""`fusible suite`: run, list, plan, merge, explain, bisect, submit."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusible.cli import failure, options
from fusible.cli import suite_options as shared

if TYPE_CHECKING:
    from fusible.suite.config import SuiteConfig
    from fusible.suite.model import Summary
    from fusible.suite.report import Reporter
    from fusible.suite.request import Request

_KEPT = ("suite", "config", "base_dir", "python")  # options that a rerun needs too
_LEDGERS = click.Path(path_type=Path)


@click.group()
def suite() -> None:
    r"""Runs suites of pytest in partitions, with retries, and cannot go falsely green.

    Exit codes of a run, the first that applies: 130 or 143 interrupted, 2 the input is wrong,
    3 something was lost (a crash, a hang), 1 tests failed, 4 only flaky and --fail-on-flaky,
    5 nothing is selected, 0.

    \b
    Examples:
      fusible suite run tests
      fusible suite run --suite unit --partition-id 0 --total-partitions 4
    """


@suite.command()
@shared.selection
@shared.partition
@shared.running
@click.option("--resume", is_flag=True, help="Only what is left of the run before.")
@click.option("--failed-from", type=shared.FILE, metavar="LEDGER", help="What failed there.")
@click.option("--repeat", type=click.IntRange(min=1), metavar="N", help="Run the ids N times.")
@click.option("--junit", type=shared.FILE, help="Write JUnit XML here.")
@click.option("--report", type=shared.FILE, help="Write the object of --json here.")
@click.option("--execution-report", type=_LEDGERS, help="Write SGLang's execution report here.")
@options.as_json
def run(*, as_json: bool, **values: Any) -> int:
    r"""Runs a suite, or a partition of it: PATHS as for pytest, or a suite of suites.toml.

    \b
    Examples:
      fusible suite run tests --workers 2 --continue-on-error
      fusible suite run tests --retries 2 --junit report.xml --json
      fusible suite run --plan plan.json --partition-id 1
      fusible suite run --repeat 50 "tests/test_a.py::test_b[1]"
      fusible suite run --failed-from ledger.jsonl
    """
    from fusible.cli.suite_request import run_request
    from fusible.suite.crew import Signals
    from fusible.suite.report import reporter, summary_json
    from fusible.suite.run import run as run_suite

    _forget_reports(values)
    stream = sys.stderr if as_json else sys.stdout
    with Signals() as signals, _refusals(reporter(stream, _environment(), _again(values))) as told:
        request, cases = run_request(values)
        _forget_reports(values, request)
        summary = run_suite(request, told, signals)
        _write_reports(summary, values, cases)
    if as_json:
        click.echo(json.dumps(summary_json(summary)))
    return summary.exit


@contextlib.contextmanager
def _refusals(told: Reporter) -> Iterator[Reporter]:
    """Whatever ends a run early is told where the run is told of."""
    try:
        yield told
    except BaseException as error:
        known = failure.sentence(error) if isinstance(error, Exception) else None
        told.refused(known or f"{type(error).__name__}: {error}")
        raise


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def _again(values: dict[str, Any], keys: tuple[str, ...] = _KEPT) -> list[str]:
    """The beginning of a command that runs tests of this suite."""
    command = ["fusible", "suite", "run"]
    for key in keys:
        if values.get(key) is not None:
            command += [f"--{key.replace('_', '-')}", str(values[key])]
    return command


def _forget_reports(values: dict[str, Any], request: Request | None = None) -> None:
    """A run that is refused or killed must not leave the good word of the one before it.

    Which file of a folder is meant is known once there is a request.
    """
    from fusible.files import forget
    from fusible.suite.sglang import report_path

    for key in ("junit", "report", "execution_report"):
        path = values[key]
        if path is not None and request is not None:
            path = report_path(path, request.config.name, request.part)
        if path is not None:
            forget(path)


def _write_reports(summary: Summary, values: dict[str, Any], cases: Any) -> None:
    from fusible.suite import document, junit, sglang
    from fusible.suite.report import summary_json

    if values["junit"] is not None:
        junit.write(values["junit"], summary)
    if values["report"] is not None:
        document.write(values["report"], json.dumps(summary_json(summary), indent=1) + "\n")
    if values["execution_report"] is not None:
        sglang.write_report(values["execution_report"], summary, cases)


@suite.command("list")
@click.option("--config", type=shared.FILE, help="suites.toml (default: here or above).")
@options.as_json
def list_suites(*, config: Path | None, as_json: bool) -> None:
    r"""Shows the suites of suites.toml.

    \b
    Examples:
      fusible suite list
      fusible suite list --config ci/suites.toml --json
    """
    from fusible.suite.config import find_config, load_config
    from fusible.suite.model import SuiteError

    path = config or find_config(Path.cwd())
    if path is None:
        raise SuiteError("expected a suites.toml here or in a folder above, found none")
    suites = load_config(path)
    if as_json:
        import dataclasses

        rows = {name: dataclasses.asdict(one) for name, one in suites.items()}
        click.echo(json.dumps(rows, default=str))
        return
    for one in suites.values():
        click.echo(_row(one))


def _row(config: SuiteConfig) -> str:
    """A suite in one line: what differs from the defaults."""
    limits, retry = config.timeout, config.retry
    facts = [f"-k {config.k!r}"] if config.k else []
    facts += [f"-m {config.markers!r}"] if config.markers else []
    facts += [f"needs {', '.join(config.needs)}"] if config.needs else []
    facts += [f"{config.workers} workers"] if config.workers > 1 else []
    facts += [f"{retry.times} retries on {', '.join(retry.on) or 'failure'}"] if retry.times else []
    for name, seconds in (("test", limits.test), ("file", limits.file), ("suite", limits.suite)):
        facts += [f"{name} limit {seconds:g} s"] if seconds is not None else []
    facts += [f"{len(config.quarantine)} in quarantine"] if config.quarantine else []
    paths = " ".join(config.paths) or "pytest's testpaths"
    return f"{config.name:14} {paths}: {', '.join(facts)}"


@suite.command()
@shared.selection
@click.option("--partitions", type=click.IntRange(min=1), metavar="N", help="How many.")
@click.option("--target-seconds", type=float, metavar="S", help="As few as take so long each.")
@click.option(
    "--output", type=shared.FILE, help="Write the plan here (default: .fusible/plan.json)."
)
@click.option("--format", "form", type=click.Choice(["github", "gitlab", "buildkite", "sglang"]))
@options.as_json
def plan(*, form: str | None, output: Path | None, as_json: bool, **values: Any) -> int:
    r"""Collects once and assigns every test to a partition; prints makespan and lower bound.

    With --format only the CI's matrix goes to standard output. Exit code 1: a file can't be
    collected; the plan is written nevertheless.

    \b
    Examples:
      fusible suite plan tests --partitions 4
      fusible suite plan --suite unit --durations d.json --target-seconds 300 --format github
    """
    from fusible.cli.suite_request import make_plan
    from fusible.suite import document, matrix, sglang

    made = make_plan(values)
    output = output or Path(matrix.PLAN_FILE)
    document.write(output, made.to_json())
    if form == "sglang":
        click.echo(sglang.plan_text(made))
    elif form is not None:
        command = [*_again(values, _KEPT[1:]), *values["paths"]]
        click.echo(matrix.render(made, form, command, str(output)))
    elif as_json:
        click.echo(made.to_json(), nl=False)
    for line in made.lines():
        click.echo(line, err=as_json or form is not None)
    return 1 if made.broken else 0


@suite.command()
@click.argument("ledgers", nargs=-1, required=True, type=_LEDGERS)
@click.option("--plan", "plan_file", type=shared.FILE, help="Names the tests of absent partitions.")
@click.option("--durations", type=shared.FILE, help="Add the durations to this file.")
@click.option("--coverage", multiple=True, type=_LEDGERS, help="Coverage data to combine.")
@click.option("--coverage-output", type=_LEDGERS, default=".coverage", show_default=True)
@click.option("--junit", type=shared.FILE, help="Write JUnit XML of all partitions here.")
@options.as_json
def merge(
    *,
    ledgers: tuple[Path, ...],
    plan_file: Path | None,
    durations: Path | None,
    coverage: tuple[Path, ...],
    coverage_output: Path,
    junit: Path | None,
    as_json: bool,
) -> int:
    r"""Proves over all partitions that what was planned ran, each test exactly once.

    Exit code 1: a test failed, or is lost, doubled, unplanned or not run; each is named.

    \b
    Examples:
      fusible suite merge ledgers/*.jsonl
      fusible suite merge ledgers/*.jsonl --plan plan.json --durations durations.json
    """
    from fusible.files import forget
    from fusible.suite import durations as store
    from fusible.suite import junit as xml
    from fusible.suite import merge as merging
    from fusible.suite.plan import load

    if junit is not None:
        forget(junit)
    result = merging.merge(ledgers, None if plan_file is None else load(plan_file))
    if durations is not None:
        old = store.load(durations) if durations.exists() else store.Durations()
        store.save(durations, merging.merge_durations(old, ledgers))
    if coverage:
        merging.merge_coverage(coverage, coverage_output)
    if junit is not None:
        xml.write(junit, result.summary)
    click.echo(json.dumps(result.to_json()) if as_json else "\n".join(result.lines()))
    return result.exit


@suite.command()
@click.argument("test")
@click.argument("ledgers", nargs=-1, type=_LEDGERS)
def explain(*, test: str, ledgers: tuple[Path, ...]) -> None:
    r"""Says of TEST where it ran, why there, and why it was retried.

    Without LEDGERS those below .fusible are read.

    \b
    Examples:
      fusible suite explain "tests/test_a.py::test_b[1]"
      fusible suite explain tests/test_a.py::test_b ledgers/*.jsonl
    """
    from fusible.suite.explain import explain as explanation

    found = ledgers or tuple(sorted(Path(".fusible").glob("suite/*/*/ledger.jsonl")))
    for line in explanation(found, test):
        click.echo(line)


@suite.command()
@click.argument("test")
@shared.selection
@click.option("--timeout-test", type=float, metavar="S", help="A test's limit; 0 is none.")
def bisect(*, test: str, **values: Any) -> int:
    r"""Finds the earlier tests that make TEST fail, in fresh processes.

    Exit code 1: it does not fail, even after all tests before it.

    \b
    Examples:
      fusible suite bisect tests/test_a.py::test_b tests
      fusible suite bisect tests/test_a.py::test_b --suite unit
    """
    from fusible.cli.suite_request import settled_request
    from fusible.suite.hunt import bisect as search

    request = settled_request(values, "bisect")
    found = search(request, test, lambda text: click.echo(text, err=True))
    if found is None:
        click.echo(f"{test} does not fail, even after all tests before it")
        return 1
    if not found:
        click.echo(f"{test} fails alone")
    for item in found:
        click.echo(str(item))
    return 0


@suite.command()
@click.option("--engine", type=click.Choice(["slurm"]), required=True)
@click.option("--partitions", type=click.IntRange(min=1), metavar="N", required=True)
@click.option(
    "--folder", type=_LEDGERS, required=True, help="Shared by all nodes; ledgers go here."
)
@click.option("--option", "chosen", multiple=True, metavar="OPT", help="An option of sbatch.")
@click.option("--name", default="fusible-suite", show_default=True, help="Of the jobs.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def submit(
    *,
    engine: str,
    partitions: int,
    folder: Path,
    chosen: tuple[str, ...],
    name: str,
    arguments: tuple[str, ...],
) -> None:
    r"""Runs a suite as an array job, a partition a task, and a job after it that merges.

    ARGUMENTS, after --, are those of `fusible suite run`. Tasks that are requeued go on where
    they were; the merge waits for them.

    \b
    Examples:
      fusible suite submit --engine slurm --partitions 4 --folder /tmp/shared -- tests
      fusible suite submit --engine slurm --partitions 8 --folder out --option=--time=9 -- -k gpu
    """
    from fusible.suite import slurm

    del engine  # there is one
    job = slurm.Job(folder.absolute(), Path.cwd(), partitions, arguments, chosen, name=name)
    click.echo(slurm.submit(job))
