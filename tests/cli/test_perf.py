"""`fusible explain --perf`: plans, packed weights, bytes and flops of products and attention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fusible import Graph, _core, perf
from support.command import refused, run
from support.contract import ISAS, machine

GRAPH = """
input x: bf16[T, 576]
input v: bf16[64, 576]
constant w: bf16[192, 576]
constant u: bf16[192, 576]
h = matmul_silu_and_mul(x, u)
a = matmul(x, w)
b = matmul(x, v)
s = softmax(a)
return h, s, b
"""
ATTENTION = """
input q: bf16[T, 8, 64]
input k: bf16[B, 16, 2, 64]
input v: bf16[B, 16, 2, 32]
input table: i32[S, M]
input start: i32[S+1]
input lengths: i32[S]
y = attention(q, k, v, table, start, lengths, scale=0.125)
return y
"""
# Operator, dtypes of the rows and of the weight, whether that is a constant.
PRODUCTS = [
    (operator, x, w, packed)
    for operator, pairs in {
        "matmul": [("f32", "f32"), ("bf16", "bf16"), ("f16", "f16")],
        "block_scaled_matmul": [("e4m3fn", "e4m3fn"), ("e4m3fnuz", "e4m3fnuz"), ("e5m2", "e5m2")],
        "w8a16_block_fp8_matmul": [("f32", "e4m3fn"), ("bf16", "e5m2"), ("f16", "e4m3fn")],
        "int8_scaled_mm": [("i8", "i8")],
    }.items()
    for x, w in pairs
    for packed in (True, False)
]
SCALES = {
    "matmul": "",
    "block_scaled_matmul": ", group_scale, block_scale",
    "w8a16_block_fp8_matmul": ", block_scale",
    "int8_scaled_mm": ", row_scale, column_scale",
}
SIZES = ("T=4", "B=9", "S=2", "M=3")


def sized(*sizes: str) -> list[str]:
    return [part for size in sizes for part in ("--size", size)]


def every_product() -> str:
    """A graph that has each of PRODUCTS once."""
    lines = [
        "input group_scale: f32[T, 9]",
        "input block_scale: f32[2, 5]",
        "input row_scale: f32[T, 1]",
        "input column_scale: f32[192]",
    ]
    for i, (operator, x, w, packed) in enumerate(PRODUCTS):
        kind, scales = "constant" if packed else "input", SCALES[operator]
        sizes = ", group_size=64" if operator == "block_scaled_matmul" else ""
        lines += [f"input x{i}: {x}[T, 576]", f"{kind} w{i}: {w}[192, 576]"]
        lines += [f"y{i} = {operator}(x{i}, w{i}{scales}{sizes})"]
    return "\n".join([*lines, "return " + ", ".join(f"y{i}" for i in range(len(PRODUCTS)))])


def write(folder: Path, text: str) -> str:
    (folder / "g.ir").write_text(text)
    return str(folder / "g.ir")


def works(path: str, *options: str) -> list[dict[str, Any]]:
    report = json.loads(run("explain", path, "--perf", "--json", *options).stdout)
    found: list[dict[str, Any]] = report["works"]
    return found


def test_products_with_their_plans(tmp_path: Path) -> None:
    path = write(tmp_path, GRAPH)
    by_weight = {work["weight"]: work for work in works(path, *sized("T=512"))}
    assert set(by_weight) == {"w", "u", "v"}
    packed, unpacked = by_weight["w"], by_weight["v"]
    assert (packed["packed"], unpacked["packed"]) == (True, False)
    assert packed["dims"] == {"K": 576, "N": 192}
    assert packed["flops"] == 2 * 512 * 192 * 576
    assert packed["weight_bytes"] == 192 * 576 * 2
    assert packed["bytes"] == 2 * (512 * 576 + 192 * 576 + 512 * 192)
    assert packed["intensity"] == packed["flops"] / packed["bytes"]
    assert packed["advice"] == ""
    assert "make v a constant" in unpacked["advice"]


def test_fused_operators_are_taken_apart(tmp_path: Path) -> None:
    assert [work["operator"] for work in works(write(tmp_path, GRAPH), *sized("T=1"))] == [
        "matmul"
    ] * 3


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("rows", [1, 13, 600])
def test_plans_are_those_of_the_kernels_on_this_machine(
    tmp_path: Path, isa: str, rows: int
) -> None:
    path = write(tmp_path, every_product())
    command = ("explain", path, "--perf", "--json", *sized(f"T={rows}"))
    report = json.loads(run(*command, FUSIBLE_ISA=isa, FUSIBLE_THREADS="2").stdout)
    with machine(isa, 2):
        assert report["machine"] == {"isa": isa, **_core.matmul_machine()}
        for work, (operator, x, w, packed) in zip(report["works"], PRODUCTS, strict=True):
            assert (work["operator"], work["packed"]) == (operator, packed)
            dtypes = {"rows_dtype": x, "weight_dtype": w}
            given = {**_core.matmul_machine(), **dtypes, "packed": packed}
            assert work["plan"] == _core.matmul_plan(rows, 192, 576, **given)["form"]


def test_another_target_has_no_plans_of_ours(tmp_path: Path) -> None:
    path = write(tmp_path, GRAPH)
    found = works(path, "--target", "cuda-sm90", *sized("T=8"))
    assert {(work["plan"], work["advice"]) for work in found} == {("", "")}
    assert {work["packed"] for work in found} == {True, False}


def test_attention_counts_every_key_of_the_table(tmp_path: Path) -> None:
    (work,) = works(write(tmp_path, ATTENTION), *sized(*SIZES))
    assert work["plan"] == "blocks"
    assert work["packed"] is None
    assert work["rows"] == 4
    assert work["flops"] == 2 * 4 * 8 * (64 + 32) * 3 * 16


def test_the_table_counts_equal_ones_and_says_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, GRAPH)
    lines = run("explain", path, "--perf", *sized("T=8")).stdout.splitlines()
    isa, threads = _core.chosen_isa(), _core.thread_count()
    assert lines[0] == f"{path} for cpu: {isa}, {threads} thread{'s' if threads > 1 else ''}"
    assert lines[1].split()[:4] == ["operator", "count", "rows", "sizes"]
    assert lines[2].split()[:5] == ["matmul", "2", "8", "K=576,", "N=192"]
    assert lines[3].split()[:5] == ["matmul", "1", "8", "K=576,", "N=64"]
    assert lines[4].startswith("b: not packed, which is slower: make v a constant")
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--perf",), "sizes: expected a number for T, got none"),
        (("--perf", *sized("T=1", "U=2")), "sizes: U: expected one of T, got U=2"),
        (("--perf", *sized("T=x")), "--size: expected SYMBOL=NUMBER, each once, got T=x"),
        (
            ("--perf", *sized("T=99999999999999999999")),
            "--size: expected SYMBOL=NUMBER, each once, got T=99999999999999999999",
        ),
        (("--perf", *sized("T=1", "T=2")), "--size: expected SYMBOL=NUMBER, each once, got T=2"),
        (sized("T=1"), "explain: --size: expected --perf beside it, got none"),
        (("--perf", "--diff", "cpu", "cuda-sm90"), "--perf: expected none beside --diff"),
    ],
)
def test_wrong_input(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    assert message in refused("explain", write(tmp_path, GRAPH), *options)


def test_counts_are_checked_as_without_it(tmp_path: Path) -> None:
    path = write(tmp_path, GRAPH)
    done = run("explain", path, "--perf", *sized("T=1"), "--expect", "add=1", code=1)
    assert "add" in done.stderr


@pytest.mark.parametrize("threads", [0, -1])
def test_plans_are_for_a_thread_at_least(threads: int) -> None:
    graph = Graph.parse(GRAPH)
    with pytest.raises(_core.ArgumentError, match=f"threads: expected at least 1, got {threads}"):
        perf.works(graph, {"T": 600}, threads=threads)
    with pytest.raises(_core.ArgumentError, match="matmul_plan: expected threads"):
        _core.matmul_plan(600, 8, 8, threads=threads)
