"""`fusible gate`: record, check, compare, update, history, report, show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusible.cli import gate_options as shared
from fusible.cli import options

if TYPE_CHECKING:
    from fusible.cli.gate_request import Held
    from fusible.gate.model import Report

_HISTORY = click.option("--history", type=shared.FILE, help="Append the samples to this file.")
_HTML = click.option("--html", type=shared.FILE, help="Write a page with plots here.")


@click.group()
def gate() -> None:
    r"""Regression gates that can be trusted: speed, counts, fusions, numerics, accuracy.

    A change is a regression if it is surely one, and larger than the tolerance; what the samples
    can't tell is called inconclusive, and says how many more would tell.

    Exit codes: 0 all unchanged or improved, 1 regressed, 2 the input is wrong, 3 inconclusive,
    advisory or missing (--allow-inconclusive makes it 0), 130 or 143 interrupted.

    \b
    A first gate, on the machine that will run it:
      fusible gate record --command "python bench.py" --rounds 20 -o ci/baseline.json
      fusible gate check --baseline ci/baseline.json --command "python bench.py" --rounds 20

    \b
    Better, for it needs no stored number: the change and its base in turns.
      fusible gate compare --base-commit main --command "python bench.py"

    \b
    A benchmark writes a line a sample to the file that FUSIBLE_GATE_SAMPLES names, or, with --pipe,
    prints them. Of a command that writes none the wall time is the sample.
      {"name": "decode", "value": 12.3, "unit": "ms"}

    \b
    Examples:
      fusible gate compare --base main.json --candidate change.json
      fusible gate check --baseline ci/baseline.json --samples results.jsonl --json
    """
    click.get_current_context().with_resource(shared.terminable())


@gate.command()
@shared.measuring
@click.option("--samples", type=shared.FILE, multiple=True, help="Samples that are there already.")
@click.option("--relative", type=float, metavar="R", help="Tolerance: a ratio (0.02).")
@click.option("--absolute", type=float, metavar="X", help="Tolerance: in the unit (0).")
@click.option("--notes", default="", help="Kept in the file, for readers.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--model", metavar="NAME", help="Record what fuses in its block instead.")
@click.option("--graph", metavar="FILE", help="Record what fuses in a graph instead.")
@click.option("--target", default="cpu", show_default=True, help="Of --model or --graph.")
@click.option("--pipeline", metavar="PASSES", help="Of --model or --graph.")
@click.option("--layers", type=click.IntRange(min=2), default=2, help="Of --model: L (2).")
@click.option("--fp8/--no-fp8", default=None, help="Of --model: its linear layers.")
@click.option("--fp8-format", type=click.Choice(["e4m3fn", "e4m3fnuz"]), help="Of --fp8.")
@shared.sglang_file
@click.option("-o", "--output", type=shared.FILE, required=True, help="The file to write.")
@options.as_json
def record(*, output: Path, as_json: bool, **values: Any) -> None:
    r"""Writes a baseline: samples, their machine, its calibration, the commit.

    The samples are of a command, run anew for each round, or of files, SGLang's perf_baselines
    among them. A file that says nothing of its machine is taken as made here and now. With --model
    or --graph it writes an expectation of fusions instead, for `check --fusions`.

    \b
    Examples:
      fusible gate record --command "python bench.py" --rounds 20 -o ci/baseline.json
      fusible gate record --samples benchmark.json --relative 0.05 -o ci/baseline.json
      fusible gate record --samples perf_baselines_h100.json -o ours.json
      fusible gate record --model deepseek-v3.2 --target rocm-gfx950 -o ci/fusions.toml
    """
    from fusible.cli import gate_request as request

    if output.exists() and not values["overwrite"]:
        raise click.UsageError(
            f"--output: expected a new file, got {output} (see `fusible gate update`, --overwrite)"
        )
    told = request.record(output, values)
    shared.told(json.dumps(told) if as_json else f"{output}: {told['written']}")


@gate.command()
@click.option("--baseline", type=shared.FILE, multiple=True, help="Of several this machine's.")
@click.option("--samples", type=shared.FILE, multiple=True, help="Samples that are there already.")
@shared.measuring
@shared.only
@click.option("--fusions", type=shared.FILE, multiple=True, help="Expected fusions.")
@click.option("--numerics", type=shared.FILE, multiple=True, help="Arrays, references, limits.")
@click.option("--accuracy", metavar="NAME=RIGHT/TOTAL", multiple=True, help="A share of answers.")
@click.option("--accuracy-base", metavar="RIGHT/TOTAL", help="What the share was.")
@click.option("--at-least", type=float, metavar="SHARE", help="What the share has to be.")
@click.option("--scale", is_flag=True, help="Divide times by what the calibration says.")
@click.option("--require-decision", is_flag=True, help="Exit 1 if anything is only advisory.")
@click.option("--base-commit", metavar="C", help="For turns; or 'recorded', the baseline's.")
@click.option("--build", metavar="CMD", help="Makes a worktree of --base-commit ready.")
@shared.deciding
@shared.sglang
@_HISTORY
@_HTML
@options.as_json
def check(*, as_json: bool, **values: Any) -> int:
    r"""Compares samples with a stored baseline, exactly with counts, fusions, limits.

    How much worse a metric may get is its tolerance in the file (`update --relative`, --absolute).
    A baseline decides on a machine of the same CPU, cores, memory and GPU; elsewhere the result is
    advisory. With --command a breach is measured again and decided on all samples. If the machine
    isn't as fast as it was beside the baseline, nothing is decided, unless --scale takes the
    calibration's word for it; with --base-commit and --command the two are measured in turns.
    --samples that say nothing of their machine are taken as made here, and as fast as it is now.

    \b
    Examples:
      fusible gate check --baseline ci/baseline.json --command "python bench.py" --rounds 20
      fusible gate check --baseline ci/baseline.json --samples out.jsonl --require-decision
      fusible gate check --fusions ci/fusions.toml --numerics ci/numerics.toml
      fusible gate check --accuracy gsm8k=1047/1319 --accuracy-base 1072/1319
      fusible gate check --semantics sglang --baseline perf_baselines_h100.json \
        --samples record.json --scenario flux_image_t2i
    """
    from fusible.cli import gate_check

    report, held = gate_check.check(values)
    return _end(report, values, as_json, held)


@gate.command()
@click.option("--base", type=shared.FILE, multiple=True, help="Samples of the base.")
@click.option("--candidate", type=shared.FILE, multiple=True, help="Samples of the change.")
@click.option("--base-command", metavar="CMD", help="A command that measures the base.")
@click.option("--candidate-command", metavar="CMD", help="A command that measures the change.")
@click.option("--base-commit", metavar="C", help="A commit, built in a worktree.")
@click.option("--candidate-commit", metavar="C", help="Another one (default: what is here).")
@click.option("--build", metavar="CMD", help="Makes a worktree ready.")
@click.option("--noop", is_flag=True, help="Compare --command with itself: false alarms.")
@click.option("--times", type=click.IntRange(min=1), default=10, help="Of --noop (10).")
@shared.measuring
@click.option("--control", metavar="NAME", multiple=True, help="What the change can't affect.")
@shared.only
@shared.judging
@_HISTORY
@_HTML
@options.as_json
def compare(*, as_json: bool, **values: Any) -> int:
    r"""Compares a change with its base: two files, commands or commits.

    Commands and commits are run in turns (ABBA) by process, which cancels drift. After 25, 50, 75
    and 100 % of --rounds (24) the samples are looked at, and it stops when all is decided. A look
    at few rounds has little of the error to spend: of 24 rounds those at 6 and 12 decide nothing,
    of 48 that at 24 does. A commit's --build and --command run in the folder that this one is in
    the repository. Samples of files with the same `round` in both make pairs; without any, Welch's
    test is made.

    \b
    Examples:
      fusible gate compare --base main.json --candidate change.json --json
      fusible gate compare --base-command ./old --candidate-command ./new --rounds 24
      fusible gate compare --base-commit main --build "pip install ." --command "python bench.py"
      fusible gate compare --noop --command "python bench.py"
    """
    from fusible.cli import gate_compare

    report, held = gate_compare.compare(values)
    return _end(report, values, as_json, held)


def _end(report: Report, values: dict[str, Any], as_json: bool, held: Held) -> int:
    """Prints a report, writes what was asked for, gives the exit status."""
    from fusible.cli import gate_show
    from fusible.gate import text

    code = shared.code(report, values)
    gate_show.keep(report, values, held)
    if as_json:
        shared.told(json.dumps(gate_show.report_json(report, held)))
    else:
        shared.told("\n".join(text.lines(report, code)))
    return code


@gate.command()
@click.argument("baseline", type=shared.FILE)
@click.argument("results", type=shared.FILE, nargs=-1)
@shared.only
@click.option("--remove", metavar="NAME", multiple=True, help="A metric that is no more.")
@click.option("--relative", type=float, metavar="R", help="Another tolerance: a ratio.")
@click.option("--absolute", type=float, metavar="X", help="Another tolerance: in the unit.")
@click.option("--allow-looser", is_flag=True, help="Numbers may get worse. Needs --reason.")
@click.option("--reason", default="", help="Why; it is kept in the file.")
@click.option("--write", is_flag=True, help="Write the file; without it only the table is shown.")
@shared.alpha
@options.as_json
def update(*, as_json: bool, **values: Any) -> int:
    r"""Proposes new numbers for BASELINE from RESULTS, as a table to be reviewed.

    A number is replaced by all samples of the results where they surely improved, never by the best
    of them; where nothing is sure, it stays. What would get looser (a worse number, a wider
    tolerance, another count or machine, a metric less) is refused without --allow-looser and
    --reason. Exit code 1: something is refused, and nothing was written.

    \b
    Examples:
      fusible gate update ci/baseline.json results.json
      fusible gate update ci/baseline.json results.json --write
      fusible gate update base.json new.json --allow-looser --reason "more layers" --write
    """
    from fusible.cli import gate_request as request
    from fusible.gate.update import table

    proposal = request.update(values)
    if as_json:
        rows = [row.to_json() for row in proposal.rows]
        shared.told(json.dumps({"rows": rows, "refused": proposal.refused}))
    else:
        shared.told("\n".join(table(proposal.rows)))
    return 1 if proposal.refused else 0


@gate.command()
@click.argument("file", type=shared.FILE)
@click.option("--append", type=shared.FILE, multiple=True, help="Samples to append first.")
@shared.only
@click.option("--alpha", type=shared.SHARE, default=0.001, show_default=True, help="Of a metric.")
@click.option(
    "--floor", type=shared.RATIO, default=0.02, show_default=True, help="Smallest change."
)
@options.as_json
def history(*, as_json: bool, **values: Any) -> None:
    r"""Finds where metrics changed in FILE, to which samples are only ever appended.

    The same file gives the same change points.

    \b
    Examples:
      fusible gate history history.jsonl
      fusible gate history history.jsonl --append results.json --json
    """
    from fusible.cli import gate_show as request

    rows = request.history(values)
    shared.told(json.dumps(rows) if as_json else "\n".join(request.change_lines(rows)))


@gate.command()
@click.option("--html", type=shared.FILE, required=True, help="The page to write.")
@click.option("--baseline", type=shared.FILE, multiple=True, help="What samples are checked with.")
@click.option("--base", type=shared.FILE, multiple=True, help="Or what they are compared with.")
@click.option("--samples", type=shared.FILE, multiple=True, help="The samples.")
@click.option("--history", type=shared.FILE, help="Earlier points, plotted with their changes.")
@click.option("--title", default="fusible gate", show_default=True)
@shared.only
@shared.judging
@options.as_json
def report(*, as_json: bool, **values: Any) -> None:
    r"""Writes one page with a plot a metric; it needs no network. It judges nothing: exit code 0.

    \b
    Examples:
      fusible gate report --html out.html --baseline ci/baseline.json --samples results.json
      fusible gate report --html out.html --base a.json --samples b.json --history history.jsonl
    """
    from fusible.cli import gate_show as request

    found = request.report(values)
    shared.told(json.dumps(found.to_json()) if as_json else f"wrote {values['html']}")


@gate.command()
@click.argument("file", type=shared.FILE, required=False)
@click.option("--machine", is_flag=True, help="This machine's fingerprint and calibration.")
@click.option("--schema", is_flag=True, help="The JSON Schema of a baseline file.")
@options.as_json
def show(*, file: Path | None, machine: bool, schema: bool, as_json: bool) -> None:
    r"""Shows FILE, a baseline or samples of any format, or --machine, or --schema.

    \b
    Examples:
      fusible gate show ci/baseline.json
      fusible gate show perf_baselines_h100.json --json
      fusible gate show --machine
      fusible gate show --schema > baseline.schema.json
    """
    from fusible.cli import gate_show as request

    if sum([file is not None, machine, schema]) != 1:
        raise click.UsageError("show: expected one of FILE, --machine and --schema")
    if schema:
        shared.told(request.schema().rstrip("\n"))
        return
    told = request.this_machine() if file is None else request.shown(file)
    shared.told(json.dumps(told) if as_json else "\n".join(request.shown_lines(told)))
