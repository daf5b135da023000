"""A pass that fails, planted: no pass of fusible does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fusible import _core
from fusible.passes import Watch


def plant(monkeypatch: pytest.MonkeyPatch, at: int, message: str = "fuse-ops: types: y") -> None:
    """Makes every run fail that comes to rewrite number `at`, as a broken pass would."""
    native = _core.PassManager

    class Planted:
        def __init__(
            self, pipeline: str, target: _core.Target, rules: Sequence[_core.Rule] = ()
        ) -> None:
            self._native = native(pipeline, target, rules)
            self.pipeline = self._native.pipeline

        def run(
            self,
            graph: _core.Graph,
            fuel: int | None = None,
            range: tuple[int, int] | None = None,
            watch: Watch | None = None,
        ) -> _core.OptimizeResult:
            whole = self._native.run(graph, fuel, range).rewrites
            done = 0

            def until(stats: _core.PassStats, graph: _core.Graph, misses: list[_core.Miss]) -> None:
                nonlocal done
                done += stats.rewrites
                if done >= at:
                    last = whole[at - 1] if at else _core.Rewrite("canonicalize", "", "")
                    raise fault(last, at, message)
                if watch is not None:
                    watch(stats, graph, misses)

            return self._native.run(graph, fuel, range, until)

    monkeypatch.setattr(_core, "PassManager", Planted)


def fault(last: _core.Rewrite, count: int, message: str) -> _core.PassError:
    """The error of a pass whose last rewrite was this one."""
    error = _core.PassError(message)
    error.pass_name, error.rule, error.node = last.pass_name, last.rule, last.node
    error.rewrites = count
    return error
