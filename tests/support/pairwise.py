"""Pairwise covering: few rows of a product that have every pair of values of two factors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Pair = tuple[tuple[str, Any], tuple[str, Any]]


def pairs_of(row: Row, names: Sequence[str]) -> Iterator[Pair]:
    """The pairs of values in a row that may lack factors, in the order of the names."""
    return itertools.combinations([(name, row[name]) for name in names if name in row], 2)


def pairwise(
    factors: Mapping[str, Sequence[Any]], legal: Callable[[Row], bool] = lambda row: True
) -> list[Row]:
    """Rows that have every legal pair, found greedily; the same for every call.

    Each begins with the first pair that is missing, and takes, factor by factor, the value that
    brings most missing pairs: of equally good ones another first one in each row. `legal` judges
    rows that may lack factors; one with few of them must have a legal row around it.
    """
    names = list(factors)
    values = [[(name, value) for value in factors[name]] for name in names]
    missing = {
        pair: None
        for two in itertools.combinations(values, 2)
        for pair in itertools.product(*two)
        if legal(dict(pair))
    }
    rows: list[Row] = []
    while missing:
        row = dict(next(iter(missing)))
        for name in names:
            if name in row:
                continue
            turn = len(rows) % len(factors[name])
            turned = [*factors[name][turn:], *factors[name][:turn]]
            tried = [{**row, name: value} for value in turned]
            row = max(
                filter(legal, tried),
                key=lambda longer: sum(pair in missing for pair in pairs_of(longer, names)),
            )
        for pair in pairs_of(row, names):
            missing.pop(pair, None)
        rows.append({name: row[name] for name in names})
    return rows
