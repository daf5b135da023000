"""`fusible explain --perf`: how the products and the attention of a graph run."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import fusible
    from fusible.perf import Work

HEADER = (
    "operator",
    "count",
    "rows",
    "sizes",
    "weight",
    "plan",
    "packed",
    "MB",
    "GFLOP",
    "flop/byte",
)


def read_sizes(items: tuple[str, ...]) -> dict[str, int]:
    """Reads `--size` options. Raises UsageError for what is not SYMBOL=NUMBER, or comes twice."""
    sizes: dict[str, int] = {}
    for item in items:
        name, _, number = item.partition("=")
        if not name or name in sizes or not re.fullmatch(r"[0-9]{1,18}", number):
            raise click.UsageError(f"--size: expected SYMBOL=NUMBER, each once, got {item}")
        sizes[name] = int(number)
    return sizes


def explain_perf(
    name: str, graph: fusible.Graph, target: str, items: tuple[str, ...], as_json: bool
) -> int:
    """Prints the work of each product and attention, equal ones as one line with a count."""
    from fusible import _core
    from fusible.perf import works

    found = works(graph, read_sizes(items), target=target)
    machine = {"isa": _core.chosen_isa()} | _core.matmul_machine() if target == "cpu" else None
    if as_json:
        click.echo(json.dumps({"target": target, "machine": machine, "works": as_data(found)}))
        return 0
    print_works(f"{name} for {target}", machine, found)
    return 0


def as_data(found: list[Work]) -> list[dict[str, Any]]:
    """All of it, for JSON."""
    from dataclasses import asdict

    return [asdict(work) | {"intensity": work.intensity} for work in found]


def print_works(title: str, machine: dict[str, Any] | None, found: list[Work]) -> None:
    """The table, and below it what would be faster and why."""
    from fusible.demo.show import console, print_rows

    out = console()
    out.print(title if machine is None else f"{title}: {machine_line(machine)}")
    groups: dict[tuple[str, ...], list[Work]] = {}
    for work in found:
        groups.setdefault(cells(work), []).append(work)
    rows = [(row[0], str(len(group)), *row[1:]) for row, group in groups.items()]
    print_rows(out, HEADER, rows)
    if any(work.plan == "blocks" for work in found):
        out.print("(attention: as if every key that its table has room for were there)")
    for group in groups.values():
        if group[0].advice:
            more = f" and {len(group) - 1} more" if len(group) > 1 else ""
            out.print(f"{group[0].result}{more}: {group[0].advice}")


def machine_line(machine: dict[str, Any]) -> str:
    """The instruction set and the threads that plans are for."""
    threads = "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    return f"{machine['isa']}, {threads}"


def cells(work: Work) -> tuple[str, ...]:
    """One line of the table but the count."""
    sizes = ", ".join(f"{name}={size}" for name, size in work.dims.items())
    packed = "" if work.packed is None else "yes" if work.packed else "no"
    return (
        work.operator,
        str(work.rows),
        sizes,
        f"{work.weight_dtype} {work.weight_bytes / 1e6:.2f} MB" if work.weight else "",
        work.plan or "-",
        packed,
        f"{work.bytes / 1e6:.2f}",
        f"{work.flops / 1e9:.3f}",
        f"{work.intensity:.1f}",
    )
