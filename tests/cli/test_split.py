"""`fusible split`: a table of kinds, all pieces as JSON, and files that are graphs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fusible
from support.command import refused, run

TEXT = """
input x: bf16[T, 64]
constant w: bf16[64]
a = add(x, x)
b = rms_norm(a, w)
c: bf16[T, 64] = opaque(b, name="../my call")
d = add(c, c)
e = rms_norm(d, w)
f: bf16[T, 64] = opaque(e, name="../my call")
return f
"""
AT = ("--at", "../my call")


@pytest.fixture
def graph(tmp_path: Path) -> str:
    (tmp_path / "g.ir").write_text(TEXT)
    return str(tmp_path / "g.ir")


def test_a_line_for_each_kind_of_pieces(graph: str) -> None:
    lines = run("split", graph, *AT, "--target", "cuda-sm90").stdout.splitlines()
    assert lines[0].endswith("for cuda-sm90: 4 pieces, 2 distinct")
    assert [line.split()[:1] for line in lines[2:]] == [["0"], ["1"]]
    assert "2 -> 1" in lines[2]


def test_json_has_every_piece_with_its_types(graph: str, tmp_path: Path) -> None:
    found = json.loads(run("split", graph, *AT, "--json", "--out", str(tmp_path / "new")).stdout)
    assert found["distinct"] == 2
    assert [piece["at"] for piece in found["pieces"]] == ["", "../my call"] * 2
    assert [piece["same_as"] for piece in found["pieces"]] == [0, 1, 0, 1]
    first = found["pieces"][0]
    assert first["inputs"] == [
        {"name": "x", "type": "bf16[T, 64]", "kind": "plain"},
        {"name": "w", "type": "bf16[64]", "kind": "constant"},
    ]
    assert first["operators"] == {"before": 2, "after": 1}
    assert first["fusions"] == {"add+rms_norm": 1} or first["fusions"]
    names = [Path(piece["file"]).name for piece in found["pieces"]]
    assert names == ["00.ir", "01-.._my_call.ir", "02.ir", "03-.._my_call.ir"]
    assert sorted(names) == sorted(path.name for path in (tmp_path / "new").iterdir())
    for piece in found["pieces"]:
        written = fusible.Graph.parse(Path(piece["file"]).read_text())
        assert str(written.key()) == piece["key"]


def test_layers_of_a_model_are_two_kinds_and_the_ends() -> None:
    options = ("--model", "llama-3.1-8b", "--layers", "6", "--at", "attention", "--json")
    found = json.loads(run("split", *options).stdout)
    assert (len(found["pieces"]), found["distinct"]) == (13, 4)


def test_what_cannot_be_cut_at_is_one_line(graph: str) -> None:
    assert "got attenton" in refused("split", graph, "--at", "attenton")
    assert "--at" in refused("split", graph)
