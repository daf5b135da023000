"""Rules in Python: what they find, what stands there then, and why they did not apply."""

from typing import Any

import pytest

import fusible
from fusible import rules
from support.given_rules import FIND, HEAD, ONE, SHARP, names, only_miss, run, sharp
from support.graphs import as_tuple, bits, normal, unfused

SM90 = "cuda-sm90"


@pytest.mark.parametrize("target", [SM90, "rocm-gfx950", "cpu"])
def test_a_kernel_of_ones_own_takes_the_place_of_what_is_found(target):
    result = run(ONE, sharp(), target=target)
    assert str(result.graph) == (
        HEAD + 'y: bf16[T, 256] = opaque(x, w, name="my_sharp", eps=1e-12)\nreturn y\n'
    )
    assert result.fusions == {"sharp": 1}
    assert [(one.rule, one.node) for one in result.rewrites] == [("sharp", "y")]
    assert result.misses == []
    result.expect({"sharp": "L"}, L=1)


def test_functions_and_texts_make_the_same_rule():
    @rules.rule(SHARP, on_escape="keep")
    def find_sharp(op, x, w, *, eps):
        return op.softmax(op.rms_norm(x, w, eps=eps))

    @find_sharp.replace
    def recorded(op, x, w, *, eps):
        return op.opaque("my_sharp", x, w, eps=eps)

    written = sharp(on_escape="keep")
    assert isinstance(recorded, rules.Rule)
    assert [one.contract for one in recorded.native] == [one.contract for one in written.native]
    one, other = (fusible.PassManager(None, SM90, rules=[rule]) for rule in (recorded, written))
    assert one.uuid() == other.uuid()


def residual(op, x, r, w, *, eps):
    total = op.add(x, r)
    return op.softmax(op.rms_norm(total, w, eps=eps)), total


def fewer(op, x, r, w, *, eps):
    y, total = op.fused_add_rms_norm(x, r, w, eps=eps)
    return op.softmax(y), total


RESIDUAL = (
    "sharp_sum(x: F[..., C], r: F[..., C], w: F[C], *, eps: float) -> y: F[..., C], s: F[..., C]"
)


def same_bits(graph: fusible.Graph, given: list[rules.Rule], **arrays: Any) -> fusible.Result:
    """Asserts that the graph gives the same bits with rules as it does call by call."""
    constants = {v.name for v in graph.inputs if v.kind == "constant"}
    weights = {name: array for name, array in arrays.items() if name in constants}
    inputs = {name: array for name, array in arrays.items() if name not in constants}
    with_rules = fusible.compile(graph, weights=weights, rules=given)
    expected = as_tuple(unfused(graph, weights)(**inputs))
    got = as_tuple(with_rules(**inputs))
    assert [bits(one) for one in got] == [bits(one) for one in expected]
    assert any(rule.name in with_rules.result.fusions for rule in given)
    return with_rules.result


@pytest.mark.parametrize("swap", [False, True])
def test_the_same_bits_after_a_rule(swap):
    graph = fusible.Graph.parse(
        "input x: bf16[T, 256]\ninput r: bf16[T, 256]\nconstant w: bf16[256]\n"
        f"s = add({'r, x' if swap else 'x, r'})\nn = rms_norm(s, w, eps=1e-3)\ny = softmax(n)\n"
        "return y, s\n"
    )
    rule = rules.Rule(RESIDUAL, residual, fewer)
    arrays = {name: normal(seed, shape) for seed, (name, shape) in enumerate(SHAPES.items())}
    result = same_bits(graph, [rule], **arrays)
    assert result.fusions["sharp_sum"] == 1


SHAPES = {"x": (5, 256), "r": (5, 256), "w": (256,)}


def test_a_result_may_be_an_operand():
    rule = rules.Rule(
        "there_and_back(x: bf16[..., C]) -> y: bf16[..., C]",
        "a = cast(x, dtype=f32)\ny = cast(a, dtype=bf16)\nreturn y\n",
        "return x\n",
    )
    body = "a = cast(x, dtype=f32)\nb = cast(a, dtype=bf16)\ny = rms_norm(b, w)\nreturn y\n"
    result = run(body, rule)
    assert names(result) == ["rms_norm"]
    assert result.fusions == {"there_and_back": 1}
    graph = fusible.Graph.parse(HEAD + body)
    same_bits(graph, [rule], x=normal(0, (3, 256)), w=normal(1, (256,)))


