"""Fusions that silently do not happen elsewhere, each named after the report: here they do.

Where one does not, it says why.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

import fusible
from fusible import _core, rules
from support.given_rules import sharp
from support.graphs import bits, normal
from support.known_faults import (
    CACHE,
    EVERY,
    PASSES,
    QUANT,
    ROTATE,
    SM90,
    UPDATE,
    layers,
    names,
    optimized,
    parse,
)


def test_a_norm_with_two_quantizations_fuses_vllm_41825() -> None:
    """A pattern of one quantization did not match a norm that two of them read."""
    graph = parse(f"y = rms_norm(x, w)\na, b = {QUANT}(y)\nc, d = {QUANT}(y)\nreturn a, b, c, d\n")
    assert names(fusible.optimize(graph, SM90).graph) == ["rms_norm_group_quant_fp8"]


def test_a_norm_that_something_has_fused_takes_its_quantization_vllm_42864() -> None:
    """Another pass had taken the norm: the quantization behind it stayed alone."""
    graph = parse(
        f"y, sum = fused_add_rms_norm(x, residual, w)\nq, s = {QUANT}(y)\nreturn q, s, sum\n"
    )
    assert names(fusible.optimize(graph, SM90).graph) == ["fused_add_rms_norm_group_quant_fp8"]


@pytest.mark.parametrize("order", [*permutations(PASSES)], ids=",".join)
def test_no_order_of_passes_starves_the_larger_fusion_vllm_42411(order: tuple[str, ...]) -> None:
    """The pass that came first took every norm, and the next one found none."""
    result = fusible.optimize(parse(layers(3)), SM90, ",".join(order))
    assert result.fusions == {"fused_add_rms_norm_group_quant_fp8": 3}
    assert not {"rms_norm", "fused_add_rms_norm", QUANT} & {*names(result.graph)}


@pytest.mark.parametrize("view", ["reshape(sum, shape=[1, -1, 512])", "reshape(sum, shape=[0, 0])"])
def test_a_view_between_does_not_hinder_vllm_27072_vllm_48757(view: str) -> None:
    """Each view between two calls needed a pattern of its own."""
    graph = parse(
        f"sum = add(x, residual)\nv = {view}\ny = rms_norm(v, w)\nq, s = {QUANT}(y)\nreturn q, s\n"
    )
    result = fusible.optimize(graph, SM90)
    assert [*result.fusions] == ["fused_add_rms_norm_group_quant_fp8"]
    assert [value.shape for value in result.graph.outputs] == [v.shape for v in graph.outputs]


@pytest.mark.parametrize("rows", ["T", "2*T", "T+1", "B, T"])
def test_symbolic_sizes_match_pytorch_111190(rows: str) -> None:
    """Symbolic sizes were nodes of the graph, which no pattern had."""
    graph = fusible.Graph.parse(
        f"input x: bf16[{rows}, 512]\nconstant w: bf16[512]\n"
        f"y = rms_norm(x, w)\nq, s = {QUANT}(y)\nreturn q, s\n"
    )
    assert names(fusible.optimize(graph, SM90).graph) == ["rms_norm_group_quant_fp8"]


def test_a_value_may_be_called_out_pytorch_137229() -> None:
    """An operand whose name was `out` was taken for one that is written."""
    head = "input out: bf16[T, 512]\nconstant weight: bf16[512]\n"
    graph = parse(f"eps = rms_norm(out, weight)\nq, s = {QUANT}(eps)\nreturn q, s\n", head)
    assert names(fusible.optimize(graph, SM90).graph) == ["rms_norm_group_quant_fp8"]


def test_it_says_why_a_rule_does_not_match_onnxscript_1491() -> None:
    """Nothing said why a rule had not matched."""
    graph = parse(f"y = rms_norm(x, w)\nq, s = {QUANT}(y, dtype=e4m3fnuz)\nreturn q, s\n")
    misses = fusible.optimize(graph, SM90).misses
    (miss,) = (one for one in misses if one.rule == "rms_norm_group_quant_fp8")
    assert (miss.node, miss.reason) == ("q", "op_variant")
    assert miss.hint.startswith(f"set dtype of {QUANT} to e4m3fn, which cuda-sm90 has")


def test_it_says_why_a_rule_of_ones_own_does_not_match_vllm_27847() -> None:
    """A user's own pattern did not match, and nobody could say why."""
    rule = sharp(where=["C % 96 == 0"])
    (miss,) = optimized("n = rms_norm(x, w)\ny = softmax(n)\nreturn y\n", rule).misses
    assert (miss.rule, miss.reason) == ("sharp", "condition")
    assert miss.hint == "expected C % 96 == 0, got C = 512"


