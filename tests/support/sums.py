"""Sums over rows as f32 has them: the canonical order, and the sums that leave the range of f32."""

from __future__ import annotations

from typing import Any

import numpy as np


def f32(values: Any) -> Any:
    """Values rounded to f32, still in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values).astype(np.float32).astype(np.float64)


def in_range_of_f32(values: Any) -> Any:
    """Values as they are, but rounded to f32 where its exponents end: infinities and subnormals."""
    rounded = f32(values)
    kept = np.isfinite(rounded) & (np.abs(values) >= np.finfo(np.float32).tiny)
    return np.where(kept, values, rounded)


def tree(values: Any) -> Any:
    """Sum of float32 rows in a binary tree, low bits of the index first; a missing one is zero."""
    while len(values) > 1:
        if len(values) % 2:
            values = np.concatenate([values, np.zeros_like(values[:1])])
        values = values[0::2] + values[1::2]
    return values[0]


def canonical_sum(terms: Any) -> Any:
    """Sum over the first dimension: neighbours, each of 16 pairs over groups of 32, the 16."""
    padded = np.zeros((-(-len(terms) // 32) * 32, *terms.shape[1:]), np.float32)
    padded[: len(terms)] = terms
    pairs = padded[0::2] + padded[1::2]
    return tree(tree(pairs.reshape(-1, 16, *terms.shape[1:])))


def row_sums(terms: Any) -> Any:
    """Sums over the last dimension, which is kept: in float64, but for what f32 can't hold.

    Where the canonical sum is infinite or NaN, which one and whether depends on the order, this is.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        exact = terms.sum(axis=-1, keepdims=True)
        if np.abs(terms).sum() < np.finfo(np.float32).max:
            return exact
        in_f32 = canonical_sum(np.moveaxis(terms, -1, 0).astype(np.float32))[..., None]
        return np.where(np.isfinite(in_f32), exact, in_f32)
