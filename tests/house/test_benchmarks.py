"""What the benchmarks' figures rest on: the bytes that are counted, what runs, what is compared."""

import argparse
import json
import subprocess
import sys
from itertools import groupby

import ml_dtypes
import numpy as np
import pytest
from benchmarks import bench_attention, bench_decode, bench_matmul, roofline
from benchmarks.agreement import CODES, difference
from benchmarks.compare import Contender, turns
from benchmarks.language import divergence
from benchmarks.layered import NODES, layered
from benchmarks.machine import Traffic
from benchmarks.measure import Cell
from benchmarks.parts import Parts
from benchmarks.peaks import Peaks
from benchmarks.workloads import WORKLOADS, Problem, Size

import fusible
from support.sources import ROOT
from support.tolerance import assert_same_bits

SIZE = Size(3, 576)
PRESENT = {workload.name: workload for workload in WORKLOADS if not workload.missing}
NAMES = list(PRESENT)
PEAKS = Peaks(fma=100.0, dot=200.0, vnni=None, read=20.0)  # GFLOP/s, GFLOP/s, GB/s


def attended(shape, tokens):
    """A call over 64 keys: a millisecond of ours, two of PyTorch's."""
    call, seconds = bench_attention.Call(shape, tokens, 64), {"fusible": [1e-3], "torch": [2e-3]}
    elements = shape.size if shape.latent else shape.size + shape.value_size
    size = 2 * 64 * shape.kv_heads * elements
    return bench_attention.Result(call, 2, PEAKS.dot, PEAKS.read, size, seconds)


def decoded(work):
    """8 tokens a second of ours, half as many of another program's in f32."""
    seconds, sizes = {"fusible fp8": [1.0], "peer f32": [2.0]}, {"fusible fp8": 1, "peer f32": 4}
    sizes = {name: size * 10**9 for name, size in sizes.items()}
    return bench_decode.Case(work, 8, 2, PEAKS, 4e11, sizes, seconds)


@pytest.mark.parametrize("name", NAMES)
def test_given_calls_write_what_allocating_calls_return(name):
    problem = Problem(PRESENT[name], SIZE)
    results = problem.given()()
    results = results if isinstance(results, tuple) else (results,)
    for one, other in zip(results, problem.result, strict=True):
        assert_same_bits(one, other, name)


@pytest.mark.parametrize("name", [name for name in NAMES if Problem(PRESENT[name], SIZE).fused])
def test_parts_compute_what_the_fused_operator_computes(name):
    problem = Problem(PRESENT[name], SIZE)
    parts = Parts(problem.signature, problem.operands, problem.attrs)
    for results in (parts.given()(), parts.allocating()()):
        for one, other in zip(results, problem.result, strict=True):
            assert_same_bits(one, other, name)
    assert parts.bytes > problem.traffic.bytes or PRESENT[name].in_place


