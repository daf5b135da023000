"""The first rewrite that breaks a check is named, whatever the check."""

from __future__ import annotations

from pathlib import Path

import pytest

import fusible
from fusible import checks
from support.faults import plant

# Three norms that fuse each with its addition, and the last one with a quantizer as well.
TEXT = """
input x: bf16[T, 256]
input r: bf16[T, 256]
constant w: bf16[256]
a = add(x, r)
n = rms_norm(a, w, eps=1e-05)
b = add(a, n)
m = rms_norm(b, w, eps=0.001)
c = add(b, m)
k = rms_norm(c, w, eps=0.01)
q, s = per_token_group_quant_fp8(k)
return q, s, c
"""
GRAPH = fusible.Graph.parse(TEXT)
TARGET = "rocm-gfx950"


def suspects(found: fusible.Bisection) -> list[tuple[str, str, str]]:
    return [(each.pass_name, each.rule, each.node) for each in found.suspects]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_very_rewrite_is_named(number: int) -> None:
    whole = fusible.optimize(GRAPH, TARGET)
    assert len(whole.rewrites) == 3
    broken = fusible.PassManager(None, TARGET).run(GRAPH, fuel=number)
    calls = str(broken.graph).count("fused_")
    found = fusible.bisect(GRAPH, lambda graph: str(graph).count("fused_") < calls, TARGET)
    culprit = whole.rewrites[number - 1]
    assert suspects(found) == [(culprit.pass_name, culprit.rule, culprit.node)]
    assert (found.number, found.rewrites, found.fault) == (number, 3, "")
    assert str(found.after) == str(broken.graph)
    good = fusible.PassManager(None, TARGET).run(GRAPH, fuel=number - 1)
    assert str(found.before) == str(good.graph)
    made = [line for line in found.diff().splitlines() if "fused_" in line and line[0] == "+"]
    assert len(made) == 1


def test_a_graph_that_is_well_has_no_suspects() -> None:
    found = fusible.bisect(GRAPH, checks.verify, TARGET)
    assert (found.suspects, found.number, found.rewrites, found.after) == ((), 0, 3, None)
    assert str(found.before) == str(fusible.optimize(GRAPH, TARGET).graph)


@pytest.mark.parametrize("target", ["cpu", "cuda-sm90", "musa-s5000"])
def test_no_rewrite_changes_bits(target: str) -> None:
    assert fusible.bisect(GRAPH, checks.Bits(GRAPH), target).suspects == ()


def test_bits_find_a_rewrite_that_changes_them() -> None:
    """The fault of a pass that loses eps in one fusion, planted between the pass and the check."""
    bits = checks.Bits(GRAPH)

    def check(graph: fusible.Graph) -> bool:
        lines = str(graph).splitlines()
        lost = [
            line.replace("0.001", "0.5") if "fused_add_rms_norm(" in line else line
            for line in lines
        ]
        return bits(fusible.Graph.parse("\n".join(lost) + "\n"))

    found = fusible.bisect(GRAPH, check, TARGET)
    assert suspects(found) == [("fuse-ops", "fused_add_rms_norm", "m")]
    assert "eps=0.001" in found.diff()


def test_a_graph_that_does_not_run_has_other_bits() -> None:
    wider = fusible.Graph.parse(TEXT.replace("256", "512"))
    assert not checks.Bits(GRAPH)(wider)


