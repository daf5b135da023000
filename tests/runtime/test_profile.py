"""Profiles: one entry a step, with what it moved and computed."""

import json

import fusible
from fusible import ops, spec
from support.graphs import bits, normal, unfused


def layer(x, r, w, a):
    y = ops.rms_norm(ops.add(x, r), w)
    return ops.matmul(y, a)


TYPES = {
    "x": spec("bf16[T, 128]"),
    "r": spec("bf16[T, 128]"),
    "w": spec("bf16[128]", constant=True),
    "a": spec("bf16[64, 128]", constant=True),
}
WEIGHTS = {"w": normal(1, (128,)), "a": normal(2, (64, 128))}
INPUTS = {"x": normal(3, (10, 128)), "r": normal(4, (10, 128))}


def test_steps_in_order():
    profile = unfused(fusible.trace(layer, **TYPES), WEIGHTS).profile(**INPUTS)
    assert [step.name for step in profile.steps] == ["add", "rms_norm", "matmul"]
    assert [step.flops for step in profile.steps] == [0, 0, 2 * 10 * 64 * 128]
    rows = 2 * 10 * 128
    assert [step.bytes for step in profile.steps] == [
        3 * rows,
        2 * rows + 2 * 128,
        rows + 2 * 64 * 128 + 2 * 10 * 64,
    ]
    starts = [step.start_us for step in profile.steps]
    assert starts == sorted(starts)
    assert all(step.us >= 0 for step in profile.steps)


def test_a_region_is_one_step():
    run = fusible.compile(fusible.trace(layer, **TYPES), weights=WEIGHTS)
    profile = run.profile(**INPUTS)
    assert len(profile.steps) == 2
    assert "add" not in {step.name for step in profile.steps}
    assert bits(run(**INPUTS)) == bits(layer(**INPUTS, **WEIGHTS))


def test_a_table_counts_as_the_rows_taken():
    graph = fusible.Graph.parse(
        "input ids: i64[T]\nconstant table: f32[1000, 8]\ny = embedding(ids, table)\nreturn y\n"
    )
    run = fusible.compile(graph, weights={"table": normal(1, (1000, 8), "f32")})
    ids = normal(2, (3,), "f32").astype("int64") * 0
    assert run.profile(ids=ids).steps[0].bytes == 3 * 8 + 2 * 3 * 8 * 4


def test_exports(tmp_path):
    profile = unfused(fusible.trace(layer, **TYPES), WEIGHTS).profile(**INPUTS)
    read = json.loads(profile.json())
    assert [step["result"] for step in read["steps"]] == [s.result for s in profile.steps]
    profile.chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [event["name"] for event in events] == ["add", "rms_norm", "matmul"]
    assert "matmul" in profile.table()
