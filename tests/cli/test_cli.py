"""The command line as a user runs it: what it prints, and the codes it exits with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.command import refused, run

GRAPH = """
input x: bf16[T, 256]
input residual: bf16[T, 256]
constant w: bf16[256]
sum = add(x, residual)
y = rms_norm(sum, w)
return y, sum
"""
G_KEYS = {"operators", "fusions", "misses", "choices", "left_out", "key", "times"}
LATENT = ("explain", "--model", "deepseek-v3.2", "--target", "rocm-gfx950", "--json")


@pytest.fixture
def graph(tmp_path: Path) -> str:
    path = tmp_path / "graph.ir"
    path.write_text(GRAPH)
    return str(path)


def test_help_imports_neither_numpy_nor_the_extension() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "fusible", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Examples:" in done.stdout
    assert "numpy" not in done.stderr
    assert "fusible._core" not in done.stderr


def test_info_says_what_runs() -> None:
    found = json.loads(run("info", "--json").stdout)
    assert {*found} == {"version", "build_id", "isa", "threads", "optional"}
    assert found["isa"]["chosen"] in found["isa"]["present"]
    assert found["version"] in run("info").stdout


def test_ops_lists_every_operator_and_shows_one() -> None:
    assert "rms_norm" in run("ops").stdout
    listed = json.loads(run("ops", "--json").stdout)
    assert listed["matmul"]["kind"] == "kernel"
    shown = run("ops", "fused_add_rms_norm").stdout
    assert "sum = add(x, residual)" in shown
    assert "no_such_operator" in refused("ops", "no_such_operator")


def test_targets_lists_them_and_shows_one() -> None:
    assert "rocm-gfx942" in run("targets").stdout
    listed = json.loads(run("targets", "--json").stdout)
    assert listed["rocm-gfx942"]["fp8"] == "e4m3fnuz"
    assert "rocm-gfx950" in run("targets", "rocm-gfx950").stdout
    assert "no-such-target" in refused("targets", "no-such-target")


def test_explain_counts_what_fuses(graph: str) -> None:
    found = json.loads(run("explain", graph, "--json").stdout)
    assert {*found} == G_KEYS
    assert found["operators"] == {"before": 2, "after": 1}
    assert found["fusions"] == {"fused_add_rms_norm": 1}
    assert "fused_add_rms_norm" in run("explain", graph).stdout
    assert json.loads(run("explain", "-", "--json", stdin=GRAPH).stdout) == found


def test_explain_fails_where_an_expected_fusion_is_missing(graph: str) -> None:
    run("explain", graph, "--expect", "fused_add_rms_norm=1")
    assert "expected 2" in run("explain", graph, "--expect", "fused_add_rms_norm=2", code=1).stderr
    assert "NAME=COUNT" in refused("explain", graph, "--expect", "fused_add_rms_norm")


def test_the_latent_query_of_deepseek_fuses_whole_on_gfx950() -> None:
    found = json.loads(run(*LATENT).stdout)
    assert found["fusions"]["rms_norm_group_quant_fp8"] == 1
    assert found["fusions"]["fused_add_rms_norm_group_quant_fp8"] == 1


def test_what_runs_again_is_printed_with_what_it_would_move_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "cast.ir"
    path.write_text(
        "input c: e4m3fn[T, 256]\nconstant m: bf16[256, 256]\nv = cast(c)\na = softmax(v)\n"
        "b = matmul(a, m)\nd = add(b, v)\nreturn d\n"
    )
    (choice,) = json.loads(run("explain", str(path), "--json").stdout)["choices"]
    assert (choice["kind"], choice["node"]) == ("recompute", "v")
    lines = run("explain", str(path)).stdout.splitlines()
    (row,) = [line.split() for line in lines if line.startswith("recompute")]
    assert row[:4] == ["recompute", "v", str(choice["bytes"]), str(choice["otherwise"])]


def test_the_wrong_variant_is_named() -> None:
    found = json.loads(run(*LATENT, "--fp8-format", "e4m3fnuz").stdout)
    assert found["fusions"] == {"fused_add_rms_norm": 1}  # nothing with a quantization in it
    assert "op_variant" in {miss["reason"] for miss in found["misses"]}


def test_a_graph_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.ir"
    path.write_text("input x: bf16[T, 256]\ny = no_such(x)\nreturn y\n")
    assert "bad.ir: line 2" in refused("explain", str(path))
    assert "missing.ir" in refused("key", str(tmp_path / "missing.ir"))
    assert "GRAPH or --model" in refused("explain")
    assert "got llama-9" in refused("explain", "--model", "llama-9")


def test_a_key_does_not_see_names(graph: str, tmp_path: Path) -> None:
    other = tmp_path / "other.ir"
    other.write_text(GRAPH.replace("sum", "total").replace("T", "N"))
    keys = [json.loads(run("key", path, "--json").stdout)["key"] for path in (graph, str(other))]
    assert keys[0] == keys[1]
    assert keys[0] in run("key", graph).stdout
    assert keys[0] not in run("key", graph, "--target", "cpu").stdout


def test_keys_of_two_graphs_are_compared(graph: str, tmp_path: Path) -> None:
    other = tmp_path / "other.ir"
    other.write_text(GRAPH.replace("w)", "w, eps=0.5)").replace("sum", "total"))
    said = run("key", "--diff", graph, str(other), code=1).stdout.splitlines()
    assert said[0] == "outputs: 1 of 2 results are computed in another way: number 0 (y)"
    assert said[1].endswith("y = rms_norm(sum, w) here, y = rms_norm(total, w, eps=0.5) there")
    found = json.loads(run("key", "--diff", graph, str(other), "--json", code=1).stdout)
    assert {*found} == {"equal", "keys", "differences"}
    assert (found["equal"], [*found["differences"]]) == (False, ["outputs", "structure"])
    assert found["keys"][0] == json.loads(run("key", graph, "--json").stdout)["key"]
    other.write_text(GRAPH.replace("sum", "total"))
    same = run("key", "--diff", graph, str(other)).stdout
    assert same == f"the same key: {found['keys'][0]}\n"
    options = ("--target", "cpu", "--pipeline", "drop-dead", "--json")
    equal = json.loads(run("key", "--diff", graph, str(other), *options).stdout)
    assert (equal["equal"], equal["differences"]) == (True, {})
    assert equal["keys"] == [json.loads(run("key", graph, *options).stdout)["key"]] * 2


def test_a_number_of_graphs_that_does_not_fit_is_refused(graph: str) -> None:
    assert "expected two graphs with --diff, got 1" in refused("key", "--diff", graph)
    assert "expected one GRAPH, or --diff, got 2" in refused("key", graph, graph)
    assert "expected --target" in refused("key", graph, "--pipeline", "drop-dead")


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("demo") / "out"
    arguments = ("--model", "smollm2-135m", "--layers", "1", "--save", str(folder), "--json")
    return json.loads(run("demo", *arguments).stdout), folder


def test_demo_reports_in_its_schema(demonstrated: tuple[dict[str, Any], Path]) -> None:
    report, _ = demonstrated
    assert {*report} == {"model", "target", "graphs", "same_bits", "text", "perplexity"}
    assert report["same_bits"] is True
    assert {*report["graphs"]} == {"bf16", "fp8"}
    for graph in report["graphs"].values():
        assert {*graph} == G_KEYS
        assert graph["operators"]["after"] < graph["operators"]["before"]
        assert {"fused_ms", "unfused_ms", "of_floor"} <= {*graph["times"]["decode"]}
    assert report["graphs"]["bf16"]["fusions"]["fused_add_rms_norm"] == 2
    assert {*report["perplexity"]} == {"bf16", "fused", "fp8"}


def test_demo_saves_graphs_that_explain_reads(demonstrated: tuple[dict[str, Any], Path]) -> None:
    report, folder = demonstrated
    assert json.loads((folder / "demo.json").read_text()) == report
    again = json.loads(run("explain", str(folder / "fp8.before.ir"), "--json").stdout)
    assert again | {"times": {}} == report["graphs"]["fp8"] | {"times": {}}
    run("key", str(folder / "bf16.after.ir"))


def test_demo_refuses_options_that_exclude_each_other(graph: str) -> None:
    assert "--weights" in refused("demo", "--model", "smollm2-135m", "--weights", graph)
    assert "graph.ir" in refused("demo", "--weights", graph)


def test_a_missing_extra_is_named(graph: str) -> None:
    hide = "import sys; sys.modules['gguf'] = None; from fusible.__main__ import main; main()"
    command = [sys.executable, "-c", hide, "demo", "--weights", graph]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'fusible[models]'" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ops",), 0),
        (("explain", "-"), 0),
        (("explain", "-", "--expect", "fused_add_rms_norm=1"), 0),
        (("explain", "-", "--expect", "fused_add_rms_norm=2"), 1),
        (("ops", "no_such_operator"), 2),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_whoever_stops_reading_changes_no_exit_code(
    arguments: tuple[str, ...], code: int, unbuffered: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `fusible ops | true`, without the race
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "fusible", *arguments],
            input=GRAPH,
            text=True,
            stdout=pipe,
            stderr=pipe,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert done.returncode == code


def test_the_first_lines_of_a_list_are_printed_whole() -> None:
    whole = run("ops").stdout.splitlines()
    command = [sys.executable, "-m", "fusible", "ops"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listing:
        assert listing.stdout is not None
        first = listing.stdout.readline()
        listing.stdout.close()
        assert listing.wait() == 0
    assert first.rstrip("\n") == whole[0]
