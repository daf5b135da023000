"""What can fuse: the pattern of each rule as a drawing, and whether a target fuses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from fusible import _core
from fusible.targets import Target


class Verdict(NamedTuple):
    """Whether a rule can ever apply on a target.

    Attributes:
        by: the pass that fuses it there; "" where none can.
        reason: where none can, why, as in a miss.
        hint: where none can, what would change that.
        limits: the values that the target has of some attributes; of others it has all.
    """

    by: str
    reason: str
    hint: str
    limits: dict[str, list[Any]]


def judge(rule: _core.Rule, target: Target) -> Verdict:
    """Whether a rule can apply on a target in its own pipeline, whatever the graph.

    Args:
        rule: a pattern of an operator, or a rule of one's own, which fuse-rows applies too.
        target: what for.
    """
    passes = _core.PassManager("", target).passes
    lack = rule.lack(target)
    appliers = ("fuse-ops", "fuse-rows") if rule.given else ("fuse-ops",)
    by = next((name for name in passes if name in appliers), "")
    if by and lack is None:
        return Verdict(by, "", "", rule.limits(target))
    if "fuse-rows" in passes and rule.is_rows() and not rule.given:
        return Verdict("fuse-rows", "", "", {})
    if by and lack is not None:
        return Verdict("", *lack, {})
    if "fuse-rows" in passes:
        hint = f"add fuse-ops to the pipeline of {target.name}: not all of it is row operators"
        return Verdict("", "not_rows", hint, {})
    hint = f"add fuse-ops or fuse-rows to the pipeline of {target.name}: {target.pipeline}"
    return Verdict("", "no_pass", hint, {})


def draw(rule: _core.Rule) -> str:
    """A rule's calls as a tree, the last call first, what each reads below it.

    Behind an arrow stand the results of the fused operator.
    """
    return "\n".join(_Drawing(rule).lines())


class _Drawing:
    """A call that several others read is drawn once, with a number, and named by it elsewhere."""

    def __init__(self, rule: _core.Rule) -> None:
        self.rule = rule
        self.calls = rule.calls
        read = [value for call in self.calls for value in call.operands if value >= 0]
        makers = [rule.makers[value] for value in read if rule.makers[value] >= 0]
        shared = [call for call in range(len(self.calls)) if makers.count(call) > 1]
        self.numbers = {call: number for number, call in enumerate(shared, 1)}
        self.drawn: set[int] = set()

    def lines(self) -> Iterator[str]:
        """The drawing."""
        root = len(self.calls) - 1
        yield self._call(root)
        yield from self._below(root, "")

    def _below(self, call: int, indent: str) -> Iterator[str]:
        operands = self.calls[call].operands
        for place, value in enumerate(operands):
            last = place == len(operands) - 1
            yield f"{indent}{'└─ ' if last else '├─ '}{self._operand(value)}"
            maker = self.rule.makers[value] if value >= 0 else -1
            if maker >= 0 and maker not in self.drawn:
                self.drawn.add(maker)
                yield from self._below(maker, indent + ("   " if last else "│  "))

    def _operand(self, value: int) -> str:
        if value < 0:
            return "none"
        name, maker = self.rule.values[value], self.rule.makers[value]
        if maker < 0:
            return name
        which = f"{name} of " if len(self.calls[maker].results) > 1 else ""
        if maker in self.drawn:
            return f"{which}#{self.numbers[maker]}"
        return which + self._call(maker)

    def _call(self, number: int) -> str:
        call = self.calls[number]
        attrs = [name if name == text else f"{name}={text}" for name, text in call.attrs]
        given = [self.rule.values[v] for v in call.results if v in self.rule.outputs]
        mark = f"#{self.numbers[number]} " if number in self.numbers else ""
        arrow = f" -> {', '.join(given)}" if given else ""
        order = "  (operands in either order)" if call.commutes else ""
        return f"{mark}{call.op}({', '.join(attrs)}){arrow}{order}"
