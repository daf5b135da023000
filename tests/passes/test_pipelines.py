"""Pipelines: their text, ranges of the token dimension, and what a range means for keys."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusible
from fusible import _core

GRAPH = fusible.Graph.parse(
    "input x: bf16[T, 64]\nconstant w: bf16[64]\na = add(x, x)\ny = rms_norm(a, w)\nreturn y\n"
)
SM90 = "cuda-sm90"
RANGED = "canonicalize,fuse-ops@[1,512],drop-dead"
NAMES = st.sampled_from([name for name, _ in _core.pass_names()])
SIZES = st.integers(0, 2**63 - 1)


@st.composite
def pipelines(draw: st.DrawFn) -> str:
    def call() -> str:
        least, greatest = sorted([draw(SIZES), draw(SIZES)])
        ends = ("", f"@[{least},{greatest}]", f"@[{least},]")
        return draw(NAMES) + draw(st.sampled_from(ends))

    def stage() -> str:
        calls = [call() for _ in range(draw(st.integers(1, 3)))]
        return f"fixpoint({','.join(calls)})" if draw(st.booleans()) else calls[0]

    return ",".join(stage() for _ in range(draw(st.integers(1, 4))))


@given(pipelines(), st.data())
def test_the_text_of_a_pipeline_is_read_as_it_is_written(text: str, data: st.DataObject) -> None:
    spaced = "".join(
        f"{space}{char}{space}" if char in ",()@[]" else char
        for char in text
        for space in [data.draw(st.sampled_from(["", " ", "  "]))]
    )
    read = fusible.PassManager(spaced).pipeline
    assert fusible.PassManager(read).pipeline == read
    assert read == text.replace(f",{2**63 - 1}]", ",]")


def test_compile_takes_a_pipeline_and_a_range(tmp_path: Path) -> None:
    weights = {"w": np.ones(64, ml_dtypes.bfloat16)}
    x = np.arange(64, dtype=np.float32).astype(ml_dtypes.bfloat16)[None]
    made = [
        fusible.compile(
            GRAPH, weights=weights, pipeline="fuse-rows@[1,512]", range=range, cache=tmp_path
        )
        for range in (None, (1, 512), (1, 512), (1, 513))
    ]
    assert [len(one.graph.nodes) for one in made] == [2, 1, 1, 2]
    assert [one.result.cached for one in made] == [False, False, True, False]
    manager = fusible.PassManager("fuse-rows@[1,512]")
    assert [one.result.key for one in made[:2]] == [
        manager.key_of(GRAPH),
        manager.key_of(GRAPH, (1, 512)),
    ]
    assert len({str(one.result.key) for one in made}) == 3
    assert len({one(x=x).tobytes() for one in made}) == 1
    with pytest.raises(fusible.ArgumentError, match="range: expected the least and the greatest"):
        fusible.compile(GRAPH, weights=weights, range=(2, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fuse-ops@", "column 10: expected `[`, got the end"),
        ("fuse-ops@512", "column 10: expected `[`, got `512`"),
        ("fuse-ops@[1]", "column 12: expected `,`, got `]`"),
        ("fuse-ops@[,5]", "column 11: expected a size, got `,5]`"),
        ("fuse-ops@[-1,5]", "column 11: expected a size, got `-1,5]`"),
        ("fuse-ops@[1,9223372036854775808]", "column 13: expected a size, got"),
        ("fuse-ops@[1,5", "column 14: expected `]`, got the end"),
        ("fuse-ops@[9,5]", "fuse-ops: expected the least size, then the greatest, got 9 and 5"),
        ("fuse-ops drop-dead", "column 10: expected `,` or the end, got `drop-dead`"),
        ("fixpoint(fuse-ops", "column 18: expected `)`, got the end"),
        ("fixpoint(fuse-ops)@[1,2]", "column 19: expected `,` or the end, got `@[1,2]`"),
        ("fixpoint()", "expected passes out of canonicalize, "),
        ("fixpoint(fixpoint(fuse-ops))", "expected passes out of canonicalize, "),
        ("fuse-ops,", "expected passes out of canonicalize, "),
        ("fixpoint", "expected passes out of canonicalize, "),
    ],
)
def test_what_is_no_pipeline_is_refused(text: str, message: str) -> None:
    with pytest.raises(fusible.ArgumentError, match=r"^pipeline: ") as error:
        fusible.PassManager(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("given_range", "takes_part"),
    [((1, 512), True), ((8, 8), True), ((0, 512), False), ((1, 513), False), (None, False)],
)
def test_a_pass_runs_where_its_range_holds_that_of_the_run(
    given_range: tuple[int, int] | None, takes_part: bool
) -> None:
    result = fusible.PassManager(RANGED, SM90).run(GRAPH, range=given_range)
    assert bool(result.fusions) == takes_part
    assert [one.name for one in result.stats] == ["canonicalize", "fuse-ops", "drop-dead"]
    assert [bool(one.left_out) for one in result.stats] == [False, not takes_part, False]


def test_why_a_pass_took_no_part_is_said() -> None:
    manager = fusible.PassManager("fuse-ops@[1,512],fuse-rows@[513,]", SM90)
    small, any_size = manager.run(GRAPH, range=(1, 8)), manager.run(GRAPH)
    assert [one.left_out for one in small.stats] == [
        "",
        "runs for sizes 513 and more, and the result is for 1 to 8",
    ]
    assert any_size.stats[0].left_out == "runs for sizes 1 to 512, and the result is for any size"
    assert (small.stats[1].rewrites, small.stats[1].nodes_before, small.stats[1].nodes_after) == (
        (0, 1, 1)
    )


def test_ranges_that_share_no_size_choose_one_pass() -> None:
    manager = fusible.PassManager("fuse-ops@[1,512],fuse-rows@[513,]", SM90)
    assert manager.run(GRAPH, range=(1, 512)).graph.nodes[0].name == "fused_add_rms_norm"
    assert manager.run(GRAPH, range=(513, 4096)).graph.nodes[0].is_region
    assert manager.run(GRAPH, range=(512, 513)).graph == GRAPH


def test_a_range_that_holds_every_run_with_one_is_still_none_without() -> None:
    always = fusible.PassManager("fuse-ops@[0,]", SM90)
    assert always.run(GRAPH, range=(0, 2**63 - 1)).fusions == {"fused_add_rms_norm": 1}
    assert always.run(GRAPH).fusions == {}


def test_the_range_of_a_run_and_those_of_passes_are_in_the_key() -> None:
    ranged, plain = (
        fusible.PassManager(text, SM90) for text in (RANGED, RANGED.replace("@[1,512]", ""))
    )
    for range in (None, (1, 8), (1, 512)):
        assert ranged.key_of(GRAPH, range) == ranged.run(GRAPH, range=range).key
        assert ranged.key(range).diff(plain.key(range)).keys() == {"passes"}
    assert ranged.key((1, 8)).diff(ranged.key()) == {"range": "1 to 8 here, none there"}
    assert ranged.key((1, 8)).diff(ranged.key((1, 9))).keys() == {"range"}
    other = fusible.PassManager(RANGED.replace("512", "511"), SM90)
    assert "fuse-ops@[1,511]" in other.key().explain()
    assert other.key((1, 8)) != ranged.key((1, 8))


def test_a_fixpoint_is_in_the_key() -> None:
    texts = (
        "canonicalize,share-common",
        "fixpoint(canonicalize),share-common",
        "fixpoint(canonicalize,share-common)",
        "fixpoint(canonicalize),fixpoint(share-common)",
    )
    assert len({fusible.PassManager(text).uuid() for text in texts}) == len(texts)


def test_a_cache_has_an_entry_for_each_range(tmp_path: Path) -> None:
    def optimize(range: tuple[int, int] | None) -> fusible.Result:
        return fusible.optimize(GRAPH, SM90, RANGED, range=range, cache=tmp_path)

    ranges = (None, (1, 8), (1, 600))
    fresh = [optimize(range) for range in ranges]
    found = [optimize(range) for range in ranges]
    assert [one.cached for one in fresh + found] == [False] * 3 + [True] * 3
    assert [bool(one.fusions) for one in found] == [False, True, False]
    assert [[stats.left_out for stats in one.stats] for one in found] == [
        [stats.left_out for stats in one.stats] for one in fresh
    ]


@pytest.mark.parametrize("range", [(8, 1), (1,), 8, (1, 2**63)])
def test_a_run_takes_no_range_that_is_none(range: object) -> None:
    with pytest.raises(fusible.ArgumentError, match=r"^range: expected the least and the greatest"):
        fusible.optimize(GRAPH, range=range)  # type: ignore[arg-type]


# Pipelines in TOML.

LIST = """
pipeline = [
  {fixpoint = ["canonicalize", {pass = "share-common", range = [1, 8]}]},
  {pass = "fuse-ops", range = [1, 512]},
  {pass = "fuse-rows", range = [513]},
  "drop-dead",
]
"""
TEXT = "fixpoint(canonicalize,share-common@[1,8]),fuse-ops@[1,512],fuse-rows@[513,],drop-dead"


def test_a_file_holds_a_pipeline_as_a_list_or_as_text(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    for content in (LIST, f'description = "both"\npipeline = "{TEXT}"\n'):
        path.write_text(content)
        assert fusible.PassManager(path).pipeline == TEXT
        assert fusible.PassManager(str(path)).uuid() == fusible.PassManager(TEXT).uuid()


def test_the_file_of_a_target_holds_it_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(f'name = "mine"\noperators = ["add"]\n{LIST}')
    assert fusible.PassManager(None, str(path)).pipeline == TEXT
    assert fusible.PassManager(None, str(path)).passes[:2] == ["canonicalize", "share-common"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "pipeline: expected a text or a list of passes, got none"),
        ("pipeline = []", "pipeline: expected a text or a list of passes, got []"),
        ("pipeline = 3", "pipeline: expected a text or a list of passes, got 3"),
        ("pipeline = [3]", "pipeline[0]: expected the name of a pass, or a table"),
        ("pipeline = ['a,b']", "pipeline[0]: expected the name of a pass, got 'a,b'"),
        ("pipeline = ['fuse-everything']", "expected passes out of canonicalize, "),
        ("pipeline = [{pass = 'fuse-ops', ranges = [1, 2]}]", "pipeline[0]: expected the name"),
        ("pipeline = [{pass = 'fuse-ops', range = []}]", "pipeline[0]: expected the name"),
        ("pipeline = [{pass = 'fuse-ops', range = [1, 2, 3]}]", "pipeline[0]: expected the name"),
        ("pipeline = [{pass = 'fuse-ops', range = [true]}]", "pipeline[0]: expected the name"),
        ("pipeline = [{pass = 'fuse-ops', range = [-1, 2]}]", "pipeline[0]: expected the name"),
        ("pipeline = [{pass = 'fuse-ops', range = [9, 2]}]", "the least size, then the greatest"),
        ("pipeline = [{fixpoint = []}]", "pipeline[0]: expected fixpoint alone, with a list"),
        ("pipeline = [{fixpoint = ['fuse-ops'], range = [1]}]", "expected fixpoint alone"),
        ("pipeline = [{fixpoint = [[]]}]", "pipeline[0].fixpoint[0]: expected the name of a pass"),
        ("pipeline = 'fuse-ops'\npasses = 1", "passes: expected one of pipeline, description"),
        ("pipeline = ", "expected TOML, got"),
    ],
)
def test_a_file_that_holds_none_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(content)
    with pytest.raises(fusible.ArgumentError, match=r"^pipeline: ") as error:
        fusible.PassManager(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(fusible.ArgumentError, match=r"^pipeline: .*none\.toml: No such file"):
        fusible.PassManager(tmp_path / "none.toml")