def test_bits_run_indices_tables_caches_and_symbols() -> None:
    graph = fusible.Graph.parse(
        "input ids: i64[T]\nconstant table: bf16[11, 64]\nconstant cos_sin: f32[32, 32]\n"
        "input positions: i64[T]\ninput slots: i64[T]\nupdated k_cache: bf16[4, 16, 1, 64]\n"
        "updated v_cache: bf16[4, 16, 1, 64]\nconstant w: bf16[64]\ninput twice: bf16[2*T, 64]\n"
        "x = embedding(ids, table)\ny = rms_norm(x, w)\nk = reshape(y, shape=[0, 1, 64])\n"
        "rotated = rotary_embedding(k, positions, cos_sin)\n"
        "k_new, v_new = kv_cache_update(rotated, k, slots, k_cache, v_cache)\n"
        "z = softmax(twice)\nreturn z, k_new, v_new\n"
    )
    inputs = checks.random_inputs(graph)
    assert inputs["twice"].shape == (2 * inputs["ids"].shape[0], 64)
    assert len({*inputs["slots"].tolist()}) == inputs["slots"].size
    assert inputs["ids"].max() < 11
    assert inputs["slots"].max() > 4  # of B*P slots
    other = checks.random_inputs(graph, seed=1)
    assert inputs["twice"].tobytes() != other["twice"].tobytes()
    assert fusible.bisect(graph, checks.Bits(graph)).suspects == ()


def test_inputs_that_cannot_be_drawn_are_said_to_be() -> None:
    graph = fusible.Graph.parse(
        "input q: f32[4, 1, 64]\ninput k: f32[2, 16, 1, 64]\ninput table: i32[1, 2]\n"
        "input starts: i32[2]\ninput lengths: i32[1]\n"
        "y = attention(q, k, k, table, starts, lengths, scale=0.125)\nreturn y\n"
    )
    with pytest.raises(fusible.ArgumentError, match="bits: expected a graph that runs with inputs"):
        checks.Bits(graph)


def test_what_cannot_be_told_leaves_several_suspects() -> None:
    calls = [str(fusible.PassManager(None, TARGET).run(GRAPH, fuel=n).graph) for n in (1, 2)]
    found = fusible.bisect(
        GRAPH, lambda graph: None if str(graph) in calls else "fused_" not in str(graph), TARGET
    )
    assert len(found.suspects) == 3
    assert found.number == 1
    assert str(found.before) == str(GRAPH)


@pytest.mark.parametrize(("verdict", "said"), [(False, "it fails"), (None, "it cannot tell")])
def test_the_graph_itself_has_to_pass(verdict: bool | None, said: str) -> None:
    with pytest.raises(fusible.ArgumentError, match=f"before the first rewrite, {said}"):
        fusible.bisect(GRAPH, lambda graph: verdict, TARGET)


def test_the_last_graph_has_to_be_judged() -> None:
    with pytest.raises(fusible.ArgumentError, match="a verdict behind the last rewrite, got none"):
        fusible.bisect(GRAPH, lambda graph: None if "fused_" in str(graph) else True, TARGET)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_pass_that_fails_breaks_every_check(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fusible.optimize(GRAPH, TARGET)
    plant(monkeypatch, number, "fuse-ops: types: m: planted")
    found = fusible.bisect(GRAPH, lambda graph: True, TARGET)
    culprit = whole.rewrites[number - 1]
    assert suspects(found) == [(culprit.pass_name, culprit.rule, culprit.node)]
    assert (found.number, found.fault) == (number, "fuse-ops: types: m: planted")
    assert found.after is None
    assert found.diff() == ""


def test_a_pass_that_fails_at_once_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, 0)
    found = fusible.bisect(GRAPH, lambda graph: True, TARGET)
    assert suspects(found) == [("canonicalize", "", "")]
    assert (found.number, found.rewrites, found.after) == (0, 0, None)


@pytest.mark.parametrize("text", ["", "  ", "'open"])
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(fusible.ArgumentError, match=r"^check: "):
        checks.Command(text)


TRANSPOSES = (Path(__file__).parent / "golden" / "transposes.ir").read_text().partition("\n=> ")[0]


def test_transposes_that_merge_keep_bits() -> None:
    graph = fusible.Graph.parse(TRANSPOSES + "\n")
    rules = [each.rule for each in fusible.optimize(graph, pipeline="canonicalize").rewrites]
    assert rules == ["merge-transposes", "identity", "merge-transposes"]
    assert fusible.bisect(graph, checks.Bits(graph)).suspects == ()
