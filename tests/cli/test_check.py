"""`fusible check`: exact counts in a file, and what `--update` keeps of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fusible import expectations
from fusible.cli.check import other_layers
from support.command import refused, run

FUSED = "rms_norm_group_quant_fp8"
GRAPH = """
input x: bf16[T, 512]
constant w: bf16[512]
constant m: bf16[64, 512]
y = rms_norm(x, w)
q, s = per_token_group_quant_fp8(y)
"""
MODEL = ("--model", "llama-3.1-8b", "--fp8", "--target", "cuda-sm90")
RECORDED = """
[cuda-sm90]
fused_add_rms_norm_group_quant_fp8 = "2*L"
silu_and_mul_group_quant_fp8 = "L"
"""


class Place:
    """A graph and a file of expectations."""

    def __init__(self, folder: Path) -> None:
        self.graph = folder / "g.ir"
        self.file = folder / "expect.toml"
        self.graph.write_text(f"{GRAPH}return q, s\n")

    def options(self, *more: str) -> tuple[str, ...]:
        return ("check", str(self.graph), "--target=cuda-sm90", f"--expect={self.file}", *more)

    def expects(self, lines: str) -> Place:
        self.file.write_text(f"[cuda-sm90]\n{lines}\n")
        return self

    def report(self, *more: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run(*self.options("--json", *more), code=code).stdout)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_counts_that_hold(place: Place) -> None:
    place.expects(f'{FUSED} = "L//2"')
    done = run(*place.options("--size", "L=3"))
    assert "1 of 1 fusions as expected" in done.stdout
    assert done.stderr == ""
    found = place.report("--size", "L=3")
    assert found["holds"] is True
    assert found["sizes"] == {"L": 3}
    assert found["fusions"] == {
        FUSED: {"formula": "L//2", "expected": 1, "got": 1, "misses": []},
    }


def test_sizes_have_any_names(place: Place) -> None:
    place.expects(f'{FUSED} = "counts - self * sizes"')
    run(*place.options("--size", "counts=7", "--size", "self=2", "--size", "sizes=3"))


def test_what_is_missing_is_told_with_its_reason(place: Place) -> None:
    place.expects(f"{FUSED} = 1")
    place.graph.write_text(f"{GRAPH}z = matmul(y, m)\nreturn q, s, z\n")
    done = run(*place.options(), code=1)
    assert f"check: {FUSED}: expected 1, got 0" in done.stderr
    assert "extra_user (let only what is fused read y, not matmul (z))" in done.stderr
    assert "missing" in done.stdout
    miss = place.report(code=1)["fusions"][FUSED]["misses"][0]
    assert (miss["node"], miss["reason"]) == ("y", "extra_user")


def test_what_comes_near_nothing_says_so(place: Place) -> None:
    place.expects(f"{FUSED} = 1\nsilu_and_mul_group_quant_fp8 = 1")
    assert "nothing in the graph comes near it" in run(*place.options(), code=1).stderr


def test_a_fusion_that_is_not_in_the_file_fails(place: Place) -> None:
    place.expects("")
    done = run(*place.options(), code=1)
    assert f"check: {FUSED}: expected 0, got 1" in done.stderr
    assert "too many" in done.stdout
    assert place.report(code=1)["holds"] is False


def test_other_targets_are_not_looked_at(place: Place) -> None:
    place.expects(f"{FUSED} = 1\n[cpu]\n{FUSED} = 9")
    run(*place.options())


@pytest.mark.parametrize(
    ("held", "kept"),
    [('"L-1"', '"L-1"'), ('"3*L"', "1"), ("7", "1"), ('"(L) // 2"', '"(L) // 2"')],
)
def test_an_update_keeps_what_holds(place: Place, held: str, kept: str) -> None:
    place.expects(f'{FUSED} = {held}\ngone = "L"\nnever = 0\n[cpu]\n"a+b" = "2*L"')
    place.file.write_text(f"# Mine.\n{place.file.read_text()}")
    run(*place.options("--update", "--size", "L=2"))
    assert place.file.read_text() == (
        f'# Mine.\n\n[cuda-sm90]\nnever = 0\n{FUSED} = {kept}\n\n[cpu]\n"a+b" = "2*L"\n'
    )
    run(*place.options("--size", "L=2"))


def test_an_update_of_a_model_finds_formulas_that_hold_for_all_its_layers(tmp_path: Path) -> None:
    file = tmp_path / "llama.toml"
    run("check", *MODEL, "--expect", str(file), "--update")
    assert file.read_text() == expectations.HEAD + RECORDED
    run("check", *MODEL, "--expect", str(file), "--layers", "32")
    before = file.stat().st_ino
    run("check", *MODEL, "--expect", str(file), "--layers", "31", "--update")
    assert file.read_text() == expectations.HEAD + RECORDED
    assert file.stat().st_ino != before  # replaced whole, never written into


@pytest.mark.parametrize(
    ("layers", "most", "others"),
    [
        (1, 32, [2, 3]),
        (2, 42, [4, 6]),
        (32, 32, [17, 2]),
        (61, 61, [31, 1]),
        (2, 2, []),
        (1, 2, []),
    ],
)
def test_other_numbers_of_layers(layers: int, most: int, others: list[int]) -> None:
    assert other_layers(layers, most) == others


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = ", "expected TOML, got"),
        ("cuda-sm90 = 3", "cuda-sm90: expected a table of counts, got 3"),
        ("[cuda-sm90]\na = -1", "cuda-sm90: a: expected a whole number or a formula"),
        ("[cuda-sm90]\na = true", "cuda-sm90: a: expected a whole number or a formula"),
        ('[cuda-sm90]\na = "\\u0000"', "cuda-sm90: a: expected a whole number or a formula"),
        (f'[cuda-sm90]\na = "{"(" * 300}"', "cuda-sm90: a: expected a whole number or a formula"),
        ('[cuda-sm90]\na = "L**9"', "cuda-sm90: expect: expected numbers, + - * // and the names"),
        ('[cuda-sm90]\na = "2*M"', "the names given (none), got '2*M'"),
        ('[cuda-sm90]\na = "1//0"', "cuda-sm90: expect: '1//0': integer division"),
        ("a = " + "[" * 5000, "expected"),
        ("#" + "x" * (1 << 20), "expected at most 1048576 bytes, got more"),
    ],
)
@pytest.mark.parametrize("update", [(), ("--update",)])
def test_a_wrong_file_is_named_and_stays(
    place: Place, text: str, message: str, update: tuple[str, ...]
) -> None:
    place.file.write_text(text)
    line = refused(*place.options(*update))
    assert str(place.file) in line
    assert message in line
    assert place.file.read_text() == text


@pytest.mark.parametrize(("text", "got"), [("[cpu]\na = 1", "cpu"), ("", "none")])
def test_a_file_without_the_target_is_named(place: Place, text: str, got: str) -> None:
    place.file.write_text(text)
    message = f"expected a table cuda-sm90 (--update writes it), got {got}"
    assert f"{place.file}: {message}" in refused(*place.options())
    run(*place.options("--update"))
    assert expectations.read(place.file)["cuda-sm90"] == {FUSED: 1}


def test_wrong_options_are_named(place: Place, tmp_path: Path) -> None:
    assert "expect.toml: No such file" in refused(*place.options())
    assert "check: expected GRAPH or --model, got neither" in refused("check", "--expect", "x.toml")
    place.expects("")
    for size in ("L", "L=", "=3", "L=-1", "L=\u00b2", f"L={'9' * 19}"):
        assert "--size: expected NAME=NUMBER, got" in refused(*place.options("--size", size))
    line = refused("check", *MODEL, "--expect", str(place.file), "--size", "L=3")
    assert "--size: expected L only with GRAPH" in line
    line = refused(*place.options("--update", f"--expect={tmp_path / 'no' / 'such.toml'}"))
    assert "such.toml: No such file or directory" in line
