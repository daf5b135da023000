"""`fusible bisect` and `fusible replay`: which rewrite is at fault, and whether one still is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fusible.cli import options
from fusible.cli.graphs import read_graph

if TYPE_CHECKING:
    import fusible
    from fusible.bisect import Check
    from fusible.reproducer import Reproducer

_CHECK = (
    "`verify`, `bits`, or a command that exits with 0 where the graph is good and with 125 where "
    "it cannot tell; {} in it stands for the graph's file, else the file comes last."
)


@click.command()
@click.argument("graph")
@click.option("--check", "what", required=True, metavar="CHECK", help=_CHECK)
@options.target
@options.pipeline
@options.rules
@options.sizes
@click.option("--seed", type=int, default=0, show_default=True, help="Of the inputs of `bits`.")
@options.as_json
def bisect(
    *,
    graph: str,
    what: str,
    target: str,
    pipeline: str | None,
    rules: Path | None,
    range: tuple[int, int] | None,
    seed: int,
    as_json: bool,
) -> int:
    r"""Finds the first rewrite of a pipeline that breaks GRAPH (a file, - for standard input).

    `verify` asks the verifier. `bits` runs the graph on this machine, with inputs drawn at random,
    and compares the bits with those of the graph as it is. A command runs without a shell, on
    about log2(rewrites) graphs, and what it prints goes to the error stream.

    Exit codes: 0 the graph is good after all rewrites, 1 a rewrite breaks it, 2 the input is wrong.

    \b
    Examples:
      fusible bisect graph.ir --check bits
      fusible bisect graph.ir --check 'python measure.py --graph {}' --target cuda-sm90
      fusible bisect graph.ir --check verify --pipeline canonicalize,fuse-ops --json
    """
    import fusible

    read = read_graph(graph)
    found = fusible.bisect(
        read,
        _check_of(what, read, seed),
        target,
        pipeline,
        rules=options.given_rules(rules),
        range=range,
    )
    click.echo(json.dumps(_record(found)) if as_json else _sentences(found), nl=as_json)
    return 1 if found.suspects else 0


def _check_of(what: str, graph: fusible.Graph, seed: int) -> Check:
    from fusible import checks

    if what == "verify":
        return checks.verify
    return checks.Bits(graph, seed) if what == "bits" else checks.Command(what)


def _record(found: fusible.Bisection) -> dict[str, object]:
    return {
        "rewrites": found.rewrites,
        "number": found.number,
        "suspects": [
            {"pass": each.pass_name, "rule": each.rule, "node": each.node}
            for each in found.suspects
        ],
        "fault": found.fault,
        "before": str(found.before),
        "after": None if found.after is None else str(found.after),
    }


def _sentences(found: fusible.Bisection) -> str:
    if not found.suspects:
        return f"good after all rewrites ({found.rewrites})\n"
    if not found.number:
        return f"fails before any rewrite\n\n{found.fault}\n\n{found.before}"
    many = len(found.suspects) > 1
    lines = ["one of these breaks it; of the graphs between them the check could not tell"] * many
    for number, each in enumerate(found.suspects, found.number):
        place = f"rewrite {number} of {found.rewrites}: pass {each.pass_name}"
        lines.append(f"{place}, rule {each.rule}, at {each.node}")
    change = f"{found.fault}\n\n{found.before}" if found.fault else found.diff()
    return "\n".join([*lines, "", change])


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@options.as_json
def replay(file: Path, as_json: bool) -> int:
    r"""Runs the pipeline of a reproducer FILE again, and says whether it fails as it did.

    `PassManager.run(..., reproducer=FOLDER)` writes such a file where a pass fails, and leaves one
    where a pass ends the process.

    Exit codes: 0 the pass no longer fails, 1 it fails, 2 the file cannot be read.

    \b
    Examples:
      fusible replay reproducers/reproducer-0f3c5ab2d1e64788.toml
    """
    from fusible.reproducer import read_reproducer

    made = read_reproducer(file)
    message = made.replay()
    if as_json:
        record = {"fails": message is not None, "same": message == made.message}
        click.echo(json.dumps({**record, "message": message or "", "build": made.build}))
    else:
        click.echo(_verdict(made, message))
    return 0 if message is None else 1


def _verdict(made: Reproducer, message: str | None) -> str:
    then = f"{made.message}\n(fusible {made.version}, build {made.build})"
    if message is None:
        return f"no longer fails; it did with {then}"
    if message == made.message:
        return f"fails as it did: {message}"
    return f"fails in another way: {message}\nit failed with {then}"