@pytest.mark.parametrize("order", [1, -1])
def test_what_saves_more_comes_first_whatever_the_order_in_which_it_is_given(order):
    more = rules.Rule(
        "sharper(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]",
        "a = rms_norm(x, w, eps=eps)\nb = softmax(a)\ny = softmax(b)\nreturn y\n",
        'y = opaque(x, w, name="my_sharper", eps=eps)\nreturn y\n',
    )
    body = "n = rms_norm(x, w)\nm = softmax(n)\ny = softmax(m)\nreturn y\n"
    assert run(body, *[sharp(), more][::order]).fusions == {"sharper": 1}


@pytest.mark.parametrize("order", [1, -1])
def test_what_saves_more_bytes_comes_first_even_where_it_saves_fewer_calls(order):
    few = rules.Rule(
        "few(x: bf16[..., C]) -> y: f32[..., C]",
        "c = cast(x, dtype=f32)\ny = softmax(c)\nreturn y\n",
        'y = opaque(x, name="few")\nreturn y\n',
    )
    many = rules.Rule(
        "many(x: bf16[..., C]) -> s: bf16[..., C], c: f32[..., C], y: f32[..., C]",
        "s = add(x, x)\nc = cast(s, dtype=f32)\ny = softmax(c)\nreturn s, c, y\n",
        's, c, y = opaque(x, name="many")\nreturn s, c, y\n',
    )
    body = "s = add(x, x)\nc = cast(s, dtype=f32)\ny = softmax(c)\nreturn {}\n"
    given = [few, many][::order]
    assert run(body.format("y, s"), *given).fusions == {"few": 1}
    result = run(body.format("y, c, s"), *given)
    assert result.fusions == {"many": 1}
    assert only_miss(result, "few").reason == "extra_user"


def test_a_given_rule_comes_before_that_of_an_operator_where_it_saves_as_much():
    rule = rules.Rule(
        "zz(x: F[..., C], w: F[C], *, eps: float) -> q: e4m3fn[..., C], s: f32[..., C/128]",
        "n = rms_norm(x, w, eps=eps)\nq, s = per_token_group_quant_fp8(n)\nreturn q, s\n",
        'q, s = opaque(x, w, name="zz", eps=eps)\nreturn q, s\n',
        where=["C >= 512"],
    )
    body = "n = rms_norm(x, w)\nq, s = per_token_group_quant_fp8(n)\nreturn q, s\n"
    small = run(body, rule)
    assert small.fusions == {"rms_norm_group_quant_fp8": 1}
    assert only_miss(small, "zz").hint == "expected C >= 512, got C = 256"
    assert run(body, rule, head=HEAD.replace("256", "512")).fusions == {"zz": 1}


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 40])
@pytest.mark.parametrize("equal", [True, False])
def test_each_takes_all_readers_or_none(n, equal):
    least = 3
    rule = rules.Rule(
        "scaled(x: F[..., C], w: F[C], v: F[C], *, eps: float) -> y: F[..., C]",
        "n = rms_norm(x, w, eps=eps)\ny = rms_norm(n, v, eps=1e-6)\nreturn y\n",
        'y = opaque(x, w, v, name="scaled", eps=eps)\nreturn y\n',
        each=least,
    )
    weights = "".join(f"constant v{i}: bf16[256]\n" for i in range(n))
    calls = "".join(f"y{i} = rms_norm(n, v{0 if equal else i})\n" for i in range(n))
    body = f"n = rms_norm(x, w, eps=1e-5)\n{calls}return {', '.join(f'y{i}' for i in range(n))}\n"
    result = run(body, rule, head=HEAD + weights)
    distinct = 1 if equal else n  # equal calls are one before any rule looks
    if distinct >= least:
        assert names(result) == ["opaque(scaled)"] * distinct
        assert result.fusions == {"scaled": distinct}
        assert result.misses == []
    else:
        assert "scaled" not in result.fusions
        assert names(result).count("rms_norm") == 1 + distinct
        misses = [miss for miss in result.misses if miss.rule == "scaled"]
        assert {miss.reason for miss in misses} == {"too_few"}
        assert len(misses) == distinct
        assert f"at least 3 such readers of what it shares, not {distinct}" in misses[0].hint


