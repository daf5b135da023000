"""All small graphs of four operators, beside a search that tries every choice of calls."""

import os
from collections.abc import Iterator
from itertools import combinations_with_replacement

import pytest

import fusible
from fusible import _core, rules
from support.brute_force import legal_matches

# Four operators that three fused ones are made of. FUSIBLE_EXHAUSTIVE=1 takes a call more.
MOST = 4 if os.environ.get("FUSIBLE_EXHAUSTIVE") == "1" else 3
OPS = {"add", "rms_norm", "softmax", "per_token_group_quant_fp8"}
RULES = [rule for rule in _core.rules() if {call.op for call in rule.calls} <= OPS]
FIRST, THEN = "share-common,drop-dead", "fuse-ops,share-common,drop-dead"
HEAD = "input x: bf16[T, 128]\ninput r: bf16[T, 128]\nconstant w: bf16[128]\n"


def calls(values: list[str], number: int) -> Iterator[tuple[str, list[str]]]:
    """Every call of these values: its text, and the names of its results."""
    name = f"v{number}"
    for a, b in combinations_with_replacement(values, 2):
        yield f"{name} = add({a}, {b})\n", [name]
    for value in values:
        yield f"{name} = rms_norm({value}, w)\n", [name]
        yield f"{name} = softmax({value})\n", [name]
        yield f"{name}, s{number} = per_token_group_quant_fp8({value})\n", [name, f"s{number}"]


def bodies(values: list[str], left: int, number: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Every sequence of so many calls, and the results of all of them."""
    if left == 0:
        yield "", []
        return
    for text, results in calls(values, number):
        more = [] if len(results) > 1 else results  # codes are no operand of these
        for rest, others in bodies(values + more, left - 1, number + 1):
            yield text + rest, results + others


def graphs(count: int) -> Iterator[fusible.Graph]:
    """Every graph of so many calls, once returning what nobody reads and once everything."""
    for text, results in bodies(["x", "r"], count):
        unread = [name for name in results if f"({name}" not in text and f", {name})" not in text]
        for returned in (unread, results):
            yield fusible.Graph.parse(f"{HEAD}{text}return {', '.join(returned)}\n")
            if unread == results:
                break


def test_the_rules_are_there() -> None:
    assert {rule.name for rule in RULES} == {
        "fused_add_rms_norm",
        "rms_norm_group_quant_fp8",
        "fused_add_rms_norm_group_quant_fp8",
    }


NORM = "(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]"
GIVEN = [
    rules.Rule(
        f"softmax_of_norm{NORM}",
        "n = rms_norm(x, w, eps=eps)\ny = softmax(n)\nreturn y\n",
        'y = opaque(x, w, name="softmax_of_norm", eps=eps)\nreturn y\n',
    ),
    rules.Rule(
        f"two_norms{NORM}",
        "n = rms_norm(x, w, eps=eps)\ny = rms_norm(n, w, eps=eps)\nreturn y\n",
        'y = opaque(x, w, name="two_norms", eps=eps)\nreturn y\n',
    ),
    rules.Rule(
        "softmax_of_sum(x: F[..., C], r: F[..., C]) -> y: F[..., C], sum: F[..., C]",
        "sum = add(x, r)\ny = softmax(sum)\nreturn y, sum\n",
        'y, sum = opaque(x, r, name="softmax_of_sum")\nreturn y, sum\n',
    ),
]


@pytest.mark.parametrize("given", [[], GIVEN], ids=["operators", "given"])
def test_what_could_fuse_has_fused_and_stays_so(given: list[rules.Rule]) -> None:
    first = fusible.PassManager(FIRST, "cuda-sm90")
    then = fusible.PassManager(THEN, "cuda-sm90", rules=given)
    all_rules = RULES + rules.natives(given)
    seen = fused = 0
    for count in range(1, MOST + 1):
        for graph in graphs(count):
            before = first.run(graph).graph
            result = then.run(before)
            left = {rule.name: [*legal_matches(result.graph, rule)] for rule in all_rules}
            assert not any(left.values()), f"{graph}becomes\n{result.graph}left: {left}"
            assert not then.run(result.graph).rewrites, str(graph)
            could = any(True for rule in all_rules for _ in legal_matches(before, rule))
            assert could <= bool(result.fusions), str(graph)
            seen, fused = seen + 1, fused + bool(result.fusions)
    assert 0 < fused < seen
