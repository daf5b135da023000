"""Faults that users of other compilers have reported, each named after the report: not here.

The name's end is the project and the number of its issue or pull request.
"""

from itertools import permutations
from pathlib import Path

import pytest

import fusible
from fusible import _core, rules
from support.given_rules import SHARP, sharp

SM90 = "cuda-sm90"
PASSES = ("canonicalize", "share-common", "fuse-ops", "select-ops", "drop-dead")
NORM = """
input x: bf16[T, 512]
input residual: bf16[T, 512]
constant w: bf16[512]
"""
QUANT = "per_token_group_quant_fp8"


def parse(body: str, head: str = NORM) -> fusible.Graph:
    return fusible.Graph.parse(head + body)


def names(graph: fusible.Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def optimized(body: str, *given: rules.Rule) -> fusible.Result:
    return fusible.optimize(parse(body), SM90, rules=given)


def layers(count: int) -> str:
    """So many times residual, norm and quantization, with an opaque product between."""
    lines, residual = [], "residual"
    for i in range(count):
        lines += [
            f"sum{i} = add({'x' if i == 0 else f'o{i - 1}'}, {residual})",
            f"y{i} = rms_norm(sum{i}, w)",
            f"q{i}, s{i} = {QUANT}(y{i})",
            f'o{i}: bf16[T, 512] = opaque(q{i}, s{i}, name="product")',
        ]
        residual = f"sum{i}"
    return "\n".join([*lines, f"return o{count - 1}, {residual}\n"])


# Fusions that silently do not happen.


def test_a_norm_with_two_quantizations_fuses_vllm_41825() -> None:
    graph = parse(f"y = rms_norm(x, w)\na, b = {QUANT}(y)\nc, d = {QUANT}(y)\nreturn a, b, c, d\n")
    assert names(fusible.optimize(graph, SM90).graph) == ["rms_norm_group_quant_fp8"]


def test_a_norm_that_something_has_fused_takes_its_quantization_vllm_42864() -> None:
    graph = parse(
        f"y, sum = fused_add_rms_norm(x, residual, w)\nq, s = {QUANT}(y)\nreturn q, s, sum\n"
    )
    assert names(fusible.optimize(graph, SM90).graph) == ["fused_add_rms_norm_group_quant_fp8"]


@pytest.mark.parametrize("order", [*permutations(PASSES)], ids=",".join)
def test_no_order_of_passes_starves_the_larger_fusion_vllm_42411(order: tuple[str, ...]) -> None:
    result = fusible.optimize(parse(layers(3)), SM90, ",".join(order))
    assert result.fusions == {"fused_add_rms_norm_group_quant_fp8": 3}
    assert not {"rms_norm", "fused_add_rms_norm", QUANT} & {*names(result.graph)}


@pytest.mark.parametrize("view", ["reshape(sum, shape=[1, -1, 512])", "reshape(sum, shape=[0, 0])"])
def test_a_view_between_does_not_hinder_vllm_27072_vllm_48757(view: str) -> None:
    graph = parse(
        f"sum = add(x, residual)\nv = {view}\ny = rms_norm(v, w)\nq, s = {QUANT}(y)\nreturn q, s\n"
    )
    result = fusible.optimize(graph, SM90)
    assert [*result.fusions] == ["fused_add_rms_norm_group_quant_fp8"]
    assert [value.shape for value in result.graph.outputs] == [v.shape for v in graph.outputs]


@pytest.mark.parametrize("rows", ["T", "2*T", "T+1", "B, T"])
def test_symbolic_sizes_match_pytorch_111190(rows: str) -> None:
    graph = fusible.Graph.parse(
        f"input x: bf16[{rows}, 512]\nconstant w: bf16[512]\n"
        f"y = rms_norm(x, w)\nq, s = {QUANT}(y)\nreturn q, s\n"
    )
    assert names(fusible.optimize(graph, SM90).graph) == ["rms_norm_group_quant_fp8"]


def test_a_value_may_be_called_out_pytorch_137229() -> None:
    head = "input out: bf16[T, 512]\nconstant weight: bf16[512]\n"
    graph = parse(f"eps = rms_norm(out, weight)\nq, s = {QUANT}(eps)\nreturn q, s\n", head)
    assert names(fusible.optimize(graph, SM90).graph) == ["rms_norm_group_quant_fp8"]


def test_it_says_why_a_rule_does_not_match_onnxscript_1491() -> None:
    graph = parse(f"y = rms_norm(x, w)\nq, s = {QUANT}(y, dtype=e4m3fnuz)\nreturn q, s\n")
    misses = fusible.optimize(graph, SM90).misses
    (miss,) = (one for one in misses if one.rule == "rms_norm_group_quant_fp8")
    assert (miss.node, miss.reason) == ("q", "op_variant")
    assert miss.hint.startswith(f"set dtype of {QUANT} to e4m3fn, which cuda-sm90 has")


def test_it_says_why_a_rule_of_ones_own_does_not_match_vllm_27847() -> None:
    rule = sharp(where=["C % 96 == 0"])
    (miss,) = optimized("n = rms_norm(x, w)\ny = softmax(n)\nreturn y\n", rule).misses
    assert (miss.rule, miss.reason) == ("sharp", "condition")
    assert miss.hint == "expected C % 96 == 0, got C = 512"


def test_a_copy_between_does_not_hinder_vllm_43953() -> None:
    result = optimized(
        "sum = add(x, residual)\nc = cast(sum, dtype=bf16)\ny = rms_norm(c, w)\n"
        f"q, s = {QUANT}(y)\nreturn q, s, sum\n"
    )
    assert result.fusions == {"fused_add_rms_norm_group_quant_fp8": 1}


@pytest.mark.parametrize(
    "spelled",
    [
        "sum = add(x, residual)\ny = rms_norm(sum, w)\n",
        "y, sum = fused_add_rms_norm(x, residual, w)\n",
    ],
)
def test_no_operator_need_be_called_by_its_fused_name_vllm_16155_vllm_32358(spelled: str) -> None:
    result = optimized(f"{spelled}q, s = {QUANT}(y)\nreturn q, s, sum\n")
    assert names(result.graph) == ["fused_add_rms_norm_group_quant_fp8"]


def test_a_lost_fusion_is_an_error_with_its_reason_vllm_ascend_5676() -> None:
    changed = optimized(f"y = rms_norm(x, w)\nq, s = {QUANT}(y)\nreturn q, s, y\n")
    with pytest.raises(fusible.Error, match=r"expected 1, got 0\n  .*extra_user"):
        changed.expect({"rms_norm_group_quant_fp8": 1})


# Fusions that happen and are wrong.


def test_a_weight_of_another_dtype_is_refused_vllm_48324() -> None:
    with pytest.raises(fusible.Error, match="rms_norm: weight: expected "):
        parse("y = rms_norm(x, w)\nreturn y\n", NORM.replace("w: bf16", "w: f32"))


def test_so_is_one_of_the_fused_sibling_vllm_44694() -> None:
    with pytest.raises(fusible.Error, match="fused_add_rms_norm: residual: expected "):
        parse(
            "y, sum = fused_add_rms_norm(x, residual, w)\nreturn y, sum\n",
            NORM.replace("residual: bf16", "residual: f32"),
        )


@pytest.mark.parametrize(
    ("attr", "value"), [("layout", '"col"'), ("group_size", "64"), ("fp8_max", "400.0")]
)
def test_no_attribute_gets_lost_vllm_50773_vllm_33255(attr: str, value: str) -> None:
    graph = parse(f"y = rms_norm(x, w)\nq, s = {QUANT}(y, {attr}={value})\nreturn q, s\n")
    (node,) = fusible.optimize(graph, SM90).graph.nodes
    assert node.name == "rms_norm_group_quant_fp8"
    assert str(node.attrs[attr]) == value.strip('"')


def test_a_rule_that_would_lose_an_attribute_is_refused_vllm_50773() -> None:
    with pytest.raises(fusible.GraphError, match=r"which ignores eps|got eps"):
        _core.check_rule(
            "fused(x: F[..., C], weight: F[C]) -> y: F[..., C]",
            "n = rms_norm(x, weight, eps=eps)\ny = softmax(n)\nreturn y\n",
        )


def test_other_dimensions_are_another_transpose_pytorch_195320() -> None:
    head = "input x: bf16[8, 8, 8]\n"
    bodies = [
        f"a = transpose(x, dims=[{a}])\nb = transpose(x, dims=[{b}])\nreturn a, b\n"
        for a, b in (("1, 0, 2", "2, 1, 0"), ("2, 1, 0", "1, 0, 2"))
    ]
    graphs = [parse(body, head) for body in bodies]
    assert all(len(fusible.optimize(graph).graph.nodes) == 2 for graph in graphs)
    assert str(graphs[0].key()) != str(graphs[1].key())


def test_each_norm_keeps_its_eps_llama_cpp_14545() -> None:
    graph = parse(
        "a = rms_norm(x, w, eps=1e-05)\nb = rms_norm(a, w, eps=1e-12)\n"
        f"q, s = {QUANT}(b)\nreturn a, q, s\n"
    )
    first, second = fusible.optimize(graph, SM90).graph.nodes
    assert (first.attrs["eps"], second.attrs["eps"]) == (1e-05, 1e-12)


# Graphs that are broken afterwards.


def test_calls_stay_in_order_pytorch_148751() -> None:
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
    graph = parse(
        f"y = rms_norm(x, w)\nz = rms_norm(x, w)\na, b = {QUANT}(y)\nc, d = {QUANT}(z)\n"
        "return a, b, c, d\n"
    )
    assert names(fusible.optimize(graph, SM90).graph) == ["rms_norm_group_quant_fp8"]


def test_two_rules_that_find_the_same_are_refused_pytorch_139321() -> None:
    rules = [sharp(), sharp(signature=SHARP.replace("sharp", "blunt"))]
    with pytest.raises(fusible.GraphError, match="never applies: blunt finds the same"):
        optimized("n = rms_norm(x, w)\ny = softmax(n)\nreturn y\n", *rules)


# Keys that are stale, and keys that miss for nothing.


def test_every_setting_is_in_the_key_vllm_53366() -> None:
    managers = [
        fusible.PassManager(pipeline, target)
        for pipeline in (None, "fuse-ops", "fuse-ops,drop-dead")
        for target in ("cpu", SM90, "rocm-gfx942")
    ]
    keys = {manager.uuid(range) for manager in managers for range in (None, (1, 8), (1, 9))}
    assert len(keys) == 3 * len(managers)


@pytest.mark.parametrize("place", range(len(PASSES) + 1))
def test_a_pass_more_is_another_key_wherever_it_stands_pytorch_177403(place: int) -> None:
    more = [*PASSES[:place], "canonicalize", *PASSES[place:]]
    keys = {fusible.PassManager(",".join(names), SM90).uuid() for names in (PASSES, more)}
    assert len(keys) == 2


def test_no_function_can_stand_for_a_pass_pytorch_ao_2907() -> None:
    with pytest.raises((TypeError, AttributeError, fusible.ArgumentError)):
        fusible.PassManager(lambda graph: graph, SM90)  # type: ignore[arg-type]


def test_equal_layers_have_one_key_vllm_37919_vllm_20451() -> None:
    first, seventh = (
        parse(f"{name} = rms_norm(x, w)\nq, s = {QUANT}({name})\nreturn q, s\n")
        for name in ("layers.0.norm", "layers.7.norm")
    )
    assert str(first) != str(seventh)
    assert str(first.key()) == str(seventh.key())


# The pass manager.


def test_one_manager_serves_many_graphs_vllm_46667() -> None:
    manager = fusible.PassManager(None, SM90)
    graphs = [parse(layers(count)) for count in (1, 3, 1)]
    results = [manager.run(graph) for graph in graphs]
    fresh = [fusible.optimize(graph, SM90) for graph in graphs]
    assert [str(one.graph) for one in results] == [str(one.graph) for one in fresh]
    assert results[0].key == results[2].key != results[1].key


def test_reasons_are_there_after_a_cache_hit_pytorch_133118(tmp_path: Path) -> None:
    graph = parse(f"y = rms_norm(x, w)\nq, s = {QUANT}(y, dtype=e4m3fnuz)\nreturn q, s\n")
    fresh, found = (fusible.optimize(graph, SM90, cache=tmp_path) for _ in range(2))
    assert (fresh.cached, found.cached) == (False, True)
    assert [repr(miss) for miss in found.misses] == [repr(miss) for miss in fresh.misses] != []


@pytest.mark.parametrize("left_out", PASSES)
def test_any_pass_can_be_left_out_vllm_40953(left_out: str) -> None:
    pipeline = ",".join(name for name in PASSES if name != left_out)
    result = fusible.optimize(parse(layers(2)), SM90, pipeline)
    fused = "fuse-ops" in pipeline
    assert result.fusions.get("fused_add_rms_norm_group_quant_fp8", 0) == 2 * fused
    assert [one.name for one in result.stats] == pipeline.split(",")