READ_ELSEWHERE = "n = rms_norm(x, w)\ny = softmax(n)\nz = silu_and_mul(n)\nreturn y, z\n"


def costly(**costs: bool) -> fusible.Target:
    return fusible.Target(
        name="test",
        pipeline="canonicalize,share-common,fuse-ops,drop-dead",
        all_operators=True,
        costs=costs,
    )


@pytest.mark.parametrize("costs", [{}, {"keep": True}, {"recompute": False}])
def test_a_rule_says_itself_what_happens_to_a_value_that_is_read_elsewhere(costs):
    target = costly(**costs)
    kept = run(READ_ELSEWHERE, sharp(on_escape="keep"), target=target)
    assert names(kept) == ["rms_norm", "opaque(my_sharp)", "silu_and_mul"]
    for policy in ("refuse", "recompute"):
        refused = run(READ_ELSEWHERE, sharp(on_escape=policy), target=target)
        assert refused.fusions == {}
        miss = only_miss(refused)
        assert (miss.reason, miss.node) == ("extra_user", "n")
        assert miss.hint == (
            "let only what is fused read n, not silu_and_mul (z); or set on_escape of sharp to "
            "keep, which computes n once more"
        )


def test_as_the_target_says_where_the_rule_does_not():
    assert run(READ_ELSEWHERE, sharp(), target=costly(keep=True)).fusions == {"sharp": 1}
    assert run(READ_ELSEWHERE, sharp(), target=costly()).fusions == {}


@pytest.mark.parametrize(("policy", "count"), [("recompute", 2), ("refuse", 0), ("keep", 2)])
def test_two_readers_that_both_fuse(policy, count):
    rule = rules.Rule(
        "scaled(x: F[..., C], w: F[C], v: F[C]) -> y: F[..., C]",
        "n = rms_norm(x, w)\ny = mul(n, v)\nreturn y\n".replace("mul(n, v)", "rms_norm(n, v)"),
        'y = opaque(x, w, v, name="scaled")\nreturn y\n',
        on_escape=policy,
    )
    head = HEAD + "constant a: bf16[256]\nconstant b: bf16[256]\n"
    result = run(
        "n = rms_norm(x, w)\ny = rms_norm(n, a)\nz = rms_norm(n, b)\nreturn y, z\n",
        rule,
        head=head,
    )
    assert result.fusions.get("scaled", 0) == count


@pytest.mark.parametrize(
    ("body", "reason", "hint"),
    [
        ("n = rms_norm(x, w)\ny = softmax(n)\nreturn y, n\n", "extra_user", "do not return n"),
        (
            "n = rms_norm(x, w)\na = cast(n, dtype=f32)\ny = softmax(a)\nreturn y\n",
            "dtype",
            "take out the cast from bf16 to f32 between rms_norm and softmax",
        ),
        (
            "n = rms_norm(x, w)\na = reshape(n, shape=[0, 2, 128])\ny = softmax(a)\nreturn y\n",
            "view_splits_last_dim",
            "keep the last dimension whole between rms_norm and softmax",
        ),
    ],
)
def test_a_near_miss_has_its_reason(body, reason, hint):
    miss = only_miss(run(body, sharp()))
    assert miss.reason == reason
    assert hint in miss.hint
    assert miss.saves > 0


def test_an_attribute_that_the_rule_fixes_is_a_near_miss():
    rule = rules.Rule(
        "sharp(x: F[..., C], w: F[C]) -> y: F[..., C]",
        FIND.replace("eps=eps", "eps=1e-05"),
        'y = opaque(x, w, name="my_sharp")\nreturn y\n',
    )
    miss = only_miss(run(ONE, rule))
    assert (miss.reason, miss.hint) == ("attr", "set eps of rms_norm to 1e-05, not 1e-12")


