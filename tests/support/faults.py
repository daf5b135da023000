"""A pass that fails, planted: no pass of fusible does."""

from __future__ import annotations

import pytest

from fusible import _core


def plant(monkeypatch: pytest.MonkeyPatch, at: int, message: str = "fuse-ops: types: y") -> None:
    """Makes every run fail that comes to rewrite number `at`, as a broken pass would."""
    native = _core.PassManager

    class Planted:
        def __init__(self, pipeline: str, target: _core.Target) -> None:
            self._native = native(pipeline, target)
            self.pipeline = self._native.pipeline

        def run(self, graph: _core.Graph, fuel: int | None = None) -> _core.OptimizeResult:
            result = self._native.run(graph, fuel)
            if len(result.rewrites) >= at:
                last = result.rewrites[at - 1] if at else _core.Rewrite("canonicalize", "", "")
                raise fault(last, at, message)
            return result

    monkeypatch.setattr(_core, "PassManager", Planted)


def fault(last: _core.Rewrite, count: int, message: str) -> _core.PassError:
    """The error of a pass whose last rewrite was this one."""
    error = _core.PassError(message)
    error.pass_name, error.rule, error.node = last.pass_name, last.rule, last.node
    error.rewrites = count
    return error
