"""`fusible split`: a graph in pieces, cut at named operators."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusible.cli import options
from fusible.cli.graphs import Source, source

if TYPE_CHECKING:
    import fusible

_AT = "Cut before and behind each call of this operator, opaque node or region; may be repeated."
_OUT = "Write each piece, as it is before any pass, into this folder."


@click.command()
@source
@click.option("--at", multiple=True, required=True, metavar="NAME", help=_AT)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help=_OUT)
@options.as_json
def split(source: Source, at: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    r"""Cuts GRAPH, or a model's blocks, at named operators, and optimizes each piece.

    Equal pieces, such as those of equal layers, have one key and are optimized once; the table has
    a line for each kind, with how many pieces there are of it.

    \b
    Examples:
      fusible split graph.ir --at attention
      fusible split --model llama-3.1-8b --layers 32 --at attention --at kv_cache_update
      fusible split graph.ir --at attention --target cuda-sm90 --out pieces --json
    """
    import fusible

    target = fusible.load_target(source.target)
    pieces = fusible.split_at(source.read(target), at)
    results = pieces.optimize(target, source.pipeline, range=source.range)
    files = [] if out is None else write(pieces, out)
    if as_json:
        records = [as_data(*each) for each in zip(pieces, results, strict=True)]
        for record, file in zip(records, files, strict=False):
            record["file"] = str(file)
        click.echo(json.dumps({"distinct": len(pieces.distinct), "pieces": records}))
    else:
        show(f"{source.name} for {target.name}", pieces, results)


def write(pieces: fusible.Pieces, folder: Path) -> list[Path]:
    """Writes `00.ir`, `01-attention.ir`, … and returns their paths."""
    from fusible.files import write_whole

    folder.mkdir(parents=True, exist_ok=True)
    digits = max(2, len(str(len(pieces) - 1)))
    paths = []
    for piece in pieces:
        name = re.sub(r"[^A-Za-z0-9_.+-]", "_", f"-{piece.at}" if piece.at else "")
        paths.append(folder / f"{piece.number:0{digits}}{name}.ir")
        write_whole(paths[-1], str(piece.graph))
    return paths


def as_data(piece: fusible.Piece, result: fusible.Result) -> dict[str, Any]:
    """A piece, and what the pipeline made of it, for programs."""
    return {
        "number": piece.number,
        "at": piece.at,
        "same_as": piece.same_as,
        "key": str(piece.key),
        "inputs": [_typed(value) for value in piece.graph.inputs],
        "outputs": [_typed(value) for value in piece.graph.outputs],
        "operators": result.operators._asdict(),
        "fusions": result.fusions,
    }


def _typed(value: Any) -> dict[str, Any]:
    shape = ", ".join(map(str, value.shape))
    return {"name": value.name, "type": f"{value.dtype}[{shape}]", "kind": value.kind}


def show(title: str, pieces: fusible.Pieces, results: list[fusible.Result]) -> None:
    """Prints a line for each kind of pieces."""
    from fusible.demo.show import console, print_rows

    rows = []
    for piece in pieces.distinct:
        count = sum(other.same_as == piece.number for other in pieces)
        operators = results[piece.number].operators
        kinds = [value.kind for value in piece.graph.inputs]
        rows.append(
            (
                str(piece.number),
                piece.at or "-",
                str(count),
                f"{operators.before} -> {operators.after}",
                f"{len(kinds) - kinds.count('constant')} + {kinds.count('constant')}",
                str(len(piece.graph.outputs)),
                str(piece.key),
            )
        )
    out = console()
    out.print(f"{title}: {len(pieces)} pieces, {len(rows)} distinct", highlight=False)
    header = ("first", "at", "count", "operators", "inputs + constants", "outputs", "key")
    print_rows(out, header, rows)
