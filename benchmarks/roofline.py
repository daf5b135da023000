"""Pictures: what a call moves or computes a second, below the roof that this machine has."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.measure import Cell
from fusible.files import write_whole_bytes

COLUMNS = 4
PANEL = 3.1, 2.5  # inches
BAR, AROUND = 0.3, 1.0  # inches: of a bar, and above and below those of a panel
TICKS = {1e4: "10 kB", 1e5: "", 1e6: "1 MB", 1e7: "", 1e8: "100 MB"}
INK, FAINT, ROOF = "#1b1f24", "#9aa4b0", "#e9edf2"
COLOURS = {"fusible": "#d1495b", "torch": "#8d99ae", "inductor": "#edae49"}
COLOURS |= {"vllm": "#00798c", "zentorch": "#6a4c93"}


@dataclass(frozen=True)
class Bars:
    """What each contender does a second, and the most of it that the machine can do."""

    title: str
    unit: str
    rates: Mapping[str, float]
    limits: Mapping[str, float]


def picture(text: str) -> Path:
    """The value of `--plot`; ArgumentTypeError for a name that is not a picture's."""
    path = Path(text)
    if path.suffix not in {".svg", ".png"}:
        message = f"expected a name that ends in .svg or .png, got {text}"
        raise argparse.ArgumentTypeError(message)
    return path


def of_threads(count: int) -> str:
    """How many, in words."""
    return f"{count} thread{'s' * (count > 1)}"


def figure_of(rows: int, columns: int, panel: tuple[float, float], *, shared: bool = False) -> Any:
    """A figure and its axes, panels of so many inches, which may share them."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "fusible", "font.size": 8}
    size = panel[0] * columns, panel[1] * rows
    return plt.subplots(rows, columns, figsize=size, squeeze=False, sharex=shared, sharey=shared)


def write(figure: Any, title: str, path: Path, *, below: float = 0.0) -> None:
    """Writes a PNG or an SVG, by the name's end; so many inches are free below the panels."""
    import matplotlib.pyplot as plt

    kind, written = path.suffix[1:], BytesIO()
    figure.suptitle(title, fontsize=9, wrap=True)
    figure.tight_layout(rect=(0, below / figure.get_figheight(), 1, 1))
    figure.savefig(
        written, format=kind, metadata={"Date": None} if kind == "svg" else None, dpi=160
    )
    plt.close(figure)
    write_whole_bytes(path, [written.getbuffer()])


def draw_bars(panels: Sequence[Bars], columns: int, title: str, path: Path) -> None:
    """A panel each, so many in a row."""
    bars = max(len(panel.rates) for panel in panels)
    size = PANEL[0], BAR * bars + AROUND
    figure, axes = figure_of(-(-len(panels) // columns), columns, size)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for shown, axis in zip(panels, axes.flat, strict=False):
        bar_panel(axis, shown)
    write(figure, title, path)


def bar_panel(axis: Any, shown: Bars) -> None:
    """Each contender's rate in front of its limit, and its share of that."""
    names = list(shown.rates)[::-1]
    rates, limits = ([of[name] for name in names] for of in (shown.rates, shown.limits))
    colours = [COLOURS["fusible" if name.startswith("fusible") else "torch"] for name in names]
    axis.barh(names, limits, color=ROOF, height=0.9)
    front = axis.barh(names, rates, color=colours, height=0.6)
    labels = [f"{rate:.3g} ({rate / most:.0%})" for rate, most in zip(rates, limits, strict=True)]
    axis.bar_label(front, labels=labels, padding=2)
    axis.set(xlabel=shown.unit)
    axis.set_title(shown.title, fontsize=8, loc="left", color=INK)
    axis.margins(x=0.2)
    axis.spines[["top", "right"]].set_visible(False)


def draw(cells: Sequence[Cell], path: Path, machine: str) -> None:
    """A panel an operator.

    Of several dtypes and numbers of threads, those of the first cell are shown.
    """
    dtype, threads = cells[0].dtype, cells[0].threads
    shown = [cell for cell in cells if (cell.dtype, cell.threads) == (dtype, threads)]
    names = list(dict.fromkeys(cell.workload for cell in shown))
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    size = PANEL[0], PANEL[1] + 0.8 / rows
    figure, axes = figure_of(rows, columns, size, shared=True)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for name, axis in zip(names, axes.flat, strict=False):
        panel(axis, [cell for cell in shown if cell.workload == name])
    legend(figure, axes)
    what = f"GB/s moved against bytes a call, {dtype}, {of_threads(threads)}"
    write(figure, f"{what}\n{machine}", path, below=0.35)


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
