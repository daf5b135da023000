"""The fusion gate: what `fusible explain` says against what was recorded."""

import dataclasses

import pytest

from fusible.gate import expectation, fusion
from fusible.gate.fusion import Subject
from fusible.gate.model import GateError, Verdict

SUBJECT = Subject(model="llama-3.1-8b", target="cuda-sm90", fp8=True)
FUSED = "fused_add_rms_norm_group_quant_fp8"
GRAPH = """
input x: bf16[T, 512]
constant w: bf16[512]
constant m: bf16[64, 512]
y = rms_norm(x, w)
q, s = per_token_group_quant_fp8(y)
"""
WHOLE = GRAPH + "return q, s\n"
SPLIT = GRAPH + "z = matmul(y, m)\nreturn q, s, z\n"


def by_name(path):
    return {one.name.partition("#")[2]: one for one in fusion.check(path)}


@pytest.fixture
def recorded(tmp_path):
    """A graph that fuses, and its expectation."""
    (tmp_path / "block.ir").write_text(WHOLE)
    path = tmp_path / "expect" / "block.toml"
    path.parent.mkdir()
    fusion.record(path, Subject(graph=str(tmp_path / "block.ir"), target="cuda-sm90"))
    return path


def test_a_record_holds_formulas_of_the_layers(tmp_path):
    path = tmp_path / "llama.toml"
    text = fusion.record(path, SUBJECT)
    assert path.read_text() == text
    file = expectation.read_fusions(path)
    assert (file.model, file.target, file.fp8, file.layers) == (SUBJECT.model, "cuda-sm90", True, 2)
    assert file.fusions[FUSED] == "2*L"
    assert "L" in str(file.operators)
    found = fusion.check(path)
    assert {one.verdict for one in found} == {Verdict.UNCHANGED}
    assert {one.name for one in found} >= {f"llama#{FUSED}", "llama#operators"}


def test_the_same_is_recorded_again(recorded):
    subject = Subject(graph=str(recorded.parent.parent / "block.ir"), target="cuda-sm90")
    assert fusion.record(recorded, subject) == recorded.read_text()
    assert 'graph = "../block.ir"' in recorded.read_text()


def test_a_loss_is_told_with_its_reason(recorded):
    (recorded.parent.parent / "block.ir").write_text(SPLIT)
    lost = by_name(recorded)["rms_norm_group_quant_fp8"]
    assert lost.verdict is Verdict.REGRESSED
    assert lost.reason.startswith("expected 1, got 0; y: extra_user: ")
    assert "matmul (z)" in lost.reason
    assert by_name(recorded)["operators"].verdict is Verdict.REGRESSED


def test_a_gain_is_to_be_recorded(recorded):
    text = recorded.read_text()
    recorded.write_text(text.replace("rms_norm_group_quant_fp8 = 1", ""))
    gained = by_name(recorded)["rms_norm_group_quant_fp8"]
    assert gained.verdict is Verdict.IMPROVED
    assert "record it" in gained.reason


def test_what_comes_near_nothing_says_so(recorded):
    recorded.write_text(recorded.read_text() + 'silu_and_mul_quant = "3"\n')
    assert "nothing in the graph comes near it" in by_name(recorded)["silu_and_mul_quant"].reason


@pytest.mark.parametrize(
    ("formula", "value"),
    [("2*L", 10), ("L", 5), ("2*L+1", 11), ("3*L-2", 13), ("1+L", 6), ("7", 7), (7, 7), ("0", 0)],
)
def test_formulas(formula, value):
    assert expectation.evaluate(formula, 5) == value


@pytest.mark.parametrize(
    ("counts", "formula"),
    [
        ([4, 8, 12], "2*L"),
        ([2, 4, 6], "L"),
        ([5, 9, 13], "2*L+1"),
        ([3, 7, 11], "2*L-1"),
        ([3, 3, 3], 3),
        ([3, 4, 5], 3),  # half a fusion a layer
        ([3, 7, 9], 3),
        ([9, 7, 5], 9),
        ([6], 6),
    ],
)
def test_formulas_are_fitted(counts, formula):
    found = fusion.formula(dict(zip((2, 4, 6), counts, strict=False)))
    assert found == formula
    if isinstance(found, str):
        assert [expectation.evaluate(found, n) for n in (2, 4, 6)] == counts


HEAD = 'version = 1\nmodel = "llama-3.1-8b"\n[fusions]\n'
BAD = {
    "no TOML": ("version = ", "expected TOML, got"),
    "an unknown version": (HEAD.replace("1", "2", 1), "version: expected 1, got 2"),
    "no fusions": ("version = 1\nmodel = 'a'\n", "fusions: expected a value, got none"),
    "an unknown key": (f"tolerance = 3\n{HEAD}", "tolerance: expected no such key, got 3"),
    "no formula": (f'{HEAD}a = "2**L"\n', "fusions.a"),
    "code": (f'{HEAD}a = "__import__(0)"\n', "fusions.a"),
    "a negative": (f"{HEAD}a = -1\n", "fusions.a"),
    "a key twice": (f"{HEAD}a = 1\na = 2\n", "expected TOML, got"),
    "both subjects": (f'graph = "a"\n{HEAD}', "expected either model or graph, got both or none"),
    "a merge conflict": (f"<<<<<<< HEAD\n{HEAD}", "expected TOML, got"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_bad_files_are_named(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(GateError) as error:
        fusion.check(path)
    assert str(error.value).startswith(f"{path}: ")
    assert words in str(error.value)


def test_json_is_read_too(tmp_path):
    path = tmp_path / "llama.json"
    path.write_text('{"version": 1, "model": "llama-3.1-8b", "target": "cpu", "fusions": {}}')
    assert expectation.read_fusions(path).fusions == {}


def test_the_complaint_of_explain_is_told(tmp_path):
    path = tmp_path / "unknown.toml"
    path.write_text('version = 1\nmodel = "no-such-model"\n[fusions]\n')
    with pytest.raises(GateError, match=r"fusible explain .*no-such-model"):
        fusion.check(path)


def test_a_subject_is_a_model_or_a_graph(tmp_path):
    for subject in (Subject(), dataclasses.replace(SUBJECT, graph="a.ir")):
        with pytest.raises(GateError, match="either a model or a graph"):
            fusion.record(tmp_path / "x.toml", subject)
