"""Samples that one process of a test hands to the next: a re-measurement by `fusible suite`.

A test that failed by its measurements alone runs once more, in a fresh process, and what it
measures is decided together with what it measured before: no sample is dropped, no try is better.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fusible.gate.model import Better, Series

# Where the suite says that there are some: a JSON list of what `dump` wrote.
VARIABLE = "FUSIBLE_SUITE_MEASURED"


def dump(measured: Iterable[Series]) -> str:
    """Series as JSON of one line."""
    return json.dumps(
        {
            one.name: {
                "values": one.values,
                "unit": one.unit,
                "better": one.better.value,
                "rounds": one.rounds,
            }
            for one in measured
        }
    )


def load(environment: Mapping[str, str]) -> dict[str, Series]:
    """What an earlier process measured, by name; nothing where there was none."""
    path = environment.get(VARIABLE)
    if not path:
        return {}
    texts = json.loads(Path(path).read_text(encoding="utf-8"))
    # Of two failures of a test the later one has all that the first had.
    return {name: _series(name, held) for text in texts for name, held in json.loads(text).items()}


def _series(name: str, held: Mapping[str, Any]) -> Series:
    rounds = None if held["rounds"] is None else tuple(held["rounds"])
    return Series(name, tuple(held["values"]), held["unit"], Better(held["better"]), rounds)
