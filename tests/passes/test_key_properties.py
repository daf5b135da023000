"""Keys of all small graphs tell their meanings; every part of a manager counts in its key.

Random graphs stand in ``test_many_graphs.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

import fusible
from support.random_graphs import Meanings


def small_graphs(count: int) -> Iterator[str]:
    """Every graph of so many nodes over three operators and two inputs, with one or all results."""

    def calls(values: list[str]) -> list[str]:
        pairs = [f"add({a}, {b})" for a, b in itertools.product(values, repeat=2)]
        return pairs + [op for a in values for op in (f"softmax({a})", f"mul({a}, by=2.0)")]

    made = [f"v{i}" for i in range(count)]
    for nodes in itertools.product(*(calls(["x", "r", *made[:i]]) for i in range(count))):
        body = "".join(f"{name} = {call}\n" for name, call in zip(made, nodes, strict=True))
        for results in (made[-1], ", ".join(made)):
            yield f"input x: f32[T, 8]\ninput r: f32[T, 8]\n{body}return {results}\n"


def test_small_graphs_have_one_key_for_each_meaning() -> None:
    meanings = Meanings()
    keys: dict[str, int] = {}
    for text in itertools.chain(*(small_graphs(count) for count in (1, 2, 3))):
        graph = fusible.Graph.parse(text)
        meaning = meanings.of(graph)
        assert keys.setdefault(str(graph.key()), meaning) == meaning, text
    assert len(set(keys.values())) == len(keys)


TARGET = """\
name = "mine"
pipeline = "fuse-ops,drop-dead"
fp8 = "e4m3fn"
scratch_bytes = 1000
operators = ["add", "rms_norm"]
[variants]
per_token_group_quant_fp8 = { dtype = ["e4m3fn"], group_size = [64, 128] }
[capabilities]
tensor_memory = true
[costs]
recompute = true
[uncacheable]
drop-dead = "it takes away only what nobody reads"
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"mine"', '"yours"'),
        ("fuse-ops,", "canonicalize,fuse-ops,"),
        ('fp8 = "e4m3fn"', 'fp8 = "e4m3fnuz"'),
        ("1000", "1001"),
        ('"add", ', ""),
        ("operators =", "all_operators = true\noperators ="),
        ("[64, 128]", "[128]"),
        ("[64, 128]", "[128, 64]"),
        ('dtype = ["e4m3fn"]', 'dtype = ["e4m3fnuz"]'),
        ("tensor_memory", "programmatic_dependent_launch"),
        ("tensor_memory = true", "tensor_memory = false"),
        ("recompute = true", "recompute = false"),
        ("recompute", "keep"),
        ("drop-dead =", "fuse-ops ="),
    ],
)
def test_every_part_of_a_target_counts(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TARGET)
    one = fusible.PassManager(target=fusible.load_target(path)).key()
    assert old in TARGET
    path.write_text(TARGET.replace(old, new, 1))
    other = fusible.PassManager(target=fusible.load_target(path)).key()
    assert one.uuid != other.uuid
    assert "target" in one.diff(other)


def test_all_orders_multiplicities_and_ranges_of_passes_have_keys_of_their_own() -> None:
    passes = ["canonicalize", "share-common", "drop-dead"]
    pipelines = [
        ",".join(chosen) for n in (1, 2, 3) for chosen in itertools.product(passes, repeat=n)
    ]
    ranges = [None, (0, 1), (1, 1), (1, 2)]
    keys = {
        fusible.PassManager(pipeline, "cpu").uuid(sizes)
        for pipeline in pipelines
        for sizes in ranges
    }
    assert len(keys) == len(pipelines) * len(ranges) == (3 + 9 + 27) * 4


def managers(tmp_path: Path, *pipelines: str) -> list[fusible.PassManager]:
    path = tmp_path / "mine.toml"
    path.write_text(TARGET)
    return [fusible.PassManager(pipeline, fusible.load_target(path)) for pipeline in pipelines]


def test_what_a_target_excludes_is_left_out_of_its_keys_and_named(tmp_path: Path) -> None:
    with_it, without, other = managers(tmp_path, "fuse-ops,drop-dead", "fuse-ops", "drop-dead")
    assert with_it.uuid() == without.uuid() != other.uuid()
    graph = fusible.Graph.parse("input x: f32[T, 8]\ny = softmax(x)\nreturn y\n")
    line = "left out: pass drop-dead: it takes away only what nobody reads"
    for key in (with_it.key(), with_it.key_of(graph), with_it.run(graph).key):
        assert line in key.explain()
        assert key.left_out == [line.removeprefix("left out: ")]
    assert "left out" not in without.key().explain()
    assert with_it.run(graph).key == without.run(graph).key
