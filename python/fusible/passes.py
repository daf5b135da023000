"""Optimizing graphs: pass managers, their results, and why something did not fuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fusible import _core, pipelines
from fusible.formulas import evaluate
from fusible.targets import Target, load_target

if TYPE_CHECKING:
    from fusible.cache import CompileCache
    from fusible.rules import Rule

Choice = _core.Choice
Miss = _core.Miss
Rewrite = _core.Rewrite
# Called behind each pass with its statistics, the graph, and its near misses.
Watch = Callable[[_core.PassStats, _core.Graph, list[Miss]], None]


class Operators(NamedTuple):
    """How many operators run at top level: a region counts as one, a view does not count."""

    before: int
    after: int


class Difference(NamedTuple):
    """A fusion that was made another number of times than expected.

    Attributes:
        name: the fusion.
        expected: how often it should have been made.
        got: how often it was made.
        misses: where it was made too seldom, its near misses and those of row programs.
    """

    name: str
    expected: int
    got: int
    misses: list[Miss]

    def __str__(self) -> str:
        reasons = [f"\n  {miss!r}" for miss in self.misses]
        if self.got < self.expected and not reasons:
            reasons = ["\n  nothing in the graph comes near it"]
        return f"{self.name}: expected {self.expected}, got {self.got}" + "".join(reasons)


class Result:
    """A graph after a pipeline, and what the pipeline did and nearly did."""

    def __init__(
        self, native: _core.OptimizeResult, target: Target, *, cached: bool = False
    ) -> None:
        self._native = native
        self.target = target
        self._cached = cached

    @property
    def cached(self) -> bool:
        """Whether it was found in a cache; ``stats`` are then those of the run that made it."""
        return self._cached

    @property
    def graph(self) -> _core.Graph:
        """The optimized graph."""
        return self._native.graph

    @property
    def operators(self) -> Operators:
        """Operators at top level before and after."""
        return Operators(self._native.before, self._native.after)

    @property
    def fusions(self) -> dict[str, int]:
        """Name of each fused operator or region -> how often it was made; of a rule -> applied."""
        return self._native.fusions

    @property
    def misses(self) -> list[Miss]:
        """What nearly fused: rule, node, reason code, and what would make it match.

        What would save most stands first: ``saves`` counts the bytes that fusing there would
        neither write nor read, with every symbolic size as one, so per row.
        """
        return self._native.misses

    @property
    def choices(self) -> list[Choice]:
        """What row operators that could run together move, and would move the other way.

        ``recompute``: a step that moves memory and computes next to nothing runs in several
        regions, since to write what it gives and to read it back would move more. ``split``:
        scratch has no room for all of them in one region, so that they are several.
        """
        return self._native.choices

    @property
    def rewrites(self) -> list[Rewrite]:
        """Every rewrite in order: its pass, its rule, and the result that it is known by."""
        return self._native.rewrites

    @property
    def stats(self) -> list[_core.PassStats]:
        """Rewrites, milliseconds and nodes of each pass, in order; of a fixpoint, of each round.

        ``looked_at`` counts the nodes that its rules looked at. A pass that took no part has the
        reason in ``left_out``.
        """
        return self._native.stats

    @property
    def key(self) -> _core.Key:
        """The cache key of graph, pipeline, target, and range and fuel where these were given."""
        return self._native.key

    def expect(self, counts: Mapping[str, int | str], **sizes: int) -> Result:
        """Checks how often each fusion was made.

        Args:
            counts: fusion -> count, a number or a formula such as ``"2*L"``.
            sizes: values of the names in the formulas.

        Returns:
            This result, so that calls chain.

        Raises:
            Error: a count differs; the message lists the near misses of that fusion, and
                those of row programs.
            ArgumentError: a count is neither a whole number nor a formula that can be read.
        """
        wrong = self.differences(counts, **sizes)
        if wrong:
            raise _core.Error("\n".join(f"expect: {each}" for each in wrong))
        return self

    def differences(self, counts: Mapping[str, int | str], /, **sizes: int) -> list[Difference]:
        """The fusions of `counts` that were made another number of times; see `expect`.

        Raises:
            ArgumentError: a count is neither a whole number nor a formula that can be read.
        """
        wrong = []
        for name, count in counts.items():
            want = evaluate(count, sizes) if isinstance(count, str) else _whole(name, count)
            got = self.fusions.get(name, 0)
            if got != want:
                near = self.misses if got < want else []
                misses = [miss for miss in near if miss.rule in (name, "rows")]
                wrong.append(Difference(name, want, got, misses))
        return wrong


def _whole(name: str, count: int) -> int:
    if isinstance(count, int) and not isinstance(count, bool):
        return count
    raise _core.ArgumentError(
        f"expect: {name}: expected a whole number or a formula, got {count!r}"
    )


class PassManager:
    """A pipeline of passes for a target; a run is a pure function of graph, target and range.

    A pipeline is text, or a TOML file that holds one (see `fusible.pipelines`)::

        canonicalize,share-common,fuse-ops,drop-dead
        fuse-ops@[1,512],fuse-rows@[513,],drop-dead
        fixpoint(canonicalize,share-common),fuse-ops

    A pass with a range, whose end may be open, takes part in a run whose own range lies inside,
    and in no other: not where the two only overlap, nor where the run is for any size. The passes
    in ``fixpoint(...)`` run in turn until none of them changes the graph.

    Args:
        pipeline: the text, or the path of a file that ends in ``.toml``; ``None`` is the target's
            own.
        target: a target, the name of one, or the path of a TOML file.
        rules: rules of your own (``fusible.rules``), which ``fuse-ops`` applies beside those of
            operators, and ``fuse-rows`` before it gathers rows.

    Raises:
        ArgumentError: an unknown pass or target, a pipeline without a pass, or a file that holds
            none.
        GraphError: a rule that can never apply there: no pass of the pipeline applies rules, the
            target lacks what it finds or puts in place, or another rule takes all that it could;
            rules that undo each other; two of one name.
    """

    def __init__(
        self,
        pipeline: str | Path | None = None,
        target: str | Target = "cpu",
        *,
        rules: Sequence[Rule] = (),
    ) -> None:
        self.target = target if isinstance(target, Target) else load_target(target)
        if isinstance(pipeline, Path) or str(pipeline).endswith(".toml"):
            pipeline = pipelines.read(Path(str(pipeline)))
        if pipeline is not None and (not isinstance(pipeline, str) or not pipeline.strip()):
            raise _core.ArgumentError(f"pipeline: expected names of passes, got {pipeline!r}")
        self._rules = tuple(rules)
        self._native = _core.PassManager(pipeline or "", self.target, _natives(self._rules))

    @property
    def pipeline(self) -> str:
        """The pipeline as text: the same for pipelines that are the same."""
        return self._native.pipeline

    @property
    def passes(self) -> list[str]:
        """Names of the passes, in order, whatever sizes they are for."""
        return self._native.passes

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that were given."""
        return self._rules

    def run(
        self,
        graph: _core.Graph,
        *,
        fuel: int | None = None,
        range: tuple[int, int] | None = None,
        dump: str | Path | None = None,
        reproducer: str | Path | None = None,
        watch: Watch | None = None,
    ) -> Result:
        """The result of the pipeline on `graph`, verified after each pass that changed it.

        Args:
            graph: left as it is.
            fuel: how many rewrites may be made, over all passes; ``None`` is any number. The graph
                is legal after each, and the first rewrites are those that a run without a limit
                makes first. What only follows from a rewrite, such as dropping calls that died of
                it, belongs to it; dropping calls that were dead already is a rewrite of its own.
            range: the least and the greatest size of the token dimension that the result is for,
                both counted in; ``None`` for any size. It decides which passes take part; those
                that do not say so in ``stats``. The result is right for any size all the same:
                nothing compares the range with the graph, or with what it is called with.
            dump: a folder for the graph before and after each pass, and for all patterns.
            reproducer: a folder for a file from which a pass that fails can be run again
                (``fusible replay FILE``). It is written before the passes run and removed behind
                them, so that one that ends the process (a segmentation fault, an abort, a kill
                for want of memory) leaves it too.
            watch: called behind each pass that took part, with its statistics, the graph that it
                left, and its near misses. What it raises ends the run.

        Raises:
            GraphError: the graph is not legal.
            ArgumentError: a fuel that is no whole number from 0, a range that is no such pair, or
                a fixpoint that does not come to rest; the message names the rules that chase
                each other.
            PassError: a pass failed, or left a graph that is not legal: a fault of fusible.
            OSError: a file cannot be written.
        """
        if fuel is not None:
            _check_fuel(fuel)
        sizes = None if range is None else check_range(range)
        if dump is not None:
            from fusible.dump import Dump

            watch = Dump(graph, dump, watch, self._rules)
        if reproducer is not None:
            return self._run_reproducibly(graph, fuel, sizes, watch, reproducer)
        return Result(self._native.run(graph, fuel, sizes, watch), self.target)

    def _run_reproducibly(
        self,
        graph: _core.Graph,
        fuel: int | None,
        sizes: tuple[int, int] | None,
        watch: Watch | None,
        folder: str | Path,
    ) -> Result:
        from fusible.reproducer import Reproducer, kept_in_a_crash, unended

        made = Reproducer(
            str(graph), self.pipeline, self.target, fuel, unended(), range=sizes, rules=self._rules
        )
        with kept_in_a_crash(made, folder):
            try:
                return Result(self._native.run(graph, fuel, sizes, watch), self.target)
            except _core.PassError as error:
                path = replace(made, message=str(error)).write(folder)
                error.args = (f"{error}; run it again: fusible replay {path}",)
                raise

    def key(self, range: tuple[int, int] | None = None) -> _core.Key:
        """The key of build, target, passes and range, without a graph.

        The passes count as the pipeline's text, so with their ranges. The range of a run is a part
        of its own, and counts also where no pass asks for it: what is made for some sizes alone
        is not what is made for any. Keys of equal ranges are equal, so a cache holds one entry
        for each range that its user tells apart. Of rules their structure counts, not how they
        are written.

        Args:
            range: as for ``run``.

        Raises:
            ArgumentError: a range that is no such pair.
        """
        return self._native.key(None if range is None else check_range(range))

    def key_of(self, graph: _core.Graph, range: tuple[int, int] | None = None) -> _core.Key:
        """The key of ``run(graph, range=range)``, without the run."""
        return self._native.key_of(graph, None if range is None else check_range(range))

    def uuid(self, range: tuple[int, int] | None = None) -> str:
        """``key(range)`` as an RFC 9562 UUID, different when a pass would do something else."""
        return self.key(range).uuid


