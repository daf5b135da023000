"""Random legal graphs, others with the same meaning, and what their meaning is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from typing import Any

from hypothesis import strategies as st

import fusible

VIEWS = (
    "reshape({a}, shape=[2, -1, 256])",
    "reshape({a}, shape=[0, 2, 128])",
    "reshape({a}, shape=[3, -1, 256])",
)
BACK = "reshape({a}, shape=[-1, 256])"


@st.composite
def graphs(draw: st.DrawFn) -> str:
    """A graph over rows of 256 bf16, in which any value may be read and returned again."""
    lines = [
        "input x: bf16[6*T, 256]",
        "updated r: bf16[6*T, 256]",
        "constant w: bf16[256]",
        "constant scale: f32[1]",
    ]
    values, results = ["x", "r"], []
    for i in range(draw(st.integers(1, 9))):
        a, b = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        kind = draw(st.integers(0, 8))
        if kind <= 1:
            lines.append(f"v{i} = add({a}, {b})")
        elif kind <= 3:
            lines.append(f"v{i} = rms_norm({a}, w, eps={draw(st.sampled_from(['1e-06', '0.1']))})")
        elif kind == 4:
            lines += [f"u{i} = {draw(st.sampled_from(VIEWS)).format(a=a)}"]
            lines += [f"n{i} = softmax(u{i})", f"v{i} = {BACK.format(a=f'n{i}')}"]
        elif kind == 5:
            lines.append(f"v{i}, m{i} = fused_add_rms_norm({a}, {b}, w)")
            values.append(f"m{i}")
        else:
            source = a
            if draw(st.booleans()):
                lines.append(f"u{i} = {draw(st.sampled_from(VIEWS)).format(a=a)}")
                source = f"u{i}"
            size = draw(st.sampled_from([64, 128]))
            call = f"per_token_group_quant_fp8({source}, group_size={size})"
            if kind == 6:
                lines.append(f"q{i} = static_quant_fp8({source}, scale)")
            else:
                lines.append(f"q{i}, s{i} = {call}")
                results.append(f"s{i}")
            results.append(f"q{i}")
            continue
        values.append(f"v{i}")
    made = st.sampled_from(values[2:] + results)
    returned = draw(st.lists(made, min_size=1, unique=True))
    rows = [i for i, name in enumerate(returned) if name in values]
    if rows:  # any of them may be said to be the new value
        returned[draw(st.sampled_from(rows))] += " -> r"
    return "\n".join([*lines, f"return {', '.join(returned)}", ""])


NAME = re.compile(r"\b(x|r|w|scale|[vunmqs]\d+|T)\b(?!=)")


@st.composite
def isomorphic(draw: st.DrawFn, text: str) -> str:
    """The same graph under other names, its nodes and symmetric operands in another order."""
    inputs, nodes, last = parts_of(text)
    ordered: list[str] = []
    known = {line.split()[1].rstrip(":") for line in inputs}
    while nodes:
        ready = [line for line in nodes if reads(line) <= known]
        line = draw(st.sampled_from(ready))
        nodes.remove(line)
        known |= makes(line)
        if draw(st.booleans()):
            line = re.sub(r"\badd\((\w+), (\w+)\)", r"add(\2, \1)", line)
        ordered.append(line)
    suffix = draw(st.sampled_from(["", "_1", ".b", "x"]))
    text = "\n".join([*inputs, *ordered, last, ""])
    return NAME.sub(lambda match: f"{match[0]}{'' if match[0] == 'T' else suffix}", text)


def parts_of(text: str) -> tuple[list[str], list[str], str]:
    """The lines of the inputs, those of the nodes, and that of the results."""
    lines = text.splitlines()
    count = sum(line.startswith(("input ", "constant ", "updated ")) for line in lines)
    return lines[:count], lines[count:-1], lines[-1]


def makes(line: str) -> set[str]:
    """The values that a node's line makes."""
    return set(line.partition(" = ")[0].split(", "))


def reads(line: str) -> set[str]:
    """The values that a node's line reads."""
    return set(NAME.findall(line.partition(" = ")[2]))


class Meanings:
    """What graphs without regions mean, told without the keys: equal ones get equal numbers.

    Two nodes are the same where they call the same operator with the same attributes on the same
    operands; symmetric operands have no order. What no result needs does not count.
    """

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of(self, graph: fusible.Graph) -> int:
        """The number of a graph's meaning."""
        symbols: dict[str, str] = {}
        made = {value.name: self._number("input", i) for i, value in enumerate(graph.inputs)}
        for node in graph.nodes:
            number = self._node(node, made)
            made |= {name: self._number(number, r) for r, name in enumerate(node.outputs)}
        return self._number(
            tuple((v.kind, v.dtype, _shape(v.shape, symbols)) for v in graph.inputs),
            tuple(made[value.name] for value in graph.outputs),
            frozenset(Counter(self._node(n, made) for n in live_nodes(graph)).items()),
            tuple("->" in result for result in str(graph).splitlines()[-1].split(", ")),
        )

    def _node(self, node: Any, made: dict[str, int]) -> int:
        operands = [made[name] if name is not None else -1 for name in node.inputs]
        if node.name in ("add", "mul"):
            operands.sort()
        attrs = tuple(sorted((name, repr(value)) for name, value in node.attrs.items()))
        return self._number(node.name, attrs, tuple(operands))

    def _number(self, *of: Hashable) -> int:
        return self._numbers.setdefault(of, len(self._numbers))


def live_nodes(graph: fusible.Graph) -> list[Any]:
    """The nodes that some result needs."""
    needed = {value.name for value in graph.outputs}
    live = []
    for node in reversed(graph.nodes):
        if needed & set(node.outputs):
            needed |= {name for name in node.inputs if name is not None}
            live.append(node)
    return live


def _shape(shape: tuple[int | str, ...], symbols: dict[str, str]) -> tuple[str, ...]:
    """Sizes as text, symbols by the order in which they are met."""
    return tuple(
        re.sub(r"[A-Za-z_]\w*", lambda m: symbols.setdefault(m[0], f"s{len(symbols)}"), str(size))
        for size in shape
    )


ROWS = re.compile(r"\b(x|r|[vm]\d+)\b(?!=)")  # values that are rows of 256


@st.composite
def mutating(draw: st.DrawFn) -> str:
    """A graph with opaque nodes between its calls, some of which mutate, and readers of both."""
    inputs, nodes, last = parts_of(draw(graphs()))
    lines, rows = list(inputs), ["x", "r"]
    behind: dict[str, list[str]] = {}  # of a value, what opaque nodes made of it
    for number, line in enumerate(nodes):
        made, _, call = line.partition(" = ")
        read = ROWS.sub(
            lambda name: draw(st.sampled_from([name[0], *behind.get(name[0], [])])), call
        )
        lines.append(f"{made} = {read}")
        rows += [name for name in made.split(", ") if ROWS.fullmatch(name)]
        mutates = draw(st.sampled_from([None, False, True, True]))
        if mutates is None:
            continue
        source = draw(st.sampled_from(rows))
        name = f"{'writes' if mutates else 'reads'}{number}"
        node = f'opaque({source}, name="{name}"{", mutates=true" if mutates else ""})'
        if draw(st.booleans()):
            behind.setdefault(source, []).append(f"o{number}")
            node = f"o{number}: bf16[6*T, 256] = {node}"
        lines.append(node)
    returned = [name for names in behind.values() for name in names]
    return "\n".join([*lines, ", ".join([last, *returned]), ""])