ACT = "gate(x: F[..., 2*D], w: F[D], *, eps: float) -> y: F[..., D]"


def gate_ways(op, x, w, *, eps):
    act = op.any_of("silu_and_mul", "gelu_and_mul", "gelu_tanh_and_mul")
    y = getattr(op, act)(x)
    if op.maybe():
        y = op.softmax(y)
    return op.rms_norm(y, w, eps=eps)


def test_choices_are_patterns_of_one_rule():
    rule = rules.Rule(ACT, gate_ways, 'y = opaque(x, w, name="gate", eps=eps)\nreturn y\n')
    assert len(rule.find) == 6
    head = "input x: bf16[T, 512]\nconstant w: bf16[256]\n"
    for act in ("silu_and_mul", "gelu_and_mul", "gelu_tanh_and_mul"):
        for between in ("", "b = softmax(a)\n"):
            read = "b" if between else "a"
            body = f"a = {act}(x)\n{between}y = rms_norm({read}, w)\nreturn y\n"
            result = run(body, rule, head=head)
            assert names(result) == ["opaque(gate)"], body
            assert result.fusions == {"gate": 1}


def test_rules_take_fused_calls_apart():
    body = "y, s = fused_add_rms_norm(x, x, w)\nz = softmax(y)\nreturn z, s\n"
    rule = rules.Rule(
        RESIDUAL, residual, 'y, s = opaque(x, r, w, name="k", eps=eps)\nreturn y, s\n'
    )
    assert names(run(body, rule)) == ["opaque(k)"]


def test_a_second_run_changes_nothing():
    rule = rules.Rule(RESIDUAL, residual, fewer)
    body = "s = add(x, x)\nn = rms_norm(s, w)\ny = softmax(n)\nreturn y, s\n"
    manager = fusible.PassManager(None, SM90, rules=[rule, sharp()])
    first = manager.run(fusible.Graph.parse(HEAD + body))
    again = manager.run(first.graph)
    assert again.rewrites == []
    assert str(again.graph) == str(first.graph)


def test_fuel_stops_between_two_sites():
    body = "n = rms_norm(x, w)\na = softmax(n)\nm = rms_norm(a, w)\ny = softmax(m)\nreturn y\n"
    manager = fusible.PassManager(None, SM90, rules=[sharp()])
    graph = fusible.Graph.parse(HEAD + body)
    assert names(manager.run(graph, fuel=1)) == ["opaque(my_sharp)", "rms_norm", "softmax"]
    assert names(manager.run(graph)) == ["opaque(my_sharp)", "opaque(my_sharp)"]


def test_nothing_is_taken_across_a_mutation():
    body = (
        "n = rms_norm(x, w)\n"
        'm: bf16[T, 256] = opaque(x, name="write", mutates=true)\n'
        "y = softmax(n)\nreturn y, m\n"
    )
    miss = only_miss(run(body, sharp()))
    assert (miss.reason, miss.node) == ("order", "n")


def test_a_cache_finds_what_was_made_with_the_same_rules(tmp_path):
    graph = fusible.Graph.parse(HEAD + ONE)
    first = fusible.optimize(graph, SM90, rules=[sharp()], cache=tmp_path)
    again = fusible.optimize(graph, SM90, rules=[sharp()], cache=tmp_path)
    other = fusible.optimize(graph, SM90, cache=tmp_path)
    assert (first.cached, again.cached, other.cached) == (False, True, False)
    assert again.fusions == first.fusions == {"sharp": 1}
    assert again.key.uuid == first.key.uuid
    assert other.fusions == {}


def test_a_rule_is_drawn():
    text = sharp(each=2, on_escape="recompute", where=["C >= 64"]).describe()
    assert text == (
        f"{SHARP}\n\nfinds\n"
        "  softmax() -> y\n  └─ rms_norm(eps)\n     ├─ x\n     └─ w\n\n"
        'puts in place\n  y = opaque(x, w, name="my_sharp", eps=eps)\n  return y\n\n'
        "looks through reshape, slice\n\n"
        "where a value inside is read elsewhere: recompute, so that each fused call computes it "
        "again\n\nat least 2 that share all but their last call\n\nwhere C >= 64\n"
    )
