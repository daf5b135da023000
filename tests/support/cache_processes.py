"""Processes that compile the same and different graphs into one cache while some are killed.

    python -m support.cache_processes DIRECTORY ROUNDS SEED

It forks, so it is a process of its own, without threads. It prints what happened as JSON; where a
process got another answer than a run without a cache, it says so and fails.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fusible
from support.graphs import as_tuple

PROCESSES, KILLED = 8, 3
COMPILATIONS = 6  # more than there are graphs, so that some are compiled again
MOMENT = 0.03  # seconds in which the killing begins
LIMITS = (1 << 20, 3000)  # bytes: no entry goes, or nearly every one does
GRAPHS = [
    f"""\
input x: f32[T, {width}]
input residual: f32[T, {width}]
constant w: f32[{width}]
h.{width} = add(x, residual)
y = rms_norm(h.{width}, w)
z = softmax(y)
return z, h.{width}
"""
    for width in (16, 32, 48, 64)
]


def answer(exe: fusible.Executable) -> tuple[Any, ...]:
    """All that a compilation gives: the graph, what is said of it, and what it computes."""
    result = exe.result
    said = (str(result.graph), result.key.uuid, result.operators, result.fusions)
    width = int(str(result.graph).split("f32[T, ")[1].split("]")[0])
    arrays = np.random.default_rng(width).standard_normal((2, 3, width)).astype(np.float32)
    results = as_tuple(exe(x=arrays[0], residual=arrays[1]))
    return (*said, repr(result.misses), *(array.tobytes() for array in results))


def compiled(number: int, cache: fusible.CompileCache | None) -> fusible.Executable:
    """One of the graphs, ready to run."""
    graph = fusible.Graph.parse(GRAPHS[number])
    (weight,) = (value for value in graph.inputs if value.kind == "constant")
    return fusible.compile(graph, weights={"w": np.ones(weight.shape, np.float32)}, cache=cache)


class Storm:
    """Rounds of processes on one cache."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.chance = random.Random(seed)
        self.expected = [answer(compiled(i, None)) for i in range(len(GRAPHS))]
        self.hits = mmap.mmap(-1, PROCESSES)  # shared by all: how often each found an entry
        self.found = self.killed = self.damaged = 0

    def round(self, number: int) -> None:
        """Eight processes, of which three go on until they are killed at some moment."""
        cache = fusible.CompileCache(self.directory, LIMITS[number % len(LIMITS)])
        self.hits[:] = bytes(PROCESSES)
        pids = [self._fork(lambda i=i: self._work(cache, i)) for i in range(PROCESSES)]
        time.sleep(self.chance.uniform(0, MOMENT))
        self._damage()
        for pid in pids[:KILLED]:
            os.kill(pid, signal.SIGKILL)
        ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        if ends != [-signal.SIGKILL] * KILLED + [0] * (PROCESSES - KILLED):
            raise SystemExit(f"round {number}: processes ended with {ends}")
        self.killed += KILLED
        self.found += sum(self.hits[:])

    def _fork(self, work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work()
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        return pid

    def _work(self, cache: fusible.CompileCache, process: int) -> None:
        warnings.simplefilter("error")  # nothing here is a reason not to store
        chance = random.Random(self.chance.random() + process)
        done = 0
        while process < KILLED or done < COMPILATIONS:
            number = chance.randrange(len(GRAPHS))
            exe = compiled(number, cache)
            if answer(exe) != self.expected[number]:
                raise AssertionError(f"graph {number}: another answer, cached {exe.result.cached}")
            self.hits[process] = min(255, self.hits[process] + exe.result.cached)
            done += 1

    def _damage(self) -> None:
        """Cuts one entry off, as a full disk or a crash of the machine might."""
        entries = sorted(self.directory.glob("*.json"))
        if entries:
            path = self.chance.choice(entries)
            try:
                os.truncate(path, self.chance.randrange(path.stat().st_size))
                self.damaged += 1
            except FileNotFoundError:
                pass  # it has just gone


def storm(directory: Path, rounds: int, seed: int = 1) -> dict[str, int]:
    """Runs rounds in a process without threads, and returns what happened in them."""
    arguments = [str(directory), str(rounds), str(seed)]
    done = subprocess.run(
        [sys.executable, "-m", "support.cache_processes", *arguments],
        env=os.environ | {"FUSIBLE_THREADS": "1", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, int] = json.loads(done.stdout)
    return told


def main() -> None:
    directory, rounds, seed = sys.argv[1:]
    all_rounds = Storm(Path(directory), int(seed))
    for number in range(int(rounds)):
        all_rounds.round(number)
    told = {name: getattr(all_rounds, name) for name in ("found", "killed", "damaged")}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
