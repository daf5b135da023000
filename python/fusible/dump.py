"""The graphs before and after each pass, and the patterns of fused operators, as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fusible import _core
from fusible.files import write_whole
from fusible.passes import PassManager, Result


def stages(
    graph: _core.Graph, manager: PassManager, fuel: int | None = None
) -> Iterator[tuple[str, Result]]:
    """Name of each pass, and what it alone did to what the passes before it made of the graph.

    A pass is a pure function, so a run pass by pass is the same as a run of the pipeline.
    """
    for name in manager.pipeline.split(","):
        result = PassManager(name, manager.target).run(graph, fuel=fuel)
        fuel = None if fuel is None else fuel - len(result.rewrites)
        graph = result.graph
        yield name, result


def patterns() -> str:
    """Every fused operator with the body that it equals, which is what passes look for."""
    described = [_core.find_op(name).describe() for name in _core.op_names()]
    texts = []
    for op in described:
        if op["equals"]:
            body = [line.strip() for line in op["equals"].strip().splitlines()]
            texts.append("\n".join([op["signature"], *(f"  {line}" for line in body), ""]))
    return "\n".join(texts)


def dump(
    graph: _core.Graph, manager: PassManager, folder: str | Path, fuel: int | None = None
) -> None:
    """Writes ``00-input.ir``, ``01-canonicalize.ir``, … and ``patterns.txt`` into a folder.

    The folder is made if it is not there. Where a pass fails, the graphs before it are there.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "patterns.txt", patterns())
    write_whole(folder / "00-input.ir", str(graph))
    for number, (name, result) in enumerate(stages(graph, manager, fuel), 1):
        write_whole(folder / f"{number:02}-{name}.ir", str(result.graph))
