"""Pass managers: pipelines, statistics and keys."""

import os
import subprocess
import sys

import pytest

import fusible

GRAPH = """
input x: bf16[T, 512]
input residual: bf16[T, 512]
constant w: bf16[512]
sum = add(x, residual)
y = rms_norm(sum, w, eps=1e-05)
return y, sum
"""
PIPELINE = "canonicalize,share-common,fuse-ops,select-ops,canonicalize,drop-dead"


def test_the_default_pipeline_is_the_targets():
    assert fusible.PassManager(None, "rocm-gfx950").pipeline == PIPELINE
    assert fusible.PassManager(" fuse-ops , drop-dead", "cpu").pipeline == "fuse-ops,drop-dead"


@pytest.mark.parametrize("pipeline", ["fuse-everything", "fuse-ops,,drop-dead", ",", "Fuse-Ops"])
def test_an_unknown_pass_is_refused(pipeline):
    with pytest.raises(fusible.ArgumentError, match="expected passes out of canonicalize, "):
        fusible.PassManager(pipeline, "cpu")


def test_each_pass_is_counted_and_timed():
    result = fusible.optimize(fusible.Graph.parse(GRAPH), "rocm-gfx950")
    assert [stats.name for stats in result.stats] == PIPELINE.split(",")
    assert all(stats.ms >= 0 for stats in result.stats)
    fuse = result.stats[2]
    assert (fuse.rewrites, fuse.nodes_before, fuse.nodes_after) == (1, 2, 1)
    assert result.operators == (2, 1)


def test_views_are_no_operators():
    graph = fusible.Graph.parse(
        "input x: bf16[T, 512]\nv = reshape(x, shape=[-1, 8, 64])\ny = softmax(v)\nreturn y\n"
    )
    assert fusible.optimize(graph, "cpu").operators == (1, 1)


def test_the_graph_given_is_left_as_it_is():
    graph = fusible.Graph.parse(GRAPH)
    before = str(graph)
    fusible.optimize(graph, "cpu")
    assert str(graph) == before


@pytest.mark.parametrize("target", fusible.targets())
def test_a_pipeline_is_at_rest_after_one_run(target):
    once = fusible.optimize(fusible.Graph.parse(GRAPH), target)
    twice = fusible.optimize(once.graph, target)
    assert str(twice.graph) == str(once.graph)
    assert {stats.rewrites for stats in twice.stats} == {0}


def key(pipeline=PIPELINE, target="rocm-gfx950"):
    return fusible.PassManager(pipeline, target).key()


def test_the_key_is_stable():
    assert key() == key()
    code = (
        "import fusible; "
        f"print(fusible.PassManager({PIPELINE!r}, 'rocm-gfx950').uuid(), "
        f"fusible.Graph.parse({GRAPH!r}).key())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {f"{key()} {fusible.Graph.parse(GRAPH).key()}\n"}


@pytest.mark.parametrize(
    "pipeline",
    [
        "canonicalize,share-common,fuse-ops,canonicalize,drop-dead,select-ops",
        "canonicalize,share-common,fuse-ops,select-ops,canonicalize,drop-dead,drop-dead",
        "canonicalize,share-common,fuse-ops,select-ops,canonicalize",
    ],
)
def test_order_and_multiplicity_count(pipeline):
    assert key(pipeline) != key()
    assert [part for part in key(pipeline).diff(key()) if "target" in part] == []
    assert any("passes" in part for part in key(pipeline).diff(key()))


def test_a_range_of_sizes_counts():
    manager = fusible.PassManager(PIPELINE, "rocm-gfx950")
    assert manager.uuid() == manager.uuid(None) == manager.uuid(range=None) == str(key())
    uuids = [manager.uuid(sizes) for sizes in ((1, 8), (1, 9), (0, 8), (8, 8))]
    assert len({str(key()), *uuids}) == 5
    assert manager.uuid(range=(1, 8)) == manager.key((1, 8)).uuid == uuids[0]
    assert "1 to 8" in manager.key((1, 8)).explain()
    assert manager.key((1, 8)).diff(manager.key((1, 9))) == {"range": "1 to 8 here, 1 to 9 there"}
    assert manager.key((1, 8)).diff(key()) == {"range": "1 to 8 here, none there"}


@pytest.mark.parametrize(
    "sizes", [(), (8, 1), (-1, 8), (1, 2, 3), (1, 2.0), (1, 2**63), 8, "18", [None, 8]]
)
def test_what_is_no_range_is_refused(sizes):
    key_of = fusible.PassManager(PIPELINE, "rocm-gfx950").key
    with pytest.raises(fusible.ArgumentError, match=r"^range: expected the least and .*, got "):
        key_of(sizes)


@pytest.mark.parametrize("pipeline", ["", "  "])
def test_a_pipeline_without_a_pass_is_refused(pipeline):
    with pytest.raises(fusible.ArgumentError, match=r"^pipeline: expected names of passes, got "):
        fusible.optimize(fusible.Graph.parse(GRAPH), "cpu", pipeline)


@pytest.mark.parametrize("count", [2.0, None, True, [1]])
def test_a_count_that_is_no_whole_number_is_refused(count):
    result = fusible.optimize(fusible.Graph.parse(GRAPH))
    message = r"^expect: fused_add_rms_norm: expected a whole number or a formula, got "
    with pytest.raises(fusible.ArgumentError, match=message):
        result.expect({"fused_add_rms_norm": count})


def test_the_target_counts():
    assert key(target="rocm-gfx942") != key()
    sentence = key().diff(key(target="rocm-gfx942"))["target"]
    assert 'name = "rocm-gfx950"' in sentence.partition(" here, ")[0]
    assert 'name = "rocm-gfx942"' in sentence.partition(" here, ")[2]


def result_key(text=GRAPH, target="rocm-gfx950"):
    return fusible.optimize(fusible.Graph.parse(text), target).key


def test_names_do_not_count_in_the_key_of_a_result():
    renamed = GRAPH.replace("sum", "total").replace("residual", "stream").replace("T,", "Tokens,")
    assert result_key(renamed) == result_key()
    assert str(result_key()) == result_key().uuid


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1e-05", "1e-06"),
        ("add(x, residual)", "add(residual, residual)"),
        ("return y, sum", "return sum, y"),
        ("constant w", "input w"),
        ("512", "1024"),
    ],
)
def test_what_changes_the_result_changes_its_key(old, new):
    assert result_key(GRAPH.replace(old, new)) != result_key()


def test_the_key_of_a_result_needs_no_run():
    manager = fusible.PassManager(PIPELINE, "rocm-gfx950")
    graph = fusible.Graph.parse(GRAPH)
    assert manager.key_of(graph) == manager.run(graph).key
    assert manager.key_of(graph).diff(graph.key()).keys() == {"build", "target", "passes"}


def test_explain_lists_the_parts():
    text = result_key().explain()
    for part in ("inputs", "structure", "operators", "build", "target", "passes"):
        assert part in text
