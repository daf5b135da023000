"""The gate on this machine: what it says of no change, and of 5 % more, under a load.

    python benchmarks/noop_gate.py --times 50

Kernels are measured by processes that are kept to one core, while a load comes and goes on another:
stretches of a few seconds in which it either computes or streams memory. A kernel is compared with
itself, then with itself called 5 % more often. Exits 1 if more than 2 of 50 comparisons without a
change found a regression, or if none of those with 5 % more did.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep

import numpy as np

from fusible.gate import compare
from fusible.gate.measure import SAMPLES, Command
from fusible.gate.model import Report

CALLS = 500
STRETCH = 3.0  # seconds, on average, that the load is on, and off
ALLOWED = 0.04  # of the comparisons without a change: 2 of 50


def measure(calls: int) -> None:
    """Writes one sample a kernel: milliseconds of that many calls."""
    import fusible
    from fusible import ops

    fusible._core.set_threads(1)
    x = np.random.default_rng(1).standard_normal((64, 4096), np.float32)
    weight = np.ones(4096, np.float32)
    kernels: dict[str, Callable[[], object]] = {
        "rms_norm": lambda: ops.rms_norm(x, weight),
        "silu_and_mul": lambda: ops.silu_and_mul(x),
        "softmax": lambda: ops.softmax(x),
    }
    with Path(os.environ[SAMPLES]).open("w") as file:
        for name, kernel in kernels.items():
            kernel()
            start = perf_counter()
            for _ in range(calls):
                kernel()
            took = (perf_counter() - start) * 1e3
            print(json.dumps({"name": name, "value": took, "unit": "ms"}), file=file)


def load(seed: int) -> None:
    """Comes and goes until it is ended."""
    luck = random.Random(seed)
    source, target = np.ones(1 << 24), np.empty(1 << 24)
    while True:
        until = monotonic() + luck.expovariate(1 / STRETCH)
        streams = luck.random() < 0.5
        while monotonic() < until:
            if streams:
                np.copyto(target, source)
            else:
                sum(range(10_000))
        sleep(luck.expovariate(1 / STRETCH))


def kept_to(core: int, *arguments: str) -> list[str]:
    """This script on one core."""
    return [sys.executable, str(Path(__file__).resolve()), "--core", str(core), *arguments]


@contextmanager
def loaded(core: int) -> Iterator[None]:
    """The load runs on a core meanwhile."""
    with subprocess.Popen(kept_to(core, "--load", "1")) as process:
        try:
            yield
        finally:
            process.kill()


def shown(number: int, report: Report, rounds: int) -> None:
    """One line a comparison."""
    cells = [f"{f.name} {f.ratio - 1:+.1%} ({f.verdict.value})" for f in report.findings]
    print(f"{number:>4} {rounds:>3} rounds  {'  '.join(cells)}", flush=True)


def series(candidate: Command, times: int, rounds: int, core: int) -> Counter[str]:
    """Compares the kernels with a candidate that often; how often each verdict was found."""
    base = Command(tuple(kept_to(core, "--calls", str(CALLS))))
    found: Counter[str] = Counter()
    for number in range(times):
        outcome = compare.compare(base, candidate, budget=rounds, seed=number, warm_up=0)
        shown(number + 1, outcome.report, outcome.rounds)
        found[outcome.report.verdict.value] += 1
    return found


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=50, help="comparisons without a change")
    parser.add_argument("--changed", type=int, default=5, help="comparisons with 5 %% more calls")
    parser.add_argument("--rounds", type=int, default=24, help="the most rounds of each")
    parser.add_argument("--changed-rounds", type=int, default=96, help="with 5 %% more calls")
    for inner in ("--core", "--calls", "--load"):
        parser.add_argument(inner, type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measures, or is one of the processes that are measured."""
    given = options()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    if given.calls or given.load:
        measure(given.calls) if given.calls else load(given.load)
        return 0
    first, *_, last = sorted(os.sched_getaffinity(0))
    same = Command(tuple(kept_to(first, "--calls", str(CALLS))))
    more = Command(tuple(kept_to(first, "--calls", str(CALLS * 105 // 100))))
    with loaded(last):
        print("no change", flush=True)
        alarms = series(same, given.times, given.rounds, first)
        print("5 % more calls", flush=True)
        changed = series(more, given.changed, given.changed_rounds, first)
    print(f"no change: {dict(alarms)}; 5 % more calls: {dict(changed)}")
    return status(alarms, changed, given.times)


def status(alarms: Counter[str], changed: Counter[str], times: int) -> int:
    """The exit status: 1 for too many false alarms, or where 5 % more was never found.

    A gate that finds nothing has no false alarms either.
    """
    blind = bool(changed) and changed["regressed"] == 0
    return int(alarms["regressed"] > ALLOWED * times or blind)


if __name__ == "__main__":
    sys.exit(main())
