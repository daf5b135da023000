"""`--pipeline` and `--range`: which passes take part, and what is said of those that do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.command import refused, run

TEXT = "input x: bf16[T, 64]\nconstant w: bf16[64]\na = add(x, x)\ny = rms_norm(a, w)\nreturn y\n"
RANGED = "fuse-ops@[1,512],drop-dead"


@pytest.fixture
def graph(tmp_path: Path) -> str:
    (tmp_path / "g.ir").write_text(TEXT)
    return str(tmp_path / "g.ir")


def explain(graph: str, *options: str) -> dict[str, object]:
    report: dict[str, object] = json.loads(
        run("explain", graph, "--target", "cuda-sm90", "--json", *options).stdout
    )
    return report


def test_explain_says_which_passes_take_no_part(graph: str) -> None:
    inside = explain(graph, "--pipeline", RANGED, "--range", "1", "8")
    assert (inside["fusions"], inside["left_out"]) == ({"fused_add_rms_norm": 1}, {})
    outside = explain(graph, "--pipeline", RANGED, "--range", "1", "513")
    reason = "runs for sizes 1 to 512, and the result is for 1 to 513"
    assert (outside["fusions"], outside["left_out"]) == ({}, {"fuse-ops": reason})
    text = run("explain", graph, "--pipeline", RANGED).stdout
    assert "fuse-ops took no part: it runs for sizes 1 to 512, and the result is for any" in text


def test_a_pipeline_may_stand_in_a_file(graph: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('pipeline = [{pass = "fuse-ops", range = [1, 512]}, "drop-dead"]\n')
    options = ("--range", "1", "8")
    assert explain(graph, "--pipeline", str(path), *options) == explain(
        graph, "--pipeline", RANGED, *options
    )
    path.write_text("pipeline = [1]\n")
    line = refused("explain", graph, "--pipeline", str(path))
    assert f"{path}: pipeline[0]: expected the name of a pass" in line


def test_what_is_no_range_is_refused(graph: str) -> None:
    assert "range: expected the least and the greatest" in refused(
        "explain", graph, "--range", "8", "1"
    )


def test_rules_that_chase_each_other_are_wrong_input(graph: str) -> None:
    line = refused(
        "explain", graph, "--target", "cuda-sm90", "--pipeline", "fixpoint(fuse-ops,lower-fused)"
    )
    assert "fuse-ops: fused_add_rms_norm at y and lower-fused: expand at y chase each other" in line


def test_a_key_is_for_the_sizes_that_it_is_asked_for(graph: str) -> None:
    def key(*options: str) -> str:
        return run("key", graph, "--target", "cuda-sm90", "--pipeline", RANGED, *options).stdout

    assert "range: 1 to 8\n" in key("--range", "1", "8")
    assert "range: " not in key()
    assert "--range: expected --target" in refused("key", graph, "--range", "1", "8")


def test_bisect_runs_the_passes_that_take_part(graph: str) -> None:
    options = ("bisect", graph, "--target", "cuda-sm90", "--pipeline", RANGED, "--check")
    failing = ("python -c 'import sys; sys.exit(\"fused\" in open(sys.argv[1]).read())'",)
    assert "good after all rewrites (0)" in run(*options, *failing).stdout
    found = run(*options, *failing, "--range", "1", "8", code=1).stdout
    assert found.startswith("rewrite 1 of 1: pass fuse-ops, rule fused_add_rms_norm, at y")