def test_bytes_are_those_of_the_operands_and_results():
    row = 3 * 576
    assert Problem(PRESENT["rms_norm"], SIZE).traffic == Traffic((2 * row, 2 * 576), (2 * row,))
    quant = Problem(PRESENT["per_token_group_quant_fp8"], SIZE).traffic
    assert quant == Traffic((2 * row,), (row, 4 * row // 64))
    in_place = Problem(PRESENT["fused_add_rms_norm in place"], SIZE).traffic
    assert in_place == Traffic((2 * 576,), (), (2 * row, 2 * row))
    assert in_place.bytes == 2 * 576 + 4 * 2 * row


def test_predictions_are_compared_as_distributions():
    logits = np.array([0.0, np.log(3.0)])
    assert divergence(logits, logits.astype(np.float32) + 5) < 1e-6
    expected = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert abs(divergence(logits, np.zeros(2)) - expected) < 1e-12


def test_differences_are_counted_in_steps_of_the_format():
    ours = np.array([[1, -2, 3, 0]], ml_dtypes.float8_e4m3fn)
    theirs = (ours.view(np.uint8) + np.array([0, 1, 0, 0], np.uint8)).view(ours.dtype)
    scales = np.ones((1, 1), np.float32)
    apart = difference([ours, scales], [theirs, scales * np.float32(1 + 2**-10)])
    assert (apart.steps, apart.share, apart.scales) == (1, 0.25, 2**-10)
    assert not apart.within(CODES)  # a quarter of the codes is too many
    assert difference([ours, scales], [ours, scales]).within(CODES)
    assert difference([scales], [scales * 3]).unrelated
    assert difference([scales], [scales * np.nan]).unrelated


def test_turns_begin_with_another_contender_each_time():
    calls = []
    contenders = {name: Contender(lambda name=name: calls.append(name)) for name in "abc"}
    times = turns(contenders, budget=0.0)
    assert {name: len(some) for name, some in times.items()} == {"a": 5, "b": 5, "c": 5}
    order = "".join(name for name, _ in groupby(calls))
    assert order == "abc" + "abc" + "bca" + "cab" + "abc" + "bca"  # the first to warm up


def test_a_peer_is_compared_with_the_call_that_does_as_it_does():
    samples = {"fusible": [4.0] * 5, "fusible out=": [2.0] * 5, "a": [8.0] * 5, "b": [6.0] * 5}
    samples["floor"] = [1.0, 1.0, 1.5, 2.0, 2.0]
    cell = Cell("rms_norm", "bf16", 1, 576, 1, 100, 1.0, 2.0, given=["b"], samples_us=samples)
    assert (cell.ratio("a").median, cell.ratio("b").median) == (2.0, 3.0)
    assert (cell.best_peer, cell.best_us) == ("a", 2.0)
    assert (cell.floor_us, cell.share.median) == (1.5, 0.75)


def test_the_command_prints_its_table_and_writes_its_samples(tmp_path):
    file = tmp_path / "cells.json"
    sizes = ["--tokens", "2", "--hidden", "64", "--threads", "1", "--budget", "0"]
    command = ["-m", "benchmarks", "--filter", "fused_add_rms_norm*", *sizes, "--peers", "none"]
    done = subprocess.run(
        [sys.executable, *command, "--json", str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "fused_add_rms_norm in place, bf16, 1 thread" in done.stdout
    written = json.loads(file.read_text())
    assert {(cell["tokens"], cell["hidden"]) for cell in written["cells"]} == {(2, 64)}
    for cell in written["cells"]:
        median = cell["quartiles_us"]["fusible out="]["median"]
        assert 0 < cell["floor_us"] < median
        assert median in cell["samples_us"]["fusible out="]
    assert written["machine"]["hard"]["cpu"]


@pytest.mark.parametrize("target", ["cpu", "cuda-sm90"])
def test_each_layer_of_long_graphs_is_fifty_nodes_and_fuses_like_the_others(target):
    graphs = [fusible.Graph.parse(layered(layers)) for layers in (2, 3, 6)]
    assert [len(graph.nodes) for graph in graphs] == [2 * NODES, 3 * NODES, 6 * NODES]
    two, three, six = (fusible.optimize(graph, target).fusions for graph in graphs)
    assert three != two
    assert six == {name: count + 3 * (count - two.get(name, 0)) for name, count in three.items()}


@pytest.mark.parametrize(
    ("shape", "tokens", "unit", "rate", "limit"),
    [
        (bench_attention.SHAPES[0], 1, "GB/s", 0.049152, PEAKS.read),
        (bench_attention.SHAPES[1], 64, "GFLOP/s", 34.07872, PEAKS.dot),
        # 128 heads by one key: the arithmetic of 17.8 MFLOP takes longer than reading.
        (bench_attention.LATENT, 1, "GB/s", 0.073728, PEAKS.dot * 0.073728 / 17.825792),
    ],
)
def test_attention_is_shown_below_what_bounds_it(shape, tokens, unit, rate, limit):
    shown = attended(shape, tokens).bars()
    assert shown.unit == unit
    assert shown.rates == pytest.approx({"fusible": rate, "torch": rate / 2})
    assert shown.limits == pytest.approx({"fusible": limit, "torch": limit})


def test_tokens_are_shown_below_what_bounds_them():
    written, read = decoded("write").bars(), decoded("read").bars()
    assert written.rates == read.rates == {"fusible fp8": 8.0, "peer f32": 4.0}
    assert written.limits == {"fusible fp8": 20.0, "peer f32": 5.0}
    assert read.limits == {"fusible fp8": 4.0, "peer f32": 2.0}  # f32 has no dot products


def products():
    """Of one shape and two numbers of rows."""
    samples = {"fusible": [10.0, 11.0], "torch": [20.0, 22.0]}
    return [bench_matmul.Case("small", rows, 64, 32, 1, PEAKS, samples) for rows in (1, 8)]


@pytest.mark.parametrize("kind", ["svg", "png"])
@pytest.mark.parametrize(
    ("draw", "results", "words"),
    [
        (
            bench_attention.draw,
            [attended(bench_attention.LATENT, 1), attended(bench_attention.SHAPES[0], 64)],
            ["DeepSeek-V3 latent", "decode over 64, 2 threads", "prefill 64, 2 threads", "torch"],
        ),
        (
            bench_decode.draw,
            [decoded("write"), decoded("read")],
            ["write 8, 2 threads", "tokens/s", "8 (40%)", "4 (80%)", "peer f32"],
        ),
        (bench_matmul.draw, products(), ["small, 1 thread", "GFLOP/s", "torch"]),
    ],
    ids=["attention", "decode", "matmul"],
)
def test_pictures_are_written(tmp_path, draw, results, words, kind):
    pytest.importorskip("matplotlib", reason="pictures need what ci/setup --bench installs")
    file = tmp_path / f"picture.{kind}"
    draw(results, file, "this machine")
    assert list(tmp_path.iterdir()) == [file]
    if kind == "png":
        assert file.read_bytes().startswith(b"\x89PNG")
    else:
        text = file.read_text()
        assert [word for word in [*words, "this machine"] if word not in text] == []


@pytest.mark.parametrize("name", ["picture.jpg", "picture", ".svg"])
def test_a_name_that_is_no_picture_s_is_refused_before_measuring(name):
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected a name that ends in .svg or"):
        roofline.picture(name)
