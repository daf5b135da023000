"""Printing: what the demonstration finds as tables, its progress as lines on the error stream."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from fusible.demo.run import Listener
from fusible.demo.subject import Subject

SHOWN_MISSES = 12  # distinct ones; the report of --json has all


class Progress(Listener):
    """Says on the error stream what is being done, and since when."""

    def __init__(self) -> None:
        self.start = perf_counter()
        self.errors = Console(stderr=True, highlight=False)

    def stage(self, text: str) -> None:
        """Prints seconds since the start, and the part that begins."""
        self.errors.print(f"[dim]{perf_counter() - self.start:6.1f} s  {text}[/dim]")


class Printer(Progress):
    """Prints everything for a reader."""

    def __init__(self) -> None:
        super().__init__()
        self.out = Console(highlight=False)

    def subject(self, subject: Subject, target: str) -> None:
        """Prints the model, where its weights come from, and the target."""
        self.out.print(f"[bold]{subject.name}[/bold] for target [bold]{target}[/bold]")
        self.out.print(f"weights: {subject.note}", soft_wrap=True)

    def graph(self, name: str, report: dict[str, Any], same: bool) -> None:
        """Prints what fused, what did not, whether the bits are the same, and the times."""
        print_graph(self.out, name, report)
        print_times(self.out, report["times"])
        self.out.print(f"same bits: [bold]{'yes' if same else 'NO'}[/bold]")

    def perplexity(self, values: dict[str, float]) -> None:
        """Prints the perplexity of the bundled text in each form."""
        shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        self.out.print(f"\nperplexity of the bundled text: {shown}")
        self.out.print("(bf16 is the unfused graph, fused the same after fusing)\n")

    def piece(self, text: str) -> None:
        """Prints a piece of the completion at once."""
        self.out.print(text, end="", markup=False, soft_wrap=True)
        self.out.file.flush()

    def written(self, tokens: int, seconds: float) -> None:
        """Prints how fast it was."""
        rate = tokens / seconds
        self.out.print(f"\n\n{tokens} tokens in {seconds:.2f} s: {rate:.1f} tokens/s")


def print_graph(console: Console, name: str, report: dict[str, Any]) -> None:
    """Prints a G: operators before and after, fusions with counts, near misses, the key."""
    operators = report["operators"]
    console.print(
        f"\n[bold]{name}[/bold]: {operators['before']} operators before,"
        f" {operators['after']} after; key {report['key']}"
    )
    if report["fusions"]:
        table = _table("fused", "count")
        for fusion, count in report["fusions"].items():
            table.add_row(fusion, str(count))
        console.print(table)
    print_misses(console, report["misses"])


def print_misses(console: Console, misses: list[dict[str, str]]) -> None:
    """Prints the near misses; those that differ only in the node are one line with a count."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for miss in misses:
        groups.setdefault((miss["rule"], miss["reason"], miss["hint"]), []).append(miss["node"])
    if not groups:
        console.print("near misses: none")
        return
    table = _table("near miss", "reason", "at", "what would make it match")
    for (rule, reason, hint), nodes in list(groups.items())[:SHOWN_MISSES]:
        more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        table.add_row(rule, reason, nodes[0] + more, hint)
    console.print(table)
    if len(groups) > SHOWN_MISSES:
        console.print(f"and {len(groups) - SHOWN_MISSES} other near misses (all of them: --json)")


def print_times(console: Console, times: dict[str, Any]) -> None:
    """Prints median times, the ratio with its quartiles, and the share of the floor."""
    table = _table("milliseconds", "fused", "unfused", "unfused/fused", "of floor")
    for name, t in times.items():
        low, middle, high = t["speedup"]
        table.add_row(
            f"{name} of {t['tokens']}",
            f"{t['fused_ms'][1]:.2f}",
            f"{t['unfused_ms'][1]:.2f}",
            f"{middle:.3f} ({low:.3f} to {high:.3f})",
            f"{t['of_floor']:.0%}",
        )
        rows = t["row_operators_ms"]
        fused, unfused = rows["fused"], rows["unfused"]
        ratio = f"{unfused / fused:.3f}" if fused else ""
        table.add_row("  in row operators", f"{fused:.2f}", f"{unfused:.2f}", ratio, "")
    console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
