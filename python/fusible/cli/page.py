"""`fusible graph`: a graph through its passes, as a page."""

from __future__ import annotations

from pathlib import Path

import click

from fusible.cli import options
from fusible.cli.graphs import Source, source

_HTML = "Write the page here."


@click.command()
@source
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), required=True, help=_HTML)
def graph(source: Source, html: Path) -> None:
    r"""Shows GRAPH, or a model's block, before and after each pass, as one HTML page.

    Fused operators are marked, and near misses open with the reason and what would make them
    match. The page needs nothing from outside: no network, no server.

    \b
    Examples:
      fusible graph block.ir --target cuda-sm90 --html block.html
      fusible graph --model deepseek-v3.2 --target rocm-gfx950 --html front.html
    """
    import fusible
    from fusible.files import write_whole
    from fusible.page.graph import render

    target = fusible.load_target(source.target)
    manager = fusible.PassManager(source.pipeline, target, rules=options.given_rules(source.rules))
    title = f"{source.name} for {target.name}"
    write_whole(html, render(manager, source.read(target), title, source.range))
