"""`fusible explain` and `fusible key`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fusible.cli import options

if TYPE_CHECKING:
    import fusible

_FP8 = "Linear layers in fp8 or in bf16 (default: fp8 for deepseek-v3.2, else bf16)."
_FORMAT = "The fp8 format in the model's graph (default: the target's)."
_FILE = click.Path(path_type=Path, dir_okay=False)
_EXPECT = "Fail with exit code 1 unless the fusion NAME was made COUNT times."


def read_graph(path: str) -> fusible.Graph:
    """Parses the text of a graph from a file, `-` for standard input.

    Raises ValueError with file, line and column, and UsageError for no name.
    """
    import fusible

    if not path:
        raise click.UsageError("GRAPH: expected a file or -, got an empty name")
    with click.open_file(path, "rb") as file:
        data = file.read()
    try:
        return fusible.Graph.parse(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = f"byte 0x{data[error.start]:02x} at offset {error.start}"
        raise ValueError(f"{path}: line {line}: expected UTF-8, got {got}") from None
    except fusible.GraphError as error:
        raise ValueError(f"{path}: {error}") from None


def model_graph(
    name: str, layers: int | None, target: fusible.Target, fp8: bool | None, fp8_format: str | None
) -> fusible.Graph:
    """Traces the blocks of a published model; no weights are needed for that."""
    from fusible.demo.subject import block
    from fusible.models import Format, LatentConfig, load_config

    config = load_config(name)
    use_fp8 = isinstance(config, LatentConfig) if fp8 is None else fp8
    if fp8_format and not use_fp8:
        raise click.UsageError("explain: --fp8-format: expected beside --fp8, got it with bf16")
    form = Format(quantization="fp8" if use_fp8 else "none", fp8=fp8_format or target.fp8)
    return block(config, layers or 0, form).trace()


@click.command()
@click.argument("graph", required=False)
@options.model
@options.target
@click.option("--pipeline", default=None, help="Passes joined by commas (default: the target's).")
@click.option("--fp8/--no-fp8", default=None, help=_FP8)
@click.option("--fp8-format", type=click.Choice(["e4m3fn", "e4m3fnuz"]), default=None, help=_FORMAT)
@click.option("--expect", multiple=True, metavar="NAME=COUNT", help=_EXPECT)
@click.option("--save", type=_FILE, help="Write the fused graph's text here.")
@options.as_json
def explain(
    *,
    graph: str | None,
    model: str | None,
    layers: int | None,
    target: str,
    pipeline: str | None,
    fp8: bool | None,
    fp8_format: str | None,
    expect: tuple[str, ...],
    save: Path | None,
    as_json: bool,
) -> int:
    r"""Says what fuses in GRAPH (a file, - for standard input) or in a model's block, and what not.

    The target need not be this machine.

    \b
    Examples:
      fusible explain graph.ir --target cuda-sm90
      fusible explain --model deepseek-v3.2 --target rocm-gfx950
      fusible explain --model llama-3.1-8b --fp8 --layers 32 --json
    """
    import fusible
    from fusible.demo.run import graph_report

    of_model = {"--layers": layers, "--fp8/--no-fp8": fp8, "--fp8-format": fp8_format}
    check_source(graph, model, of_model)
    counts = expected_counts(expect)
    chosen = fusible.load_target(target)
    before = (
        model_graph(model, layers, chosen, fp8, fp8_format)
        if model is not None
        else read_graph(graph or "")
    )
    result = fusible.optimize(before, chosen, pipeline)
    if save is not None:
        from fusible.files import write_whole

        write_whole(save, str(result.graph))
    report = graph_report(result)
    if as_json:
        click.echo(json.dumps(report))
    else:
        from fusible.demo.show import console, print_graph

        print_graph(console(), f"{graph or model} for {chosen.name}", report)
    return check(result, counts)


def check_source(graph: str | None, model: str | None, of_model: Mapping[str, object]) -> None:
    """UsageError unless there is a graph or a model, and options of a model stand beside one."""
    if (graph is None) == (model is None):
        got = "neither" if graph is None else "both"
        raise click.UsageError(f"explain: expected GRAPH or --model, got {got}")
    for option, value in of_model.items():
        if graph is not None and value is not None:
            raise click.UsageError(f"explain: {option}: expected only with --model, got GRAPH")


def expected_counts(items: tuple[str, ...]) -> dict[str, int]:
    """Reads `--expect` options. Raises UsageError for one that is not NAME=COUNT."""
    counts = {}
    for item in items:
        name, _, count = item.partition("=")
        if not name or not (count.isascii() and count.isdigit()):
            raise click.UsageError(f"--expect: expected NAME=COUNT, got {item}")
        counts[name] = int(count)
    return counts


def check(result: fusible.Result, counts: dict[str, int]) -> int:
    """Exit code 1, and the reasons on the error stream, where a fusion was not made as often."""
    import fusible

    try:
        result.expect(counts)
    except fusible.Error as error:
        click.echo(str(error), err=True)
        return 1
    return 0


@click.command()
@click.argument("graph")
@click.option("--target", default=None, help="The key of optimizing GRAPH for this target.")
@options.as_json
def key(graph: str, target: str | None, as_json: bool) -> None:
    r"""Prints the structural key of GRAPH: a UUID that names, order and machine do not change.

    \b
    Examples:
      fusible key graph.ir
      fusible key graph.ir --target rocm-gfx950 --json
    """
    import fusible

    read = read_graph(graph)
    found = read.key() if target is None else fusible.optimize(read, target).key
    if as_json:
        click.echo(json.dumps({"key": str(found), "parts": dict(found.parts)}))
    else:
        click.echo(found.explain(), nl=False)