def test_a_copy_between_does_not_hinder_vllm_43953() -> None:
    """A copy gave the value two readers, for which there was no pattern."""
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
    """Only graphs that were written with one custom operator matched."""
    result = optimized(f"{spelled}q, s = {QUANT}(y)\nreturn q, s, sum\n")
    assert names(result.graph) == ["fused_add_rms_norm_group_quant_fp8"]


def test_a_lost_fusion_is_an_error_with_its_reason_vllm_ascend_5676() -> None:
    """A change elsewhere ended all fusions, and no check failed."""
    changed = optimized(f"y = rms_norm(x, w)\nq, s = {QUANT}(y)\nreturn q, s, y\n")
    with pytest.raises(fusible.Error, match=r"expected 1, got 0\n  .*extra_user"):
        changed.expect({"rms_norm_group_quant_fp8": 1})


@pytest.mark.parametrize("sizes", [None, (1, 8192)], ids=["vllm_ascend_5308", "vllm_ascend_6430"])
def test_a_range_that_no_longer_holds_the_run_is_said(sizes: tuple[int, int] | None) -> None:
    """Upstream changed the sizes that graphs are compiled for: all fusions were gone unseen."""
    manager = fusible.PassManager("fuse-ops@[1,512],drop-dead", SM90)
    graph = parse(layers(2))
    assert manager.run(graph, range=(1, 512)).fusions == {"fused_add_rms_norm_group_quant_fp8": 2}
    changed = manager.run(graph, range=sizes)
    made_for = "any size" if sizes is None else "1 to 8192"
    assert changed.stats[0].left_out == f"runs for sizes 1 to 512, and the result is for {made_for}"
    with pytest.raises(fusible.Error, match="expected 2, got 0"):
        changed.expect({"fused_add_rms_norm_group_quant_fp8": 2})


@pytest.mark.parametrize("shape", ["[0, 8, 64]", "[-1, 8, 64]", "[0, -1, 64]", "[0, 8, -1]"])
def test_a_view_that_is_found_may_be_spelled_in_any_way_pytorch_151649(shape: str) -> None:
    """The pattern's reshape was recorded as a view, and did not match the one that it was."""
    heads = rules.Rule(
        "heads(x: F[A, 512], w: F[64]) -> y: F[A, 8, 64]",
        "a = softmax(x)\nv = reshape(a, shape=[0, 8, 64])\ny = rms_norm(v, w)\nreturn y\n",
        'y = opaque(x, w, name="heads")\nreturn y\n',
    )
    body = f"a = softmax(x)\nv = reshape(a, shape={shape})\ny = rms_norm(v, w)\nreturn y\n"
    result = optimized(body, heads, head="input x: bf16[T, 512]\nconstant w: bf16[64]\n")
    assert names(result.graph) == ["opaque(heads)"]


def test_calls_that_write_into_their_operands_are_found_pytorch_149879() -> None:
    """Only functional patterns could be found: what mutates without a result was dropped."""
    graph = parse(f"{ROTATE}{UPDATE}return a, b\n", CACHE)
    result = fusible.optimize(graph, EVERY)
    assert names(result.graph) == ["rotary_embedding_kv_cache_update"]
    given = {
        "k": normal(1, (3, 2, 16)),
        "v": normal(2, (3, 2, 16)),
        "positions": np.array([8, 0, 3]),
        "cos_sin": normal(3, (9, 16), "f32"),
        "slots": np.array([31, -1, 4]),
    }
    written = []
    for run in (fusible.compile(graph), fusible.compile(result)):
        caches = {name: normal(4, (4, 8, 2, 16)) for name in ("keys", "values")}
        assert [*run(**given, **caches)] == [*caches.values()]  # the very arrays
        written.append([bits(cache) for cache in caches.values()])
    assert written[0] == written[1] != [bits(normal(4, (4, 8, 2, 16)))] * 2


def test_a_wrong_attribute_is_said_with_both_values_pytorch_169440_pytorch_169603() -> None:
    """Printing why a constant did not match raised an error; the second phase printed nothing."""
    rule = sharp(
        "n = rms_norm(x, w, eps=1e-05)\ny = softmax(n)\nreturn y\n",
        'y = opaque(x, w, name="my_sharp")\nreturn y\n',
        "sharp(x: F[..., C], w: F[C]) -> y: F[..., C]",
    )
    (miss,) = optimized("n = rms_norm(x, w, eps=0.25)\ny = softmax(n)\nreturn y\n", rule).misses
    assert (miss.rule, miss.node, miss.reason) == ("sharp", "n", "attr")
    assert miss.hint == "set eps of rms_norm to 1e-05, not 0.25"
    assert all(word in repr(miss) for word in ("sharp", "attr", "1e-05", "0.25"))


