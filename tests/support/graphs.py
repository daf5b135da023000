"""Functions of operators run in three ways: call by call, as a graph as it stands, and fused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import fusible
from support.calls import numpy_dtype

Array = np.ndarray[Any, np.dtype[Any]]


def normal(seed: int, shape: tuple[int, ...], dtype: str = "bf16") -> Array:
    """Normally distributed values of a dtype, the same for every call."""
    return np.random.default_rng(seed).standard_normal(shape).astype(numpy_dtype(dtype))


def padded(array: Array, columns: int = 3) -> Array:
    """The same values, a longer way apart from row to row."""
    wide = np.zeros((*array.shape[:-1], array.shape[-1] + columns), array.dtype)
    wide[..., : array.shape[-1]] = array
    return wide[..., : array.shape[-1]]


def bits(array: Array) -> bytes:
    """The bytes of the elements in order, however they lie in memory."""
    return np.ascontiguousarray(array).tobytes()


def packed(value: Any) -> Any:
    """An array without gaps: called alone, an operator wants one; in a graph, steps see to it."""
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value


def as_tuple(results: Any) -> tuple[Array, ...]:
    """What a call returned, as a tuple."""
    return results if isinstance(results, tuple) else (results,)


def unfused(graph: fusible.Graph, weights: Mapping[str, Array] | None = None) -> fusible.Executable:
    """The graph ready to run, one step an operator."""
    return fusible.compile(fusible.optimize(graph, pipeline="drop-dead"), weights=weights)


def check(
    fn: Callable[..., Any], specs: Mapping[str, fusible.Spec], arrays: Mapping[str, Array]
) -> tuple[fusible.Executable, tuple[Array, ...]]:
    """Asserts that `fn` gives the same bits call by call, as a graph, and as a fused graph.

    Inputs declared as updated are given as copies.

    Returns:
        The fused executable, and its results.
    """
    expected = as_tuple(fn(**arrays))
    graph = fusible.trace(fn, **specs)
    weights = {name: arrays[name] for name, spec in specs.items() if spec.constant}
    fused = fusible.compile(graph, weights=weights)
    results: tuple[Array, ...] = ()
    for run in (unfused(graph, weights), fused):
        inputs = {
            name: arrays[name].copy() if spec.updated else arrays[name]
            for name, spec in specs.items()
            if not spec.constant
        }
        results = as_tuple(run(**inputs))
        assert len(results) == len(expected)
        for result, want in zip(results, expected, strict=True):
            assert result.dtype == want.dtype
            assert result.shape == want.shape
            assert bits(result) == bits(want)
    return fused, results
