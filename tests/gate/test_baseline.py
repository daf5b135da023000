"""The baseline file: what it holds, what it refuses, and how it names what is wrong."""

import json

import pytest

from fusible.gate import baseline, document, names
from fusible.gate.baseline import Hard, Machine, Tolerance
from fusible.gate.model import Better, GateError, Rule, Series

MACHINE = Machine(hard=Hard(cpu="A CPU", isa=["avx2"], cores=2, memory_gib=8))


def example(**about):
    about = {"machine": MACHINE.key, "calibration_ms": 10.0, "commit": "a" * 40, **about}
    metrics = {
        "decode": baseline.measured(Series("decode", (10.0, 11.0, 12.5)), **about),
        "decode#throughput": baseline.measured(
            Series("decode#throughput", (5.0,), "tokens/s", Better.HIGHER), **about
        ),
        "decode#stages_ms/attention": baseline.measured(Series("a", (1.0, 2.0)), **about),
        "decode#denoise_step_ms/0": baseline.measured(Series("s", (3.0,)), **about),
    }
    return baseline.assemble(metrics, {"decode#fused": 20}, [MACHINE])


def broken(tmp_path, change):
    """The complaint about the example's file after `change` of its value or of its text."""
    value = json.loads(example().dump())
    text = change(value)
    path = tmp_path / "b.json"
    path.write_text(text if isinstance(text, str) else json.dumps(value), encoding="utf-8")
    with pytest.raises(GateError) as caught:
        baseline.load(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path)).removeprefix(": ")


def test_round_trip(tmp_path):
    path = tmp_path / "b.json"
    baseline.save(path, example())
    again = baseline.load(path)
    assert again == example()
    assert [name for name, _ in again.metrics()] == [
        "decode",
        "decode#throughput",
        "decode#stages_ms/attention",
        "decode#denoise_step_ms/0",
    ]
    assert again.counts() == {"decode#fused": 20}
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_facts_are_those_of_the_samples():
    metric = dict(example().metrics())["decode"]
    assert (metric.n, metric.median, metric.mad) == (3, 11.0, 1.0)
    assert metric.series("decode") == Series("decode", (10.0, 11.0, 12.5))


def test_samples_stand_on_one_line():
    assert '"samples": [10.0, 11.0, 12.5],\n' in example().dump()


def test_the_published_schema_is_fresh():
    assert baseline.SCHEMA_FILE.read_text() == baseline.schema()


def test_tolerance_makes_the_rule():
    rule = Tolerance(relative=0.25, absolute=1.0).rule(Rule(alpha=0.02))
    assert (rule.margin, rule.floor, rule.absolute_floor, rule.alpha) == (0.25, 0.25, 1.0, 0.02)
    assert Tolerance().rule(Rule()) == Rule()


def value_of(*keys, to):
    """A change that puts a value somewhere into the decode scenario's only metric."""

    def change(value):
        table = value["scenarios"]["decode"]["metrics"]["value"]
        for key in keys[:-1]:
            table = table[key]
        table[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (value_of("samples", to=[0.0]), "value.samples.0: expected greater than 0, got 0.0"),
        (value_of("samples", to=[-1.0]), "value.samples.0: expected greater than 0, got -1.0"),
        (value_of("samples", to=["1"]), "value.samples.0: expected a valid number, got '1'"),
        (value_of("samples", to=[True]), "value.samples.0: expected a valid number, got True"),
        (value_of("samples", to=[]), "at least 1 item"),
        (value_of("samples", to=[10**400]), "value.samples.0: "),
        (value_of("median", to=1.0), "value: expected median 11 of its samples, got 1"),
        (value_of("mad", to=0.5), "value: expected mad 1 of its samples, got 0.5"),
        (value_of("n", to=2), "value: expected n 3 of its samples, got 2"),
        (value_of("rounds", to=[1]), "value: expected 3 rounds, one a sample, got 1"),
        (value_of("better", to="more"), "value.better: expected 'lower' or 'higher', got 'more'"),
        (value_of("tolerance", "relative", to=-0.1), "tolerance.relative: expected greater than"),
        (value_of("tolerence", to={}), "value.tolerence: expected no such key, got {}"),
        (value_of("commit", to="main"), "value.commit: "),
        (value_of("recorded", to="yesterday"), "value.recorded: "),
        (value_of("machine", to="0" * 12), "expected decode's machine among machines"),
        (lambda v: v.update(version=2), "version: expected 1, got 2"),
        (lambda v: v.update(format="other"), "format: expected 'fusible-gate-baseline'"),
        (lambda v: v.update(format=1), "format: expected 'fusible-gate-baseline', got 1"),
        (lambda v: v.pop("scenarios"), "scenarios: expected a value, got none"),
        (lambda v: v["scenarios"]["decode"].update(stages={}), "stages: expected no such key"),
        (lambda v: v["scenarios"]["decode"]["counts"].update(fused=-1), "counts.fused: expected"),
        (lambda v: v["scenarios"]["decode"]["counts"].update(fused=1.5), "counts.fused: expected"),
        (lambda v: json.dumps([v]), "expected a valid dictionary"),
    ],
)
def test_refused_values(tmp_path, change, complaint):
    assert complaint in broken(tmp_path, change)


