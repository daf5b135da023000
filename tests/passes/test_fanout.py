"""One producer with several consumers that fuse."""

import pytest

import fusible

CLEAN = "canonicalize,share-common,fuse-ops,select-ops,drop-dead"
FUSED = {"rms_norm", "per_token_group_quant_fp8", "static_quant_fp8", "add"}


def graph(consumers, results, add=False, rows="T"):
    head = "sum = add(x, residual)\n" if add else "sum = cast(x, dtype=bf16)\n"
    scales = "".join(f"constant scale{i}: f32[1]\n" for i in range(40))
    return fusible.Graph.parse(
        f"input x: bf16[{rows}, 1024]\ninput residual: bf16[{rows}, 1024]\nconstant w: bf16[1024]\n"
        + scales
        + head
        + "y = rms_norm(sum, w)\n"
        + "\n".join(consumers)
        + f"\nreturn {', '.join(results)}\n"
    )


def equal(n):
    calls = [f"q{i}, s{i} = per_token_group_quant_fp8(y)" for i in range(n)]
    return calls, [f"{name}{i}" for i in range(n) for name in "qs"]


def different(n):
    calls = [f"q{i} = static_quant_fp8(y, scale{i})" for i in range(n)]
    return calls, [f"q{i}" for i in range(n)]


def names(result):
    return [node.name for node in result.graph.nodes]


@pytest.mark.parametrize("pipeline", [CLEAN, "fuse-ops"])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 40])
def test_equal_quantizations_become_one(n, add, pipeline):
    calls, results = equal(n)
    result = fusible.optimize(graph(calls, results, add), "cuda-sm90", pipeline)
    name = "fused_add_rms_norm_group_quant_fp8" if add else "rms_norm_group_quant_fp8"
    assert result.fusions == {name: 1}
    assert not FUSED & set(names(result))
    assert len(result.graph.outputs) == 2 * n


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 40])
def test_different_quantizations_each_compute_the_norm(n):
    calls, results = different(n)
    result = fusible.optimize(graph(calls, results), "cuda-sm90", CLEAN)
    assert result.fusions == {"rms_norm_static_quant_fp8": n}
    assert not FUSED & set(names(result))
    assert result.misses == []


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_sum_is_computed_once(n):
    calls, results = different(n)
    result = fusible.optimize(graph(calls, [*results, "sum"], add=True), "cuda-sm90", CLEAN)
    assert result.fusions == {
        "fused_add_rms_norm_static_quant_fp8": 1,
        "rms_norm_static_quant_fp8": n - 1,
    }
    assert not FUSED & set(names(result))


@pytest.mark.parametrize("before", [0, 1, 2])
def test_equal_ones_behind_views_merge(before):
    calls, results = equal(3)
    for i in range(before):
        calls[i] = f"v{i} = reshape(y, shape=[{i + 1}, -1, 1024])\n" + calls[i].replace(
            "(y)", f"(v{i})"
        )
    result = fusible.optimize(graph(calls, results, rows="2*T"), "cuda-sm90", CLEAN)
    assert result.fusions == {"rms_norm_group_quant_fp8": 1}
    assert names(result)[0] == "rms_norm_group_quant_fp8"
    assert set(names(result)) <= {"rms_norm_group_quant_fp8", "reshape"}


def test_two_kinds_of_quantization():
    calls, results = equal(1)
    others, more = different(1)
    calls += [call.replace("q0", "p0") for call in others]
    result = fusible.optimize(graph(calls, [*results, "p0"]), "cuda-sm90", CLEAN)
    assert result.fusions == {"rms_norm_group_quant_fp8": 1, "rms_norm_static_quant_fp8": 1}
    assert more == ["q0"]


@pytest.mark.parametrize("reader", ["z = softmax(y)", ""])
def test_one_other_reader_keeps_all_apart(reader):
    calls, results = different(2)
    result = fusible.optimize(
        graph([*calls, reader], [*results, "z" if reader else "y"]), "cuda-sm90", CLEAN
    )
    assert result.fusions == {}
    assert {miss.reason for miss in result.misses} == {"extra_user"}
    assert {miss.node for miss in result.misses} == {"y"}


def target(**costs):
    return fusible.Target(
        name="test",
        pipeline=CLEAN,
        all_operators=True,
        costs=costs,
    )


def test_a_target_that_does_not_recompute():
    calls, results = different(2)
    result = fusible.optimize(graph(calls, results), target(recompute=False))
    assert result.fusions == {}
    calls, results = equal(3)
    result = fusible.optimize(graph(calls, results), target(recompute=False))
    assert result.fusions == {"rms_norm_group_quant_fp8": 1}


def test_a_target_that_keeps_what_is_read_elsewhere():
    calls, results = different(2)
    result = fusible.optimize(graph(calls, [*results, "y"]), target(keep=True))
    assert result.fusions == {"rms_norm_static_quant_fp8": 2}
    assert "rms_norm" in names(result)


def test_a_cost_of_another_type_is_refused():
    calls, results = different(2)
    with pytest.raises(fusible.ArgumentError, match="recompute: expected true or false, got 3"):
        fusible.optimize(graph(calls, results), target(recompute=3))


def test_a_smaller_rule_fuses_where_a_larger_one_gave_way():
    text = graph(["q = static_quant_fp8(y, scale0)"], ["q", "y", "sum"], add=True)
    result = fusible.optimize(text, "cuda-sm90", CLEAN)
    assert result.fusions == {"fused_add_rms_norm": 1}
    assert {miss.reason for miss in result.misses} == {"extra_user"}


def test_what_is_fused_by_hand_twice_is_computed_once():
    result = fusible.optimize(
        fusible.Graph.parse(
            """
            input x: bf16[T, 1024]
            input residual: bf16[T, 1024]
            constant w: bf16[1024]
            y, sum = fused_add_rms_norm(x, residual, w)
            z = add(x, residual)
            return y, sum, z
            """
        ),
        "cuda-sm90",
    )
    assert names(result) == ["fused_add_rms_norm"]
