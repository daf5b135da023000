"""A rule that no operator of fusible is, and graphs for it."""

from __future__ import annotations

from typing import Any

import fusible
from fusible import rules

SHARP = "sharp(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]"
FIND = "n = rms_norm(x, w, eps=eps)\ny = softmax(n)\nreturn y\n"
KERNEL = 'y = opaque(x, w, name="my_sharp", eps=eps)\nreturn y\n'
# The same as a file holds it; a condition may follow.
FILE = f"""
[[rules]]
signature = "{SHARP}"
find = '''
{FIND}'''
replace = '''
{KERNEL}'''
"""
HEAD = "input x: bf16[T, 256]\nconstant w: bf16[256]\n"
ONE = "n = rms_norm(x, w, eps=1e-12)\ny = softmax(n)\nreturn y\n"


def sharp(
    find: Any = FIND, replace: Any = KERNEL, signature: str = SHARP, **options: Any
) -> rules.Rule:
    """Puts a kernel which is not ours in place of a norm and a softmax."""
    return rules.Rule(signature, find, replace, **options)


def run(
    body: str, *given: rules.Rule, target: str | fusible.Target = "cuda-sm90", head: str = HEAD
) -> fusible.Result:
    """The result of a graph's body."""
    return fusible.optimize(fusible.Graph.parse(head + body), target, rules=given)


def names(result: fusible.Result) -> list[str]:
    """Of the nodes that are left."""
    return [node.name for node in result.graph.nodes]


def only_miss(result: fusible.Result, rule: str = "sharp") -> fusible.Miss:
    """The one near miss of a rule."""
    (miss,) = [miss for miss in result.misses if miss.rule == rule]
    return miss
