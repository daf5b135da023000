"""Fusions that break graphs elsewhere, or what they compute, each named after the report."""

from __future__ import annotations

import pytest

import fusible
from fusible import _core, ops, rules
from support.given_rules import SHARP, sharp
from support.graphs import bits, normal
from support.known_faults import EVERY, NORM, QUANT, SM90, names, optimized, parse


def test_a_weight_of_another_dtype_is_refused_vllm_48324() -> None:
    """A kernel read a weight of f32 as bf16: the model answered `!!!!`."""
    with pytest.raises(fusible.Error, match="rms_norm: weight: expected "):
        parse("y = rms_norm(x, w)\nreturn y\n", NORM.replace("w: bf16", "w: f32"))


def test_so_is_one_of_the_fused_sibling_vllm_44694() -> None:
    """The check stood at one rule, and was missing at its sibling."""
    with pytest.raises(fusible.Error, match="fused_add_rms_norm: residual: expected "):
        parse(
            "y, sum = fused_add_rms_norm(x, residual, w)\nreturn y, sum\n",
            NORM.replace("residual: bf16", "residual: f32"),
        )


@pytest.mark.parametrize(
    ("attr", "value"), [("layout", '"col"'), ("group_size", "64"), ("fp8_max", "400.0")]
)
def test_no_attribute_gets_lost_vllm_50773_vllm_33255(attr: str, value: str) -> None:
    """The replacement dropped an attribute, or the layout of scales."""
    graph = parse(f"y = rms_norm(x, w)\nq, s = {QUANT}(y, {attr}={value})\nreturn q, s\n")
    (node,) = fusible.optimize(graph, SM90).graph.nodes
    assert node.name == "rms_norm_group_quant_fp8"
    assert str(node.attrs[attr]) == value.strip('"')


def test_a_rule_that_would_lose_an_attribute_is_refused_vllm_50773() -> None:
    """Nothing was said when a rule was registered that drops what it finds."""
    with pytest.raises(fusible.GraphError, match=r"which ignores eps|got eps"):
        _core.check_rule(
            "fused(x: F[..., C], weight: F[C]) -> y: F[..., C]",
            "n = rms_norm(x, weight, eps=eps)\ny = softmax(n)\nreturn y\n",
        )


def test_other_dimensions_are_another_transpose_pytorch_195320() -> None:
    """Dimensions were wildcards: one transpose was taken for another."""
    head = "input x: bf16[8, 8, 8]\n"
    bodies = [
        f"a = transpose(x, dims=[{a}])\nb = transpose(x, dims=[{b}])\nreturn a, b\n"
        for a, b in (("1, 0, 2", "2, 1, 0"), ("2, 1, 0", "1, 0, 2"))
    ]
    graphs = [parse(body, head) for body in bodies]
    assert all(len(fusible.optimize(graph).graph.nodes) == 2 for graph in graphs)
    assert str(graphs[0].key()) != str(graphs[1].key())


def test_each_norm_keeps_its_eps_llama_cpp_14545() -> None:
    """The fused kernel took the eps of another node."""
    graph = parse(
        "a = rms_norm(x, w, eps=1e-05)\nb = rms_norm(a, w, eps=1e-12)\n"
        f"q, s = {QUANT}(b)\nreturn a, q, s\n"
    )
    first, second = fusible.optimize(graph, SM90).graph.nodes
    assert (first.attrs["eps"], second.attrs["eps"]) == (1e-05, 1e-12)


@pytest.mark.parametrize("target", fusible.targets())
def test_a_norm_without_a_residual_gets_no_kernel_with_one_vllm_41972(target: str) -> None:
    """The kernel that adds a residual was given memory that nobody had set to zero."""
    graph = parse(f"y = rms_norm(x, w)\nq, s = {QUANT}(y)\nz = rms_norm(x, w)\nreturn q, s, z\n")
    result = fusible.optimize(graph, target)
    inside = [node.body.nodes if node.body else [node] for node in result.graph.nodes]
    assert not [node.name for nodes in inside for node in nodes if "add" in node.name]


@pytest.mark.parametrize("operand", ["r", "none"])
def test_a_replacement_brings_no_memory_of_its_own_vllm_41972(operand: str) -> None:
    """What a replacement reads is what was found: there is no operand that could be unset."""
    with pytest.raises(fusible.GraphError, match=r"norm: replace: .*expected a"):
        rules.Rule(
            "norm(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]",
            "n = rms_norm(x, w, eps=eps)\ny = softmax(n)\nreturn y\n",
            f"n, s = fused_add_rms_norm(x, {operand}, w, eps=eps)\ny = softmax(n)\nreturn y\n",
        )


@pytest.mark.parametrize("dims", ["2, 1, 0", "0, 2, 1", "1, 2, 0", "2, 0, 1"])
def test_a_rule_finds_its_own_transpose_alone_pytorch_195320_pytorch_195282(dims: str) -> None:
    """Dimensions were wildcards: other transposes were fused, or the replacement crashed."""
    rule = rules.Rule(
        "swapped(x: F[A, B, C]) -> y: F[B, A, C]",
        "a = transpose(x, dims=[1, 0, 2])\ny = softmax(a)\nreturn y\n",
        'y = opaque(x, name="swapped")\nreturn y\n',
    )
    body = "a = transpose(x, dims=[{}])\ny = softmax(a)\nreturn y\n"
    head = "input x: bf16[8, 8, 8]\n"
    assert optimized(body.format("1, 0, 2"), rule, head=head).fusions == {"swapped": 1}
    result = optimized(body.format(dims), rule, head=head)
    assert names(result.graph) == ["transpose", "softmax"]
    (miss,) = result.misses
    assert miss.hint == f"set dims of transpose to [1, 0, 2], not [{dims}]"


