"""`fusible check`: what fuses against a file of what must fuse."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusible.cli import options
from fusible.cli.graphs import Source, source

if TYPE_CHECKING:
    import fusible
    from fusible.expectations import Counts
    from fusible.passes import Difference

_FILE = click.Path(path_type=Path, dir_okay=False)
_EXPECT = "The TOML file of counts, a table a target."
_UPDATE = "Write what fuses now into the file, instead of failing."
_SIZE = "The value of another name in the file's formulas; L is the model's number of layers."


@click.command()
@source
@click.option("--expect", "path", type=_FILE, required=True, metavar="FILE", help=_EXPECT)
@click.option("--size", "sizes", multiple=True, metavar="NAME=NUMBER", help=_SIZE)
@click.option("--update", is_flag=True, help=_UPDATE)
@options.as_json
def check(source: Source, path: Path, sizes: tuple[str, ...], update: bool, as_json: bool) -> int:
    r"""Fails unless exactly the fusions of FILE are made in GRAPH or a model's block.

    FILE has a table for each target, such as:

    \b
      [cuda-sm90]
      fused_add_rms_norm_group_quant_fp8 = "2*L"
      silu_and_mul_group_quant_fp8 = "L"

    A fusion that the table does not name must not be made. Exit code 1: one is made more or less
    often; the near misses of what is missing are on the error stream.

    --update writes the target's table anew and leaves the others. A count that holds stays as it
    is written; others become a formula of L, where counts at three numbers of layers lie on a line,
    else a number. Of comments, only those at the top of the file stay.

    \b
    Examples:
      fusible check --model llama-3.1-8b --fp8 --target cuda-sm90 --expect llama.toml --update
      fusible check --model llama-3.1-8b --fp8 --target cuda-sm90 --expect llama.toml --layers 32
      fusible check block.ir --size L=4 --expect block.toml --json
    """
    import fusible
    from fusible import expectations

    named = read_sizes(sizes)
    target = fusible.load_target(source.target)
    tables = expectations.read(path) if path.exists() or not update else {}
    if target.name not in tables and not update:
        got = ", ".join(tables) or "none"
        raise ValueError(f"{path}: expected a table {target.name} (--update writes it), got {got}")
    counts = tables.get(target.name, {})
    result, known = fuse(source, target, named)
    try:
        if update:
            counts = expectations.updated(counts, fitted(source, target, result), known)
            expectations.write(path, {**tables, target.name: counts})
        wrong = expectations.differences(result, counts, known)
    except fusible.ArgumentError as error:
        raise ValueError(f"{path}: {target.name}: {error}") from None
    report = {"target": target.name, "sizes": known, **report_of(result, counts, wrong)}
    if as_json:
        click.echo(json.dumps(report))
    else:
        print_report(f"{source.name} for {target.name}", report, wrong)
    return 1 if wrong else 0


def read_sizes(items: tuple[str, ...]) -> dict[str, int]:
    """Reads `--size` options. Raises UsageError for one that is not NAME=NUMBER."""
    sizes = {}
    for item in items:
        name, _, number = item.partition("=")
        if not name.isidentifier() or not re.fullmatch(r"[0-9]{1,18}", number):
            raise click.UsageError(f"check: --size: expected NAME=NUMBER, got {item}")
        sizes[name] = int(number)
    return sizes


def fuse(
    source: Source, target: fusible.Target, named: Mapping[str, int]
) -> tuple[fusible.Result, dict[str, int]]:
    """The result on the graph, and the sizes that formulas may name: L of a model, and `named`."""
    if source.model is None:
        return source.optimize(source.read(target), target), {**named}
    if "L" in named:
        raise click.UsageError(
            "check: --size: expected L only with GRAPH (--layers says it), got L"
        )
    model = source.read_model(target)
    result = source.optimize(model.trace(), target)
    return result, {"L": model.depth, **named}


def fitted(source: Source, target: fusible.Target, result: fusible.Result) -> Counts:
    """What was fused: of a model in formulas of L, as far as two more numbers of layers agree."""
    from fusible.gate.fusion import formula

    if source.model is None:
        return dict(result.fusions)
    model = source.read_model(target)
    found = {model.depth: result.fusions}
    for layers in other_layers(model.depth, model.config.layers):
        graph = source.read_model(target, layers).trace()
        found[layers] = source.optimize(graph, target).fusions
    return {
        name: formula({layers: counts.get(name, 0) for layers, counts in found.items()})
        for name in result.fusions
    }


def other_layers(layers: int, most: int) -> list[int]:
    """Two more numbers of layers, at equal steps: above if the model has so many, else below."""
    step = layers if 3 * layers <= most else -((layers - 1) // 2)
    return [layers + step, layers + 2 * step] if step else []


def report_of(
    result: fusible.Result, counts: Counts, wrong: Sequence[Difference]
) -> dict[str, Any]:
    """The rest of the object of `--json`."""
    from fusible.demo.run import miss_report

    reasons = {each.name: [miss_report(miss) for miss in each.misses] for each in wrong}
    expected = {each.name: each.expected for each in wrong}
    fusions = {
        name: {
            "formula": counts.get(name, 0),
            "expected": expected.get(name, result.fusions.get(name, 0)),
            "got": result.fusions.get(name, 0),
            "misses": reasons.get(name, []),
        }
        for name in sorted(counts.keys() | result.fusions)
    }
    return {"holds": not wrong, "fusions": fusions}


def print_report(name: str, report: Mapping[str, Any], wrong: Sequence[Difference]) -> None:
    """A table of the counts; the reasons of what is missing on the error stream."""
    from fusible.demo.show import console, print_rows

    out = console()
    many = len(report["fusions"])
    out.print(f"{name}: {many - len(wrong)} of {many} fusions as expected")
    rows = [
        (fusion, str(found["formula"]), str(found["expected"]), str(found["got"]), _word(found))
        for fusion, found in report["fusions"].items()
    ]
    if rows:
        print_rows(out, ("fusion", "in the file", "expected", "got", ""), rows)
    for each in wrong:
        click.echo(f"check: {each}", err=True)


def _word(found: Mapping[str, Any]) -> str:
    if found["got"] == found["expected"]:
        return ""
    return "missing" if found["got"] < found["expected"] else "too many"
