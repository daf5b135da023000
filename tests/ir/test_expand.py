"""What fused operators equal: their bodies as graphs of smaller operators."""

from __future__ import annotations

import re
from typing import Any

import pytest

import fusible
from fusible import _core
from support.calls import dtype_of, size_of

# Those with a kernel of their own stay as they are (latent_attention).
FUSED = [name for name in _core.op_names() if _core.find_op(name).describe()["kind"] == "equals"]
PIPELINE = "fuse-rows"


def operand_text(operand: dict[str, Any], attrs: dict[str, Any]) -> str:
    """An input line for an operand of a fused operator, with rows numbered by T."""
    sizes = [str(size_of(dim, attrs)) for dim in operand["dims"]]
    dims = ", ".join((["T"] if operand["leading"] else []) + sizes)
    return f"input {operand['name']}: {dtype_of(operand, attrs)}[{dims}]"


def call_of(name: str) -> fusible.Graph:
    """A graph of one call of the operator with all its operands."""
    about = _core.find_op(name).describe()
    attrs = {attr["name"]: attr["default"] for attr in about["attrs"]}
    given = ", group_size=32" if "group_size" in attrs else ""  # divides every size
    attrs |= {"group_size": 32}
    operands = ", ".join(operand["name"] for operand in about["params"])
    results = ", ".join(f"{result['name']}_" for result in about["results"])
    lines = [operand_text(operand, attrs) for operand in about["params"]]
    lines += [f"{results} = {name}({operands}{given})", f"return {results}"]
    return fusible.Graph.parse("\n".join(lines) + "\n")


def operators(graph: fusible.Graph) -> list[str]:
    """Names of all calls, those in regions too."""
    inside = [node.body.nodes if node.body else [node] for node in graph.nodes]
    return [node.name for nodes in inside for node in nodes]


def parts_of(name: str) -> list[str]:
    """The operators of an Equals body, those that equal something taken apart in their turn."""
    calls = re.findall(r"= *(\w+)\(", _core.find_op(name).describe()["equals"])
    return [part for call in calls for part in (parts_of(call) if call in FUSED else [call])]


@pytest.mark.parametrize("name", FUSED)
def test_a_rule_matches_its_own_body_pytorch_119760(name: str) -> None:
    """A pattern did not match the graph of the very function that it was traced from."""
    apart = fusible.PassManager("lower-fused").run(call_of(name)).graph
    assert name not in operators(apart)
    every = fusible.Target(name="every", pipeline="fuse-ops", all_operators=True)
    assert operators(fusible.optimize(apart, every).graph) == [name]


def test_there_are_fused_operators() -> None:
    assert "fused_add_rms_norm_group_quant_fp8" in FUSED


@pytest.mark.parametrize("name", FUSED)
def test_a_call_expands_to_its_body(name: str) -> None:
    graph = call_of(name)
    result = fusible.PassManager(PIPELINE, "cpu").run(graph)
    result.graph.verify()
    assert operators(result.graph) == parts_of(name)
    assert [(v.dtype, v.shape) for v in result.graph.outputs] == [
        (v.dtype, v.shape) for v in graph.outputs
    ]
    assert [v.name for v in result.graph.outputs] == [v.name for v in graph.outputs]


def test_attributes_reach_the_parts_by_name() -> None:
    graph = fusible.Graph.parse(
        "input x: bf16[T, 256]\ninput w: bf16[256]\n"
        "q, s = rms_norm_group_quant_fp8(x, w, eps=0.25, group_size=32)\nreturn q, s\n"
    )
    text = str(fusible.PassManager(PIPELINE, "cpu").run(graph).graph)
    assert "eps=0.25" in text
    assert "group_size=32" in text


def test_names_in_a_body_step_over_those_of_the_graph() -> None:
    graph = fusible.Graph.parse(
        "input y: bf16[T, 256]\ninput sum: bf16[T, 256]\ninput w: bf16[256]\n"
        "a, b = fused_add_rms_norm(y, sum, w)\nc, d = fused_add_rms_norm(a, b, w)\nreturn c, d\n"
    )
    result = fusible.PassManager(PIPELINE, "cpu").run(graph)
    result.graph.verify()
    assert operators(result.graph) == ["add", "rms_norm"] * 2
    assert fusible.Graph.parse(str(result.graph)) == result.graph


def test_results_that_only_some_need_are_all_there() -> None:
    graph = fusible.Graph.parse(
        "input x: bf16[T, 256]\ninput r: bf16[T, 256]\ninput w: bf16[256]\n"
        "y, sum = fused_add_rms_norm(x, r, w)\nz = softmax(sum)\nreturn z, sum\n"
    )
    result = fusible.PassManager(PIPELINE, "cpu").run(graph)
    assert [v.name for v in result.graph.outputs] == ["z", "sum"]
