"""Patterns as drawings, and what is said of them for a target."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fusible
from fusible import _core
from fusible.patterns import draw, judge

RULES = {rule.name: rule for rule in _core.rules()}
GOLDEN = Path(__file__).parent / "golden"
ROW_TARGET = 'name = "mine"\npipeline = "fuse-rows"\noperators = ["add"]\n'
OPS_TARGET = ROW_TARGET.replace("fuse-rows", "fuse-ops")


def load(tmp_path: Path, text: str) -> fusible.Target:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return fusible.load_target(path)


def test_every_fused_operator_has_a_rule() -> None:
    fused = {name for name in _core.op_names() if _core.find_op(name).describe()["equals"]}
    assert set(RULES) == fused


def test_a_drawing() -> None:
    drawing = draw(RULES["fused_add_rms_norm_group_quant_fp8"]).splitlines()
    attrs = drawing[0].removeprefix("per_token_group_quant_fp8(").partition(")")[0].split(", ")
    assert {"group_size", "dtype"} <= set(attrs)
    assert drawing[0].endswith(") -> q, scales")
    assert drawing[1:] == [
        "└─ rms_norm(eps)",
        "   ├─ add() -> sum  (operands in either order)",
        "   │  ├─ x",
        "   │  └─ residual",
        "   └─ weight",
    ]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_drawing_shows_all_of_a_pattern(rule: _core.Rule) -> None:
    drawing = draw(rule)
    for call in rule.calls:
        assert f"{call.op}(" in drawing
    described = _core.find_op(rule.name).describe()
    for each in (*described["params"], *described["results"]):
        assert each["name"] in drawing
    for attr in described["attrs"]:
        assert attr["name"] in drawing


def call(op: str, operands: list[int], results: list[int], attrs: Any = ()) -> SimpleNamespace:
    return SimpleNamespace(op=op, operands=operands, results=results, attrs=attrs, commutes=False)


def test_a_call_that_two_read_is_drawn_once() -> None:
    split = call("split", [0, -1], [1, 2], [("dim", "axis"), ("parts", "2")])
    rule: Any = SimpleNamespace(
        values=["x", "low", "high", "a", "y"],
        makers=[-1, 0, 0, 1, 2],
        outputs=[4],
        calls=[split, call("neg", [1], [3]), call("sub", [3, 2], [4])],
    )
    assert draw(rule).splitlines() == [
        "sub() -> y",
        "├─ neg()",
        "│  └─ low of #1 split(dim=axis, parts=2)",
        "│     ├─ x",
        "│     └─ none",
        "└─ high of #1",
    ]


@pytest.mark.parametrize("target", fusible.targets())
def test_what_cannot_fuse_does_not(target: str) -> None:
    chosen = fusible.load_target(target)
    possible = {name for name, rule in RULES.items() if judge(rule, chosen).by}
    fused: set[str] = set()
    for path in GOLDEN.glob("*.ir"):
        graph = fusible.Graph.parse(path.read_text().partition("\n=> ")[0] + "\n")
        fused |= fusible.optimize(graph, chosen).fusions.keys() & set(RULES)
    assert fused
    assert fused <= possible


def test_limits_of_a_target_are_told() -> None:
    verdict = judge(RULES["rms_norm_group_quant_fp8"], fusible.load_target("cuda-sm90"))
    assert verdict.by == "fuse-ops"
    assert verdict.limits["group_size"] == [64, 128]
    assert verdict.limits["dtype"] == ["e4m3fn"]


def test_no_kernel() -> None:
    verdict = judge(RULES["rms_norm_static_quant_fp8"], fusible.load_target("musa-s5000"))
    assert (verdict.by, verdict.reason) == ("", "no_kernel")
    assert "rms_norm_static_quant_fp8" in verdict.hint


def test_variants_that_exclude_each_other(tmp_path: Path) -> None:
    variants = """[variants]
rms_norm_group_quant_fp8 = { group_size = [64] }
per_token_group_quant_fp8 = { group_size = [128] }
"""
    fused = OPS_TARGET.replace("add", "rms_norm_group_quant_fp8")
    verdict = judge(RULES["rms_norm_group_quant_fp8"], load(tmp_path, fused + variants))
    assert (verdict.by, verdict.reason) == ("", "op_variant")
    assert "group_size" in verdict.hint


def test_row_programs_need_no_kernel_but_rows(tmp_path: Path) -> None:
    mine = load(tmp_path, ROW_TARGET)
    assert judge(RULES["fused_add_rms_norm"], mine).by == "fuse-rows"
    verdict = judge(RULES["rotary_embedding_kv_cache_update"], mine)
    assert (verdict.by, verdict.reason) == ("", "not_rows")


def test_a_pipeline_that_fuses_nothing(tmp_path: Path) -> None:
    mine = load(tmp_path, ROW_TARGET.replace("fuse-rows", "drop-dead"))
    assert judge(RULES["fused_add_rms_norm"], mine).reason == "no_pass"
