"""`fusible key`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fusible.cli import options
from fusible.cli.graphs import read_graph

if TYPE_CHECKING:
    import fusible
    from fusible.rules import Rule

_TARGET = "The key of optimizing GRAPH for this target."


@click.command()
@click.argument("graphs", metavar="GRAPH...", nargs=-1, required=True)
@click.option("--diff", "differ", is_flag=True, help="Compare the keys of two graphs.")
@click.option("--target", default=None, help=_TARGET)
@options.pipeline
@options.rules
@options.sizes
@options.as_json
def key(
    *,
    graphs: tuple[str, ...],
    differ: bool,
    target: str | None,
    pipeline: str | None,
    rules: Path | None,
    range: tuple[int, int] | None,
    as_json: bool,
) -> int:
    r"""Prints the structural key of GRAPH: a UUID of what it computes.

    Names of values, the order of statements and the machine do not change it; the order of inputs
    and of results does, since callers see it.

    With --diff it says of two graphs in which parts their keys differ, what each has there ("here"
    is the first), and at which nodes that begins; the exit code is 1 where they differ.

    \b
    Examples:
      fusible key graph.ir
      fusible key graph.ir --target rocm-gfx950 --json
      fusible key graph.ir --target cuda-sm90 --rules rules.toml
      fusible key --diff before.ir after.ir
    """
    if len(graphs) != 1 + differ:
        expected = "two graphs with --diff" if differ else "one GRAPH, or --diff"
        raise click.UsageError(f"key: expected {expected}, got {len(graphs)}")
    for option, given in (("--pipeline", pipeline), ("--rules", rules), ("--range", range)):
        if given is not None and target is None:
            raise click.UsageError(f"key: {option}: expected --target beside it, got none")
    keys = find_keys(graphs, target, pipeline, options.given_rules(rules), range)
    if differ:
        return show_difference(keys[0], keys[1], as_json)
    if as_json:
        click.echo(json.dumps(as_data(keys[0])))
    else:
        click.echo(keys[0].explain(), nl=False)
    return 0


def as_data(key: fusible.Key) -> dict[str, object]:
    """A key for programs."""
    return {"key": str(key), "parts": dict(key.parts), "left_out": key.left_out}


def find_keys(
    paths: tuple[str, ...],
    target: str | None,
    pipeline: str | None,
    rules: list[Rule],
    sizes: tuple[int, int] | None,
) -> list[fusible.Key]:
    """The keys of graphs, or of their optimization for a target."""
    import fusible

    graphs = [read_graph(path) for path in paths]
    if target is None:
        return [graph.key() for graph in graphs]
    manager = fusible.PassManager(pipeline, target, rules=rules)
    return [manager.key_of(graph, sizes) for graph in graphs]


def show_difference(here: fusible.Key, there: fusible.Key, as_json: bool) -> int:
    """Prints where two keys differ; exit code 1 where they do."""
    sentences = here.diff(there)
    if as_json:
        keys = [str(here), str(there)]
        click.echo(json.dumps({"equal": not sentences, "keys": keys, "differences": sentences}))
    else:
        lines = [f"{part}: {sentence}" for part, sentence in sentences.items()]
        click.echo("\n".join(lines) or f"the same key: {here}")
    return 1 if sentences else 0
