"""What the pass manager costs on long graphs: time, growth, memory, and what explaining adds.

python -m benchmarks.bench_passes [--json]

A turn parses the text and runs the target's pipeline: the graph is verified before the passes and
behind each that changed it, all built-in rules are tried, and the key is made; once more beside
rules from Python that nearly match everywhere. Lengths take turns in one process; ratios are of the
same turn. Memory is measured in a process of its own, with graph and result held.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

import fusible
from benchmarks.compare import Contender, Ratio, quartiles, ratio, turns
from benchmarks.layered import NODES, layered
from benchmarks.machine import describe
from benchmarks.near_rules import near_rules
from fusible.demo.run import graph_report
from fusible.demo.show import print_graph
from fusible.rules import Rule

TARGETS = "cpu", "cuda-sm90"
MODEL, SERVED, LONG = 80, 100, 1000  # layers
BUDGET = 6.0  # seconds of turns
MOST_MS, MOST_SERVED_MS, MOST_GROWTH, MOST_BYTES, MOST_EXPLAIN = 50.0, 100.0, 1.3, 1024.0, 2.0


@dataclass(frozen=True)
class Figure:
    """What was measured, what it should be at most, and what it is, with quartiles."""

    name: str
    most: float
    got: Ratio
    unit: str

    def __str__(self) -> str:
        got = self.got
        verdict = "" if got.median <= self.most else "  missed"
        value = f"{got.median:.2f} ({got.low:.2f} to {got.high:.2f})"
        return f"{self.name:58}{self.most:8.1f}{value:>32} {self.unit}{verdict}"


class Subject:
    """A graph of so many layers for a target, and rules beside those of operators."""

    def __init__(self, target: str, layers: int, rules: Sequence[Rule] = ()) -> None:
        self.text = layered(layers)
        self.manager = fusible.PassManager(None, target, rules=rules)
        self.nodes = layers * NODES

    def optimize(self) -> fusible.Result:
        """From the text to the optimized graph and its key."""
        return self.manager.run(fusible.Graph.parse(self.text))

    def explain(self) -> str:
        """The same, and the report that `fusible explain` prints."""
        out = io.StringIO()
        result = self.optimize()
        print_graph(Console(file=out, soft_wrap=True), "layers", graph_report(result))
        return out.getvalue() + result.key.explain()


def times(target: str) -> Iterator[Figure]:
    """Milliseconds, growth and the cost of explaining."""
    model, served, long = (Subject(target, layers) for layers in (MODEL, SERVED, LONG))
    given = [*near_rules()]
    near = Subject(target, SERVED, given)
    seconds = turns(
        {
            "model": Contender(model.optimize),
            "served": Contender(served.optimize),
            "long": Contender(long.optimize),
            "explain": Contender(model.explain),
            "near": Contender(near.optimize),
            "explain near": Contender(near.explain),
        },
        BUDGET,
    )
    rules = len(fusible._core.rules())
    for name, subject, count, most in (
        ("model", model, rules, MOST_MS),
        ("served", served, rules, MOST_SERVED_MS),
        ("near", near, rules + len(given), MOST_SERVED_MS),
    ):
        what = f"{target}, {subject.nodes} nodes, {count} rules: text to key"
        yield Figure(what, most, quartiles([1e3 * each for each in seconds[name]]), "ms")
    growth = ratio(
        [each / long.nodes for each in seconds["long"]],
        [each / model.nodes for each in seconds["model"]],
    )
    yield Figure(
        f"{target}, a node of {long.nodes} over one of {model.nodes}", MOST_GROWTH, growth, ""
    )
    for name, under, what in (
        ("explain", "model", "explain over optimize"),
        ("explain near", "near", "the same with rules that nearly match"),
    ):
        explain = ratio(seconds[name], seconds[under])
        yield Figure(f"{target}, {what}", MOST_EXPLAIN, explain, "")


def resident() -> int:
    """Bytes of this process that are in memory, without what is free (Linux, glibc)."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """The most bytes of this process that were in memory since `reset_peak`."""
    status = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def reset_peak() -> None:
    """Begins anew with what is in memory now."""
    Path("/proc/self/clear_refs").write_text("5")


def held_bytes(target: str) -> list[float]:
    """Bytes a node: of the graph, of the result beside it, and the most while it was made."""
    Subject(target, 1).optimize()  # what is made once
    long = Subject(target, LONG)
    start = resident()
    graph = fusible.Graph.parse(long.text)
    parsed = resident()
    reset_peak()
    result = long.manager.run(graph)
    most = peak()
    taken = [each / long.nodes for each in (parsed - start, resident() - parsed, most - parsed)]
    del result
    return taken


def memory(target: str) -> Iterator[Figure]:
    """Bytes a node, of three processes."""
    command = [sys.executable, "-m", "benchmarks.bench_passes", "--memory-of", target]
    runs = [json.loads(subprocess.check_output(command)) for _ in range(3)]
    names = "memory of the graph", "of the result beside it", "the most while that is made"
    for name, bytes_of in zip(names, zip(*runs, strict=True), strict=True):
        what = f"{target}, {name}, a node"
        yield Figure(what, MOST_BYTES, quartiles(bytes_of), "bytes")


def main() -> None:
    """Prints each figure beside what it should be at most."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(json.dumps(held_bytes(arguments.memory_of)))
        return
    figures = [each for target in TARGETS for of in (times, memory) for each in of(target)]
    if arguments.json:
        print(json.dumps({"machine": describe(), "figures": [asdict(each) for each in figures]}))
        return
    print(describe())
    print(f"{'':58}{'at most':>8}{'got, with quartiles':>32}")
    for figure in figures:
        print(figure)


if __name__ == "__main__":
    main()
