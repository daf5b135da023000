"""The first rewrite of a pipeline that breaks a check, found by halving the fuel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fusible import _core
from fusible.passes import PassManager, Result, Rewrite
from fusible.targets import Target

if TYPE_CHECKING:
    from fusible.rules import Rule

# True for a graph that is well, False for one that is not, None where that cannot be told.
Check = Callable[[_core.Graph], bool | None]


@dataclass(frozen=True)
class Bisection:
    """What breaks a check.

    Attributes:
        rewrites: how many rewrites the whole run makes, or made before it failed.
        suspects: the rewrite that breaks the check; several where the check could not tell of the
            graphs between them; none where the graph is well after all of them.
        number: of the first suspect among all rewrites, from 1; 0 for none, and for a pass that
            fails before any.
        before: the graph before the suspects, or after all rewrites where there is none.
        after: the graph behind them; None where the pass failed and left none.
        fault: how the pass failed; empty where it did not.
    """

    rewrites: int
    suspects: tuple[Rewrite, ...]
    number: int
    before: _core.Graph
    after: _core.Graph | None
    fault: str = ""

    def diff(self) -> str:
        """The change of the graph's text, as a unified diff; empty where there is none."""
        after = "" if self.after is None else str(self.after)
        lines = unified_diff(
            str(self.before).splitlines(), after.splitlines(), "before", "after", lineterm=""
        )
        return "" if self.after is None else "".join(f"{line}\n" for line in lines)


def bisect(
    graph: _core.Graph,
    check: Check,
    target: str | Target = "cpu",
    pipeline: str | Path | None = None,
    *,
    rules: Sequence[Rule] = (),
    range: tuple[int, int] | None = None,
) -> Bisection:
    """Finds the first rewrite behind which a graph does not pass a check.

    A pass that fails, or leaves a graph which the verifier refuses, breaks every check.

    Args:
        graph: passes the check as it is.
        check: called with graphs; see `fusible.checks` for those that come with fusible.
        target: a target, the name of one, or the path of a TOML file.
        pipeline: as for ``PassManager``; ``None`` is the target's own.
        rules: rules of your own, as for ``PassManager``.
        range: the sizes that the result is for, as for ``PassManager.run``.

    Raises:
        ArgumentError: the check fails, or cannot tell, before the first rewrite; or it cannot tell
            of the graph behind the last.
    """
    run = partial(PassManager(pipeline, target, rules=rules).run, graph, range=range)
    return _Search(graph, check, run).run()


class _Search:
    def __init__(self, graph: _core.Graph, check: Check, run: Callable[..., Result]) -> None:
        self._graph = graph
        self._check = check
        self._run = run

    def run(self) -> Bisection:
        whole = self._after(None)
        count = whole.rewrites if isinstance(whole, _core.PassError) else len(whole.rewrites)
        if (verdict := self._check(self._graph)) is not True:
            got = "cannot tell" if verdict is None else "fails"
            raise _core.ArgumentError(
                f"check: expected it to pass before the first rewrite, it {got}"
            )
        if isinstance(start := self._after(0), _core.PassError):
            return Bisection(count, (_last(start),), 0, self._graph, None, str(start))
        if isinstance(whole, _core.PassError):
            return self._between(count, *self._narrow(count))
        if (verdict := self._check(whole.graph)) is None:
            raise _core.ArgumentError("check: expected a verdict behind the last rewrite, got none")
        if verdict:
            return Bisection(count, (), 0, whole.graph, None)
        return self._between(count, *self._narrow(count))

    def _after(self, fuel: int | None) -> Result | _core.PassError:
        """What the first `fuel` rewrites make of the graph, or how they fail."""
        try:
            return self._run(fuel=fuel)
        except _core.PassError as error:
            return error

    def _verdict(self, fuel: int) -> bool | None:
        outcome = self._after(fuel)
        return False if isinstance(outcome, _core.PassError) else self._check(outcome.graph)

    def _narrow(self, count: int) -> tuple[int, int]:
        """The last number of rewrites known to be good, and the first known to be bad."""
        good, bad = 0, count
        untold: set[int] = set()
        while open_ := [fuel for fuel in range(good + 1, bad) if fuel not in untold]:
            fuel = open_[len(open_) // 2]
            match self._verdict(fuel):
                case None:
                    untold.add(fuel)
                case True:
                    good = fuel
                case _:
                    bad = fuel
        return good, bad

    def _between(self, count: int, good: int, bad: int) -> Bisection:
        before = self._run(fuel=good).graph
        after = self._after(bad)
        if isinstance(after, _core.PassError):
            return Bisection(count, (_last(after),), bad, before, None, str(after))
        return Bisection(count, tuple(after.rewrites[good:bad]), good + 1, before, after.graph)


def _last(fault: _core.PassError) -> Rewrite:
    return Rewrite(fault.pass_name, fault.rule, fault.node)
