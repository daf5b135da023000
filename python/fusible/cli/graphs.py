"""`fusible explain`, and how commands are told which graph they are about."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fusible.cli import options

if TYPE_CHECKING:
    import fusible
    from fusible.demo.subject import Model

_FP8 = "Linear layers in fp8 or in bf16 (default: fp8 for deepseek-v3.2, else bf16)."
_FORMAT = "The fp8 format in the model's graph (default: the target's)."
_FILE = click.Path(path_type=Path, dir_okay=False)
_DIFF = "Say why the target B fuses less than the target A."
_PERF = "Say how products and attention run instead: plan, packed weights, bytes and flops."
_SIZE = "With --perf: the size of a symbol of the graph, such as T=512; one for each symbol."
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


def read_model(
    name: str, layers: int | None, target: fusible.Target, fp8: bool | None, fp8_format: str | None
) -> Model:
    """The blocks of a published model; no weights are needed to trace them."""
    from fusible.demo.subject import block
    from fusible.models import Format, LatentConfig, load_config

    config = load_config(name)
    use_fp8 = isinstance(config, LatentConfig) if fp8 is None else fp8
    if fp8_format and not use_fp8:
        raise _usage("--fp8-format: expected beside --fp8, got it with bf16")
    form = Format(quantization="fp8" if use_fp8 else "none", fp8=fp8_format or target.fp8)
    return block(config, layers or 0, form)


@dataclass(frozen=True)
class Source:
    """Which graph a command is about, and what it is fused for: the options of `source`."""

    graph: str | None
    model: str | None
    layers: int | None
    target: str
    pipeline: str | None
    fp8: bool | None
    fp8_format: str | None
    range: tuple[int, int] | None
    rules: Path | None

    def __post_init__(self) -> None:
        of_model = {
            "--layers": self.layers,
            "--fp8/--no-fp8": self.fp8,
            "--fp8-format": self.fp8_format,
        }
        check_source(self.graph, self.model, of_model)

    @property
    def name(self) -> str:
        """The graph's file, or the model."""
        return str(self.graph if self.model is None else self.model)

    def read_model(self, target: fusible.Target, layers: int | None = None) -> Model:
        """The blocks of the model, with another number of layers if one is given."""
        layers = self.layers if layers is None else layers
        return read_model(str(self.model), layers, target, self.fp8, self.fp8_format)

    def read(self, target: fusible.Target) -> fusible.Graph:
        """The graph of the file, or of the model's blocks in the target's formats."""
        if self.model is None:
            return read_graph(str(self.graph))
        return self.read_model(target).trace()

    def optimize(self, graph: fusible.Graph, target: fusible.Target) -> fusible.Result:
        """What the pipeline makes of a graph for a target, and for the sizes that are asked for."""
        import fusible

        rules = options.given_rules(self.rules)
        return fusible.optimize(graph, target, self.pipeline, rules=rules, range=self.range)


_SOURCE = (
    click.argument("graph", required=False),
    options.model,
    options.target,
    options.pipeline,
    options.rules,
    options.sizes,
    click.option("--fp8/--no-fp8", default=None, help=_FP8),
    click.option(
        "--fp8-format", type=click.Choice(["e4m3fn", "e4m3fnuz"]), default=None, help=_FORMAT
    ),
)


def source(function: Callable[..., Any]) -> Callable[..., Any]:
    """GRAPH, or `--model` and its options, with `--target` and `--pipeline`: as one `Source`."""

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        chosen = {name: given.pop(name) for name in Source.__dataclass_fields__}
        return function(source=Source(**chosen), **given)

    for option in reversed(_SOURCE):
        command = option(command)
    return command


def _usage(message: str) -> click.UsageError:
    return click.UsageError(f"{click.get_current_context().info_name}: {message}")


@click.command()
@source
@click.option("--expect", multiple=True, metavar="NAME=COUNT", help=_EXPECT)
@click.option("--save", type=_FILE, help="Write the fused graph's text here.")
@click.option("--diff", nargs=2, metavar="A B", default=None, help=_DIFF)
@click.option("--perf", is_flag=True, help=_PERF)
@click.option("--size", multiple=True, metavar="SYMBOL=NUMBER", help=_SIZE)
@options.as_json
def explain(
    *,
    source: Source,
    expect: tuple[str, ...],
    save: Path | None,
    diff: tuple[str, str] | None,
    perf: bool,
    size: tuple[str, ...],
    as_json: bool,
) -> int:
    r"""Says what fuses in GRAPH (a file, - for standard input) or in a model's block, and what not.

    The target need not be this machine. Near misses stand in order of what fusing would save.

    \b
    Examples:
      fusible explain graph.ir --target cuda-sm90
      fusible explain --model deepseek-v3.2 --target rocm-gfx950
      fusible explain --model llama-3.1-8b --fp8 --layers 32 --json
      fusible explain --model llama-3.1-8b --fp8 --diff cuda-sm90 rocm-gfx942
      fusible explain graph.ir --pipeline 'fuse-ops@[1,512],drop-dead' --range 1 256
      fusible explain graph.ir --target cuda-sm90 --rules rules.toml
      fusible explain graph.ir --perf --size T=512
    """
    import fusible
    from fusible.demo.run import graph_report

    if size and not perf:
        raise _usage("--size: expected --perf beside it, got none")
    if diff is not None:
        others = {"--expect": expect, "--save": save, "--perf": perf}
        return explain_difference(source, diff, others, as_json)
    counts = expected_counts(expect)
    target = fusible.load_target(source.target)
    result = source.optimize(source.read(target), target)
    if save is not None:
        from fusible.files import write_whole

        write_whole(save, str(result.graph))
    if perf:
        from fusible.cli.perf import explain_perf

        explain_perf(source.name, result.graph, target.name, size, as_json)
        return check(result, counts)
    report = graph_report(result)
    if as_json:
        click.echo(json.dumps(report))
    else:
        from fusible.demo.show import console, print_graph

        print_graph(console(), f"{source.name} for {target.name}", report)
    return check(result, counts)


def explain_difference(
    source: Source, targets: tuple[str, str], others: Mapping[str, object], as_json: bool
) -> int:
    """`explain --diff`: one graph, which for a model is in the formats of the first target."""
    import fusible
    from fusible.cli.difference import compare, print_difference
    from fusible.demo.show import console

    alone = [option for option, value in others.items() if value]
    if click.get_current_context().get_parameter_source("target") is ParameterSource.COMMANDLINE:
        alone.append("--target")
    if alone:
        raise _usage(f"{alone[0]}: expected none beside --diff, got one")
    a, b = (fusible.load_target(target) for target in targets)
    graph = source.read(a)
    results = [source.optimize(graph, target) for target in (a, b)]
    given = [rule.name for rule in options.given_rules(source.rules)]
    found = compare(results[0], results[1], given)
    if as_json:
        click.echo(json.dumps(found))
    else:
        traced = "" if source.model is None else f", traced for {a.name}"
        print_difference(console(), f"{source.name}{traced}", found)
    return 0


def check_source(graph: str | None, model: str | None, of_model: Mapping[str, object]) -> None:
    """UsageError unless there is a graph or a model, and options of a model stand beside one."""
    if (graph is None) == (model is None):
        got = "neither" if graph is None else "both"
        raise _usage(f"expected GRAPH or --model, got {got}")
    for option, value in of_model.items():
        if graph is not None and value is not None:
            raise _usage(f"{option}: expected only with --model, got GRAPH")


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