@pytest.mark.parametrize("dtype", _core.dtypes())
def test_no_dtype_keeps_a_rule_away_vllm_58189_pytorch_196013(dtype: str) -> None:
    """A filter for dtypes that the code generator lacks skipped every custom operator."""
    rule = rules.Rule(
        f"swap(s: {dtype}[A, B]) -> y: {dtype}[B, A]",
        "y = transpose(s, dims=[1, 0])\nreturn y\n",
        'y = opaque(s, name="swap")\nreturn y\n',
    )
    head = f"input s: {dtype}[4, 8]\ninput x: bf16[T, 512]\nconstant w: bf16[512]\n"
    result = optimized(
        "y = transpose(s, dims=[1, 0])\n"
        f'n = rms_norm(x, w)\nq, c = {QUANT}(n)\nopaque(y, q, name="read", mutates=true)\n'
        "return c\n",
        rule,
        head=head,
    )
    assert result.fusions == {"swap": 1, "rms_norm_group_quant_fp8": 1}


@pytest.mark.parametrize(
    ("between", "results", "reason", "hint"),
    [
        ("", "a, b, r", "extra_user", "do not return r from the graph"),
        ("z = softmax(r)\n", "a, b, z", "extra_user", "softmax (z)"),
        (
            'z: f32[2] = opaque(k, name="all_reduce", mutates=true)\n',
            "a, b, z",
            "order",
            "move the mutation before or behind all parts",
        ),
        ("", "a, b", "", ""),
    ],
    ids=["onnxruntime_10359", "onnxruntime_10339", "onnxruntime_13988", "onnxruntime_5651"],
)
def test_what_is_not_fused_before_attention_is_named(
    between: str, results: str, reason: str, hint: str
) -> None:
    """The optimizer said "Attention not fused" and no more: neither where nor why."""
    graph = parse(f"{ROTATE}{between}{UPDATE}return {results}\n", CACHE)
    misses = [
        miss
        for miss in fusible.optimize(graph, EVERY).misses
        if miss.rule == "rotary_embedding_kv_cache_update"
    ]
    assert [miss.reason for miss in misses] == [reason] * bool(reason)
    assert all(hint in miss.hint for miss in misses)


@pytest.mark.parametrize(
    ("body", "node", "reason"),
    [
        ("c = cast(n, dtype=f32)\ny = softmax(c)\nreturn y\n", "c", "dtype"),
        ("y = softmax(n)\nreturn y, n\n", "n", "extra_user"),
    ],
    ids=["onnxscript_1366", "onnxscript_1812"],
)
def test_what_one_call_of_two_lacks_is_said(body: str, node: str, reason: str) -> None:
    """A partial match was dropped without the node or the reason at which it ended."""
    (miss,) = optimized(f"n = rms_norm(x, w)\n{body}", sharp()).misses
    assert (miss.rule, miss.node, miss.reason) == ("sharp", node, reason)
    assert miss.saves > 0
    assert miss.hint


def test_what_matches_is_listed_and_the_graph_is_left_alone_onnxscript_1909() -> None:
    """What a pattern matches could only be learned by rewriting the model."""
    graph = parse(layers(3))
    before = str(graph)
    found = fusible.PassManager("fuse-ops", SM90).run(graph).rewrites
    assert [(one.rule, one.node) for one in found] == [
        ("fused_add_rms_norm_group_quant_fp8", f"q{i}") for i in range(3)
    ]
    assert str(graph) == before


def test_the_nearest_misses_stand_first_onnxscript_2001() -> None:
    """Which of many partial matches was the best one had to be found in a debugger."""
    result = optimized(
        f"y = rms_norm(x, w)\nq, s = {QUANT}(y)\nsum = add(x, residual)\n"
        f"z = rms_norm(sum, w)\nt, u = {QUANT}(z)\nreturn y, q, s, sum, z, t, u\n"
    )
    row = 512 * 2  # bytes: neither written nor read where that is fused
    assert [(miss.rule, miss.node, miss.saves) for miss in result.misses] == [
        ("fused_add_rms_norm_group_quant_fp8", "z", 3 * row),
        ("rms_norm_group_quant_fp8", "y", 2 * row),
        ("rms_norm_group_quant_fp8", "z", 2 * row),
    ]