@pytest.mark.parametrize("eps", [1e-5, 1e-6, 0.25])
def test_a_fused_kernel_computes_with_the_eps_given_tvm_15856(eps: float) -> None:
    """The kernel had its own eps of 1e-6, whatever the model's was."""
    x, w = normal(1, (3, 256)), normal(2, (256,))
    fused = ops.rms_norm_group_quant_fp8(x, w, eps=eps)
    apart = ops.per_token_group_quant_fp8(ops.rms_norm(x, w, eps=eps))
    other = ops.rms_norm_group_quant_fp8(x, w, eps=2 * eps + 1)
    assert [*map(bits, fused)] == [*map(bits, apart)] != [*map(bits, other)]


# Graphs that are broken afterwards.


def test_calls_stay_in_order_pytorch_148751() -> None:
    """A replacement was read before it was made."""
    graph = parse(
        f"y = rms_norm(x, w)\nz = softmax(residual)\nq, s = {QUANT}(y)\n"
        "u = add(z, x)\nv = rms_norm(u, w)\nreturn q, s, v, z\n"
    )
    after = fusible.optimize(graph, SM90).graph
    after.verify()
    made = {value.name for value in after.inputs}
    for node in after.nodes:
        assert {name for name in node.inputs if name is not None} <= made
        made |= {*node.outputs}


def test_equal_calls_are_made_once_vllm_41534() -> None:
    """Equal calls were made twice."""
    graph = parse(
        f"y = rms_norm(x, w)\nz = rms_norm(x, w)\na, b = {QUANT}(y)\nc, d = {QUANT}(z)\n"
        "return a, b, c, d\n"
    )
    assert names(fusible.optimize(graph, SM90).graph) == ["rms_norm_group_quant_fp8"]


def test_two_rules_that_find_the_same_are_refused_pytorch_139321() -> None:
    """Equal patterns replaced one another, or stopped the start."""
    rules = [sharp(), sharp(signature=SHARP.replace("sharp", "blunt"))]
    with pytest.raises(fusible.GraphError, match="never applies: blunt finds the same"):
        optimized("n = rms_norm(x, w)\ny = softmax(n)\nreturn y\n", *rules)


def test_a_fused_call_stands_in_its_place_pytorch_162019_pytorch_162029_pytorch_184124() -> None:
    """Put at its first or at its last call, it stood before an operand or behind a reader."""
    head = "input a: bf16[T, 512]\ninput b: bf16[T, 512]\ninput v: bf16[512]\n"
    made_late = 'w: bf16[512] = opaque({}, name="weight")\n'
    result = optimized(
        f"sum = add(a, b)\nc = softmax(sum)\n{made_late.format('v')}y = rms_norm(sum, w)\n"
        "return c, y, sum\n",
        head=head,
    )
    result.graph.verify()
    assert names(result.graph) == ["opaque(weight)", "fused_add_rms_norm", "softmax"]
    circle = optimized(
        f"sum = add(a, b)\n{made_late.format('sum')}y = rms_norm(sum, w)\nreturn y, sum\n",
        head=head,
    )
    assert names(circle.graph) == ["add", "opaque(weight)", "rms_norm"]
    assert [(miss.node, miss.reason) for miss in circle.misses] == [("w", "order")]


def test_a_rule_can_be_registered_again_vllm_32404_vllm_ascend_6513() -> None:
    """A pattern that was registered once more was a crash: here it counts once."""
    rule = sharp()
    graph = parse("n = rms_norm(x, w)\ny = softmax(n)\nreturn y\n")
    managers = [fusible.PassManager(None, SM90, rules=given) for given in ([rule], [rule] * 2)]
    assert [manager.run(graph).fusions for manager in managers] == [{"sharp": 1}] * 2
    assert len({manager.uuid() for manager in managers}) == 1


# Calls that write into their operands.


def test_an_updated_input_hinders_nothing_vllm_14703() -> None:
    """What mutates stood in a wrapper, and a new form of it matched none of the patterns."""
    body = f"sum = add(x, residual)\ny = rms_norm(sum, w)\nq, s = {QUANT}(y)\nreturn q, s, sum\n"
    plain = optimized(body)
    updated = optimized(body, head=NORM.replace("input residual", "updated residual"))
    assert names(plain.graph) == names(updated.graph) == ["fused_add_rms_norm_group_quant_fp8"]
    assert str(updated.graph).endswith("return q, s, sum -> residual\n")


@pytest.mark.parametrize("target", [*fusible.targets(), EVERY], ids=[*fusible.targets(), "every"])
def test_an_unknown_operator_that_mutates_passes_through_vllm_42949_vllm_43058(
    target: str | fusible.Target,
) -> None:
    """Each operator that mutates needed a branch of its own: without one, an assertion failed."""
    unknown = 'n: bf16[T, 512] = opaque(x, name="never_heard_of", mutates=true, level=3)\n'
    graph = parse(f"{unknown}sum = add(n, residual)\ny = rms_norm(sum, w)\nreturn y, sum\n")
    after = fusible.optimize(graph, target).graph
    after.verify()
    assert unknown in str(after)
    assert len(after.nodes) == 2
