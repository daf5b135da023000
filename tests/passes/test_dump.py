"""The graphs before and after each pass, as files."""

from __future__ import annotations

from pathlib import Path

import pytest

import fusible
from fusible import _core
from fusible.patterns import draw
from support.faults import plant

TEXT = "input x: bf16[T, 64]\nconstant w: bf16[64]\na = add(x, x)\ny = rms_norm(a, w)\nreturn y\n"
GRAPH = fusible.Graph.parse(TEXT)
PIPELINE = ("canonicalize", "fuse-ops", "fuse-ops", "drop-dead")


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_each_pass_has_a_file_in_order(tmp_path: Path) -> None:
    manager = fusible.PassManager(",".join(PIPELINE), "rocm-gfx950")
    result = manager.run(GRAPH, dump=tmp_path / "new" / "folder")
    made = files(tmp_path / "new" / "folder")
    patterns = made.pop("patterns.txt")
    assert [*made] == [f"{n:02}-{name}.ir" for n, name in enumerate(("input", *PIPELINE))]
    assert made["00-input.ir"] == made["01-canonicalize.ir"] == str(GRAPH)
    assert "fused_add_rms_norm" in made["02-fuse-ops.ir"]
    assert made["04-drop-dead.ir"] == str(result.graph)
    for rule in _core.rules():
        assert rule.signature in patterns.splitlines()
        assert draw(rule).splitlines()[0] in patterns


def test_fuel_ends_in_the_files_where_it_ends_in_the_run(tmp_path: Path) -> None:
    text = TEXT.replace("return", "dead = softmax(x)\nreturn")
    manager = fusible.PassManager("fuse-ops,drop-dead", "rocm-gfx950")
    result = manager.run(fusible.Graph.parse(text), fuel=1, dump=tmp_path)
    assert files(tmp_path)["02-drop-dead.ir"] == str(result.graph)
    assert [each.rule for each in result.rewrites] == ["fused_add_rms_norm"]


def test_what_came_before_a_pass_that_fails_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, 1)
    with pytest.raises(fusible.PassError):
        fusible.PassManager("canonicalize,fuse-ops", "rocm-gfx950").run(GRAPH, dump=tmp_path)
    assert [*files(tmp_path)] == ["00-input.ir", "01-canonicalize.ir", "patterns.txt"]


def test_a_dump_is_of_the_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    manager = fusible.PassManager(",".join(PIPELINE), "rocm-gfx950")
    manager.run(GRAPH, dump=tmp_path, watch=lambda stats, graph, misses: seen.append(stats.name))
    assert seen == [*PIPELINE]
    monkeypatch.setattr(_core, "PassManager", None)  # no other manager is made
    manager.run(GRAPH, dump=tmp_path)


def test_passes_that_take_no_part_have_no_file(tmp_path: Path) -> None:
    manager = fusible.PassManager("canonicalize,fuse-ops@[1,8],drop-dead", "rocm-gfx950")
    manager.run(GRAPH, dump=tmp_path)
    assert [*files(tmp_path)][:3] == ["00-input.ir", "01-canonicalize.ir", "02-drop-dead.ir"]


def test_rounds_of_a_fixpoint_have_a_file_each(tmp_path: Path) -> None:
    text = TEXT.replace("add(x, x)", "reshape(x, shape=[-1, 64])")
    fusible.PassManager("fixpoint(canonicalize)").run(fusible.Graph.parse(text), dump=tmp_path)
    assert [*files(tmp_path)][1:3] == ["01-canonicalize.ir", "02-canonicalize.ir"]


def test_what_a_watcher_raises_ends_the_run() -> None:
    def stop(stats: _core.PassStats, graph: fusible.Graph, misses: list[fusible.Miss]) -> None:
        raise KeyError(stats.name)

    with pytest.raises(KeyError, match="canonicalize"):
        fusible.PassManager(",".join(PIPELINE), "rocm-gfx950").run(GRAPH, watch=stop)
