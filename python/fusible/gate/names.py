"""How the flat name of a metric, as samples and verdicts have it, says where it stands.

`SCENARIO#METRIC`, `SCENARIO#stages_ms/STAGE`, `SCENARIO#denoise_step_ms/STEP`; a name without `#`
is a scenario whose one metric is called `value`. The last `#` counts, so that any text may name a
scenario, ids of pytest too. A stage inside a stage is `OUTER/INNER`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fusible.gate.model import GateError

ONLY = "value"  # the metric of a scenario that has one
GROUPS = ("stages_ms", "denoise_step_ms")


# What a line of a log may not hold: a name with a newline could say `::error::` to a CI.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Place(NamedTuple):
    """Where a metric stands: its scenario, the group in it ("metrics" or of GROUPS), its key."""

    scenario: str
    group: str
    key: str


def place(name: str) -> Place:
    """The place that a flat name means."""
    scenario, mark, rest = name.rpartition("#")
    if not (scenario and mark and rest):
        return Place(name, "metrics", ONLY)
    group, slash, key = rest.partition("/")
    if slash and key and group in GROUPS and (group == "stages_ms" or key.isdecimal()):
        return Place(scenario, group, key)
    return Place(scenario, "metrics", rest)


def flat(where: Place) -> str:
    """The flat name of a place."""
    if where.group != "metrics":
        return f"{where.scenario}#{where.group}/{where.key}"
    return where.scenario if where.key == ONLY else f"{where.scenario}#{where.key}"


def settled(name: str, where: str = "name") -> str:
    """The one spelling of a name: `x#value` is `x`.

    Raises:
        GateError: a control character is in it; `where` names its place.
    """
    try:
        return flat(place(one_line(name)))
    except GateError as error:
        raise GateError(f"{where}: {error}") from None


def one_line(name: str) -> str:
    """The name; GateError if it holds a control character."""
    if _CONTROL.search(name):
        raise GateError(f"expected a name without control characters, got {name!r:.80}")
    return name


def visible(text: str) -> str:
    """Text of one line, its control characters as they are escaped in Python."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
