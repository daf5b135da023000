"""`fusible explain --diff A B`: why one target fuses less of a graph than another."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    import fusible

_NO_REGIONS = "fuse-rows makes it out of row operators, and {name} has no fuse-rows in its pipeline"
_NOT_NEAR = "nothing in the graph comes near it"


def compare(a: fusible.Result, b: fusible.Result, given: Collection[str] = ()) -> dict[str, Any]:
    """What two targets make of one graph, as plain data; given: names of rules of one's own.

    Fusions stand in order of how many fewer B makes. Each that falls has the near misses of B, or,
    where it has none, the reason why there can be none.
    """
    from fusible.demo.run import miss_report

    names = sorted(a.fusions.keys() | b.fusions, key=lambda name: (_fall(name, b, a), name))
    fusions = []
    for name in names:
        one: dict[str, Any] = {"name": name}
        one["a"], one["b"] = (result.fusions.get(name, 0) for result in (a, b))
        if one["b"] < one["a"]:
            near = [miss for miss in b.misses if miss.rule in (name, "rows")]
            one["misses"] = [miss_report(miss) for miss in near]
            never = _NOT_NEAR if name in given else why_none(name, b.target)
            one["reason"] = "" if near else never
        fusions.append(one)
    sides = {
        side: {"target": result.target.name, "operators": result.operators.after}
        for side, result in (("a", a), ("b", b))
    }
    return {**sides, "before": a.operators.before, "fusions": fusions}


def _fall(name: str, b: fusible.Result, a: fusible.Result) -> int:
    return b.fusions.get(name, 0) - a.fusions.get(name, 0)


def why_none(name: str, target: fusible.Target) -> str:
    """Why a target has not even a near miss of a fusion."""
    from fusible import _core
    from fusible.patterns import judge

    rule = next((rule for rule in _core.rules() if rule.name == name), None)
    if rule is None:
        has_regions = "fuse-rows" in target.pipeline
        return _NOT_NEAR if has_regions else _NO_REGIONS.format(name=target.name)
    verdict = judge(rule, target)
    return _NOT_NEAR if verdict.by else f"{verdict.reason}: {verdict.hint}"


def print_difference(out: Console, name: str, found: dict[str, Any]) -> None:
    """Prints the counts of both sides, then of each fusion that falls what keeps B from it."""
    from fusible.demo.show import print_misses, print_rows

    a, b = found["a"], found["b"]
    after = f"{a['operators']} for {a['target']}, {b['operators']} for {b['target']}"
    out.print(f"{name}: {found['before']} operators before, after {after}")
    rows = [(one["name"], str(one["a"]), str(one["b"])) for one in found["fusions"]]
    if rows:
        print_rows(out, ("fusion", a["target"], b["target"]), rows)
    falls = [one for one in found["fusions"] if "misses" in one]
    for one in falls:
        out.print(f"\n{one['name']}: {one['b']} instead of {one['a']}, since for {b['target']}")
        if one["misses"]:
            print_misses(out, one["misses"])
        else:
            out.print(one["reason"])
    if not falls:
        out.print(f"{b['target']} fuses nothing less often than {a['target']}")
