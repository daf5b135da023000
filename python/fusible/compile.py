"""Executable graphs, and where their time goes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusible import _core
from fusible.files import write_whole
from fusible.passes import Result, optimize
from fusible.targets import Target

if TYPE_CHECKING:
    from fusible.cache import CompileCache
    from fusible.rules import Rule

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Step:
    """One operator or region of a profiled call."""

    name: str
    result: str
    start_us: float
    us: float
    bytes: int
    flops: int
    floor_us: float

    @property
    def share_of_floor(self) -> float:
        """Floor time over measured time: 1.0 is as fast as memory allows."""
        return self.floor_us / self.us if self.us > 0 else 0.0


@dataclass(frozen=True)
class Profile:
    """Time, bytes and share of the floor of each step of one call.

    The floor of a step is its bytes at this machine's copy bandwidth, measured in the same run.
    """

    steps: tuple[Step, ...]
    bytes_per_second: float

    @property
    def us(self) -> float:
        """Time of all steps, in microseconds."""
        return sum(step.us for step in self.steps)

    def table(self, limit: int = 30) -> str:
        """The steps by name with their summed times, slowest first, as text."""
        rows: dict[str, list[float]] = {}
        for step in self.steps:
            row = rows.setdefault(step.name, [0, 0.0, 0, 0.0])
            for i, amount in enumerate((1, step.us, step.bytes, step.floor_us)):
                row[i] += amount
        lines = [f"{'step':44} {'calls':>5} {'us':>10} {'share':>6} {'MB':>9} {'of floor':>8}"]
        for name, (calls, us, moved, floor) in sorted(rows.items(), key=lambda r: -r[1][1])[:limit]:
            share, of_floor = us / max(self.us, 1e-9), floor / max(us, 1e-9)
            lines.append(
                f"{name[:44]:44} {calls:5.0f} {us:10.1f} {share:6.1%} {moved / 1e6:9.2f} "
                f"{of_floor:8.0%}"
            )
        return "\n".join(lines)

    def json(self) -> str:
        """All steps as one JSON object."""
        steps = [asdict(step) | {"share_of_floor": step.share_of_floor} for step in self.steps]
        return json.dumps({"bytes_per_second": self.bytes_per_second, "steps": steps})

    def chrome_trace(self, path: str | Path) -> None:
        """Writes the steps for chrome://tracing or Perfetto, all of them or no file."""
        events = [
            {
                "name": step.name,
                "ph": "X",
                "pid": 0,
                "tid": 0,
                "ts": step.start_us,
                "dur": step.us,
                "args": {"result": step.result, "bytes": step.bytes, "flops": step.flops},
            }
            for step in self.steps
        ]
        write_whole(Path(path), json.dumps({"traceEvents": events}))


class Executable:
    """A graph with planned memory: call it with arrays by name.

    Calls from several threads are safe. What holds memory:

    - weights that products multiply by: a packed copy of each, made here and shared by all calls
      (`copied_bytes`). The array itself is let go, where no other operator reads it: unless the
      caller keeps it, its memory is free again, and the pages of a mapped file never come back.
    - packed weights (`fusible.PackedWeight`) and those that no product reads: the caller's memory,
      borrowed for as long as this lives. Executables of one model share it; what is mapped from a
      file stays so.
    - values between operators: an arena for each call that runs at the same time (`arena_bytes`).
      Of more rows than 512, what lies between products holds one block of them at a time.
    """

    def __init__(self, result: Result, weights: Mapping[str, Any]) -> None:
        for name in weights:
            if not isinstance(name, str):
                raise _core.ArgumentError(f"weights: expected names of constants, got {name!r}")
        self._native = _core.Executable(result.graph, dict(weights))
        self._result = result

    @property
    def result(self) -> Result:
        """What the passes made of the graph, did and nearly did."""
        return self._result

    @property
    def graph(self) -> _core.Graph:
        """The graph that runs."""
        return self._native.graph

    @property
    def plans_made(self) -> int:
        """How many plans were made for the sizes seen so far."""
        return self._native.plans_made

    @property
    def copied_bytes(self) -> int:
        """Bytes of weights packed or laid out anew.

        Nothing is packed by a call. One whose sizes are new may lay out a weight that has gaps, for
        an operator that takes none.
        """
        return self._native.copied_bytes

    @property
    def arena_bytes(self) -> int:
        """Bytes of the arena of the last plan."""
        return self._native.arena_bytes

    def __call__(self, /, **inputs: Any) -> Any:
        """Runs the graph.

        Args:
            inputs: an array for each input that is not a constant. One declared as updated may be
                written, where nothing reads its old value later.

        Returns:
            The graph's result, or a tuple of its results in order. The new value of an updated
            input is the very array given, or a fresh one where the old value was still needed.

        Raises:
            ArgumentError: an input is missing or unknown.
            ShapeError, DTypeError: an input does not fit its spec.
            RangeError: an index is out of range; results and updated inputs are then unspecified.
        """
        results = self._native.call(inputs)
        return results[0] if len(results) == 1 else results

    def profile(self, /, **inputs: Any) -> Profile:
        """Runs the graph once as a call does, and times each step."""
        _, steps = self._native.profile(inputs)
        rate = copy_bytes_per_second()
        return Profile(
            tuple(
                Step(s.name, s.result, s.start_us, s.us, s.bytes, s.flops, s.bytes / rate * 1e6)
                for s in steps
            ),
            rate,
        )


def copy_bytes_per_second(megabytes: int = 64, rounds: int = 5) -> float:
    """Bytes read plus written per second by the best of a few copies of fresh-to-cache memory."""
    from time import perf_counter

    source = np.ones(megabytes << 18, np.float32)
    target = np.empty_like(source)
    best = float("inf")
    for _ in range(rounds):
        start = perf_counter()
        np.copyto(target, source)
        best = min(best, perf_counter() - start)
    return 2 * source.nbytes / best


def compile(
    graph: _core.Graph | Result,
    target: str | Target = "cpu",
    weights: Mapping[str, Any] | None = None,
    *,
    pipeline: str | Path | None = None,
    rules: Sequence[Rule] = (),
    range: tuple[int, int] | None = None,
    cache: str | Path | CompileCache | None = None,
) -> Executable:
    """Makes a graph ready to run on this machine.

    Args:
        graph: a graph, which is optimized first, or the result of ``optimize``, which runs as it
            is: then neither target, pipeline, rules, range nor cache counts.
        target: a target whose graphs this CPU runs.
        weights: an array for each ``constant`` input, by name. Those that products multiply by
            are packed here, which takes about as long as to copy them a few times, and no longer
            needed if nothing else reads them; a ``PackedWeight`` in place of the array is used as
            it is. The others are borrowed, not copied: their elements must not change.
        pipeline: as of ``PassManager``; ``None`` is the target's own.
        rules: rules of your own, as of ``PassManager``.
        range: the sizes of the token dimension that it is for, as of ``PassManager.run``: passes
            with a range of their own (``fuse-ops@[1,512]``) take part accordingly, and the key
            holds it. Calls of any size are right all the same.
        cache: a directory, or a ``CompileCache``, where the optimized graph is looked for and
            kept.

    Raises:
        ArgumentError: a weight is missing or unknown, or packed although something else than a
            product reads it, the range is none, or the cache's directory cannot be used.
        UnsupportedError: the graph holds an opaque node.
    """
    if not isinstance(graph, Result):
        graph = optimize(graph, target, pipeline, rules=rules, range=range, cache=cache)
    return Executable(graph, weights or {})