def _natives(rules: Sequence[Rule]) -> list[_core.Rule]:
    if not rules:
        return []
    from fusible.rules import natives

    return natives(rules)


def _check_fuel(fuel: int) -> None:
    if isinstance(fuel, bool) or not isinstance(fuel, int) or not 0 <= fuel < 2**63:
        raise _core.ArgumentError(f"fuel: expected a whole number from 0, got {fuel!r}")


def check_range(sizes: tuple[int, int]) -> tuple[int, int]:
    """The range itself; ArgumentError where it is not the least and the greatest of some sizes."""
    match sizes:
        case (int() as least, int() as greatest) if 0 <= least <= greatest < 2**63:
            return least, greatest
    raise _core.ArgumentError(
        f"range: expected the least and the greatest size, two whole numbers from 0, got {sizes!r}"
    )


def optimize(
    graph: _core.Graph,
    target: str | Target = "cpu",
    pipeline: str | Path | None = None,
    *,
    rules: Sequence[Rule] = (),
    range: tuple[int, int] | None = None,
    cache: str | Path | CompileCache | None = None,
) -> Result:
    """Runs a pipeline on a graph for a target, which this machine need not be.

    Args:
        graph: left as it is.
        target: a target, the name of one, or the path of a TOML file.
        pipeline: as for ``PassManager``; ``None`` is the target's own.
        rules: rules of your own, as for ``PassManager``.
        range: the sizes that the result is for, as for ``PassManager.run``.
        cache: a directory, or a ``CompileCache``, where the result is looked for and kept.

    Raises:
        ArgumentError: an unknown pass or target, a range that is none, or a directory that
            cannot be used.
        GraphError: the graph is not legal, or a rule can never apply.
    """
    manager = PassManager(pipeline, target, rules=rules)
    if cache is None:
        return manager.run(graph, range=range)
    from fusible.cache import open_cache

    return open_cache(cache).run(manager, graph, range)
