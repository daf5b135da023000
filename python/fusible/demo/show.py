"""Printing: what the demonstration finds as tables, its progress as lines on the error stream."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from fusible.demo.run import Listener
from fusible.demo.subject import Subject

SHOWN_GROUPS = 12  # distinct ones; the report of --json has all
GAP = 3  # blanks between columns


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: names of users may look like markup or be long."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


class Progress(Listener):
    """Says on the error stream what is being done, and since when."""

    def __init__(self) -> None:
        self.start = perf_counter()
        self.errors = console(stderr=True)

    def stage(self, text: str) -> None:
        """Prints seconds since the start, and the part that begins."""
        line = f"{perf_counter() - self.start:6.1f} s  {text}"
        self.errors.print(line, style="dim")


class Printer(Progress):
    """Prints everything for a reader."""

    def __init__(self) -> None:
        super().__init__()
        self.out = console()

    def subject(self, subject: Subject, target: str) -> None:
        """Prints the model, where its weights come from, and the target."""
        title = Text.assemble((subject.name, "bold"), " for target ", (target, "bold"))
        self.out.print(title)
        self.out.print(f"weights: {subject.note}")

    def graph(self, name: str, report: dict[str, Any], same: bool) -> None:
        """Prints what fused, what did not, whether the bits are the same, and the times."""
        print_graph(self.out, name, report)
        print_times(self.out, report["times"])
        self.out.print(Text.assemble("same bits: ", ("yes" if same else "NO", "bold")))

    def perplexity(self, values: dict[str, float]) -> None:
        """Prints the perplexity of the bundled text in each form."""
        shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        self.out.print(f"\nperplexity of the bundled text: {shown}")
        self.out.print("(bf16 is the unfused graph, fused the same after fusing)\n")

    def piece(self, text: str) -> None:
        """Prints a piece of the completion at once."""
        self.out.print(text, end="")
        self.out.file.flush()

    def written(self, tokens: int, seconds: float) -> None:
        """Prints how fast it was."""
        rate = tokens / seconds
        self.out.print(f"\n\n{tokens} tokens in {seconds:.2f} s: {rate:.1f} tokens/s")


def print_graph(out: Console, name: str, report: dict[str, Any]) -> None:
    """Prints a G: operators before and after, fusions with counts, near misses, the key."""
    operators = report["operators"]
    counts = f"{operators['before']} operators before, {operators['after']} after"
    line = Text.assemble("\n", (name, "bold"), f": {counts}; key {report['key']}")
    out.print(line)
    if report["fusions"]:
        rows = [(fusion, str(count)) for fusion, count in report["fusions"].items()]
        print_rows(out, ("fused", "count"), rows)
    print_misses(out, report["misses"])
    print_choices(out, report["choices"])
    for left_out, reason in report["left_out"].items():
        out.print(f"{left_out} took no part: it {reason}", highlight=False)


def print_misses(out: Console, misses: list[dict[str, Any]]) -> None:
    """Prints the near misses; those that differ only in the node are one line with a count.

    Behind the node stand the bytes a row that fusing there would neither write nor read.
    """
    if not misses:
        out.print("near misses: none")
        return
    header = ("near miss", "reason", "at", "bytes/row", "what would make it match")
    _print_groups(out, header, misses, ("rule", "reason", "node", "saves", "hint"), "near misses")


def print_choices(out: Console, choices: list[dict[str, Any]]) -> None:
    """Prints what row operators move as they run, and what they would move the other way."""
    if choices:
        header = ("choice", "at", "bytes/row", "otherwise", "why")
        _print_groups(
            out, header, choices, ("kind", "node", "bytes", "otherwise", "hint"), "choices"
        )


def _print_groups(
    out: Console,
    header: tuple[str, ...],
    items: list[dict[str, Any]],
    keys: tuple[str, ...],
    what: str,
) -> None:
    """Prints the keys of each item; items that differ only in the node are one line."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for item in items:
        same = tuple(str(item[key]) for key in keys if key != "node")
        groups.setdefault(same, []).append(item["node"])
    at = keys.index("node")
    rows = []
    for same, nodes in list(groups.items())[:SHOWN_GROUPS]:
        more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        rows.append((*same[:at], nodes[0] + more, *same[at:]))
    print_rows(out, header, rows)
    if len(groups) > SHOWN_GROUPS:
        out.print(f"and {len(groups) - SHOWN_GROUPS} other {what} (all of them: --json)")


def print_times(out: Console, times: dict[str, Any]) -> None:
    """Prints median times, the ratio with its quartiles, and the share of the floor."""
    lines = []
    for name, t in times.items():
        low, middle, high = t["speedup"]
        medians = [f"{t[f'{form}_ms'][1]:.2f}" for form in ("fused", "unfused")]
        ratio = f"{middle:.3f} ({low:.3f} to {high:.3f})"
        lines.append((f"{name} of {t['tokens']}", *medians, ratio, f"{t['of_floor']:.0%}"))
        rows = t["row_operators_ms"]
        fused, unfused = rows["fused"], rows["unfused"]
        ratio = f"{unfused / fused:.3f}" if fused else ""
        lines.append(("  in row operators", f"{fused:.2f}", f"{unfused:.2f}", ratio, ""))
    print_rows(out, ("milliseconds", "fused", "unfused", "unfused/fused", "of floor"), lines)
    out.print("(of floor: share of the floor measured in this run)")


def print_rows(out: Console, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Prints columns as wide as their longest cell; no line is broken, so that grep finds names."""
    widths = [max(map(cell_len, column)) + GAP for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        out.print("".join(cells).rstrip(), style="dim" if row is header else "")