def test_a_machine_is_named_by_its_hard_keys(tmp_path):
    assert "machine" in broken(
        tmp_path, lambda v: v["machines"][MACHINE.key]["hard"].update(cores=4)
    )


def replaced(old, new):
    return lambda value: json.dumps(value, indent=1).replace(old, new, 1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (replaced("11.0", "NaN"), "expected a finite number, got NaN"),
        (replaced("11.0", "-Infinity"), "expected a finite number, got -Infinity"),
        (replaced("11.0", "1e999"), "expected a finite number, got 1e999"),
        (replaced('"n": 3', '"n": 3, "n": 3'), "expected each key once, got 'n' twice"),
        (replaced(" ", "<<<<<<< HEAD\n"), "expected JSON, got a merge conflict: '<<<<<<< HEAD'"),
        (replaced('"n"', '\n=======\n"n"'), "got a merge conflict: '======='"),
        (lambda v: json.dumps(v)[:-9], "expected JSON, got"),
        (lambda v: "", "expected JSON, got"),
        (lambda v: "\ufeff" + json.dumps(v), "expected UTF-8 without a byte order mark, got one"),
        (lambda v: "[" * 100_000, "expected JSON of few levels, got too many"),
        (replaced("11.0", "1" * 5000), "expected JSON, got"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_texts(tmp_path, change, complaint):
    assert complaint in broken(tmp_path, change)


def test_refused_bytes(tmp_path):
    path = tmp_path / "b.json"
    for data, complaint in ((b"\xff\xfe{", "byte order mark"), (b'{"\xe9": 1}', "byte 2 that is")):
        path.write_bytes(data)
        with pytest.raises(GateError, match=complaint):
            document.read(path)


def test_large_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(document, "LARGEST", 10)
    path = tmp_path / "b.json"
    path.write_text(" " * 11)
    with pytest.raises(GateError, match="expected up to 10 bytes"):
        document.read(path)


def test_carriage_returns_are_fine(tmp_path):
    path = tmp_path / "b.json"
    path.write_bytes(example().dump().replace("\n", "\r\n").encode())
    assert baseline.load(path) == example()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "b.json"
    baseline.save(path, example())
    before = path.read_text()
    with pytest.raises(UnicodeEncodeError):
        document.write(path, "\udcff")
    assert path.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("decode", ("decode", "metrics", "value")),
        ("decode#e2e", ("decode", "metrics", "e2e")),
        ("tests/t.py::t[a#b]", ("tests/t.py::t[a", "metrics", "b]")),
        ("a#stages_ms/x/y", ("a", "stages_ms", "x/y")),
        ("a#denoise_step_ms/10", ("a", "denoise_step_ms", "10")),
        ("a#denoise_step_ms/x", ("a", "metrics", "denoise_step_ms/x")),
        ("#", ("#", "metrics", "value")),
        ("a#", ("a#", "metrics", "value")),
    ],
)
def test_names(name, place):
    assert names.place(name) == place
    assert names.flat(names.Place(*place)) == name


def test_one_spelling_of_a_name():
    assert names.settled("x#value") == "x"
