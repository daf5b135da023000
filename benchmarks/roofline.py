"""The picture: what each operator moves a second, below the roof that this machine has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Cell

COLUMNS = 4
PANEL = 3.1, 2.5  # inches
TICKS = {1e4: "10 kB", 1e5: "", 1e6: "1 MB", 1e7: "", 1e8: "100 MB"}
INK, FAINT, ROOF = "#1b1f24", "#9aa4b0", "#e9edf2"
COLOURS = {"fusible": "#d1495b", "torch": "#8d99ae", "inductor": "#edae49"}
COLOURS |= {"vllm": "#00798c", "zentorch": "#6a4c93"}


def draw(cells: Sequence[Cell], path: Path, machine: str) -> None:
    """Writes a PNG or an SVG, by the name's end: a panel an operator.

    Of several dtypes and numbers of threads, those of the first cell are shown.
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "fusible", "font.size": 8}
    dtype, threads = cells[0].dtype, cells[0].threads
    shown = [cell for cell in cells if (cell.dtype, cell.threads) == (dtype, threads)]
    names = list(dict.fromkeys(cell.workload for cell in shown))
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    size = PANEL[0] * columns, PANEL[1] * rows + 0.8
    figure, axes = plt.subplots(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False
    )
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for name, axis in zip(names, axes.flat, strict=False):
        panel(axis, [cell for cell in shown if cell.workload == name])
    legend(figure, axes)
    what = f"GB/s moved against bytes a call, {dtype}, {threads} thread{'s' * (threads > 1)}"
    figure.suptitle(f"{what}\n{machine}", fontsize=9)
    figure.tight_layout(rect=(0, 0.35 / size[1], 1, 1))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=160)
    plt.close(figure)


def legend(figure: Any, axes: Any) -> None:
    """Every line once, below the panels: not each operator has every peer."""
    lines = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        lines.values(), lines, loc="lower center", ncols=max(1, len(lines)), frameon=False
    )


def panel(axis: Any, cells: Sequence[Cell]) -> None:
    """One operator: every contender's bytes a second over the bytes of a call."""
    ordered = sorted(cells, key=lambda cell: cell.bytes)
    bytes_ = [cell.bytes for cell in ordered]
    roof = [cell.bytes / cell.floor_us / 1e3 for cell in ordered]
    axis.fill_between(bytes_, roof, 1e-3, color=ROOF, linewidth=0)
    axis.plot(bytes_, roof, color=INK, linewidth=0.8, label="what this machine can move")
    peers = dict.fromkeys(name for cell in ordered for name in cell.samples_us if name in COLOURS)
    for name in (*(name for name in peers if name != "fusible"), "fusible"):
        line(axis, ordered, name)
    axis.set(xscale="log", yscale="log", ylim=(0.3, 400))
    axis.set_xticks(list(TICKS), list(TICKS.values()))
    axis.minorticks_off()
    axis.set_title(ordered[0].workload, fontsize=8, loc="left", color=INK)
    axis.grid(color="white", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=FAINT, which="both", length=2)


def line(axis: Any, cells: Sequence[Cell], name: str) -> None:
    """One contender, ours thicker than the others."""
    times = [(cell, cell.best_us if name == "fusible" else cell.us(name)) for cell in cells]
    points = [(cell.bytes, cell.bytes / us / 1e3) for cell, us in times if us]
    if points:
        width = 1.6 if name == "fusible" else 0.8
        axis.plot(
            *zip(*points, strict=True),
            "o-",
            color=COLOURS[name],
            label=name,
            markersize=2 * width,
            linewidth=width,
        )
