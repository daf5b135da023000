"""`fusible patterns` and `fusible explain --diff`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fusible import _core, load_target
from fusible.cli.difference import why_none
from support.command import refused, run

FUSED = "rms_norm_group_quant_fp8"
GRAPH = """
input x: bf16[T, 512]
constant w: bf16[512]
y = rms_norm(x, w)
q, s = per_token_group_quant_fp8(y)
return q, s
"""


@pytest.fixture
def graph(tmp_path: Path) -> str:
    path = tmp_path / "g.ir"
    path.write_text(GRAPH)
    return str(path)


def test_every_pattern_is_listed() -> None:
    found = json.loads(run("patterns", "--json").stdout)
    assert found["target"] is None
    assert [one["name"] for one in found["patterns"]] == [rule.name for rule in _core.rules()]
    listed = run("patterns").stdout
    assert all(one["signature"] in listed for one in found["patterns"])


def test_one_pattern_for_a_target() -> None:
    (found,) = json.loads(run("patterns", FUSED, "--target=cuda-sm90", "--json").stdout)["patterns"]
    assert found["name"] == FUSED
    assert found["calls"][0]["op"] == "rms_norm"
    assert found["calls"][0]["operands"] == ["x", "weight"]
    assert found["target"]["by"] == "fuse-ops"
    shown = run("patterns", FUSED, "--target=cuda-sm90").stdout
    assert "  └─ rms_norm(eps)\n" in shown
    assert "  cuda-sm90: fuse-ops; " in shown
    assert "group_size 64 or 128" in shown


def test_why_a_target_does_not_fuse_one() -> None:
    shown = run("patterns", "rms_norm_static_quant_fp8", "--target", "musa-s5000").stdout
    assert "  musa-s5000: no: no_kernel: list rms_norm_static_quant_fp8 among" in shown


def test_row_programs_are_said_to_fuse_more() -> None:
    assert "Beside these, cpu fuses any row operators" in run("patterns", "--target", "cpu").stdout


def test_an_unknown_pattern_is_named() -> None:
    assert "patterns: expected the name of a pattern, got 'rms_norm_quant'; near it: " in refused(
        "patterns", "rms_norm_quant"
    )
    assert "`fusible patterns` lists them" in refused("patterns", "zzz")
    assert "no-such-target" in refused("patterns", "--target", "no-such-target")


def test_a_difference_has_the_near_misses_of_the_one_that_fuses_less(graph: str) -> None:
    found = json.loads(run("explain", graph, "--diff", "cuda-sm90", "rocm-gfx942", "--json").stdout)
    assert found["a"] == {"target": "cuda-sm90", "operators": 1}
    assert found["b"] == {"target": "rocm-gfx942", "operators": 2}
    (one,) = found["fusions"]
    assert (one["name"], one["a"], one["b"]) == (FUSED, 1, 0)
    assert (one["misses"][0]["reason"], one["misses"][0]["node"]) == ("op_variant", "q")
    shown = run("explain", graph, "--diff", "cuda-sm90", "rocm-gfx942").stdout
    assert f"{FUSED}: 0 instead of 1, since for rocm-gfx942" in shown
    assert "e4m3fnuz, which rocm-gfx942 has" in shown


def test_what_rises_needs_no_reason(graph: str) -> None:
    found = json.loads(run("explain", graph, "--diff", "rocm-gfx942", "cuda-sm90", "--json").stdout)
    assert found["fusions"] == [{"name": FUSED, "a": 0, "b": 1}]
    shown = run("explain", graph, "--diff", "rocm-gfx942", "cuda-sm90").stdout
    assert "cuda-sm90 fuses nothing less often than rocm-gfx942" in shown


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("softmax+softmax", "cuda-sm90", "cuda-sm90 has no fuse-rows in its pipeline"),
        ("softmax+softmax", "cpu", "nothing in the graph comes near it"),
        (FUSED, "cuda-sm90", "nothing in the graph comes near it"),
        ("rms_norm_static_quant_fp8", "musa-s5000", "no_kernel: list rms_norm_static_quant_fp8"),
    ],
)
def test_without_a_near_miss_there_is_a_reason(name: str, target: str, words: str) -> None:
    assert words in why_none(name, load_target(target))


def test_the_reason_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "g.ir"
    path.write_text("input x: f32[T, 8]\ny = softmax(x)\nz = softmax(y)\nreturn z\n")
    shown = run("explain", str(path), "--diff", "cpu", "cuda-sm90").stdout
    assert "softmax+softmax: 0 instead of 1, since for cuda-sm90\nfuse-rows makes it" in shown


@pytest.mark.parametrize(
    "option", [("--expect", "a=1"), ("--save", "x.ir"), ("--target", "cpu")], ids=lambda o: o[0]
)
def test_other_options_are_refused_beside_diff(graph: str, option: tuple[str, str]) -> None:
    line = refused("explain", graph, "--diff", "cpu", "cuda-sm90", *option)
    assert f"explain: {option[0]}: expected none beside --diff" in line
