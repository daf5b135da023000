"""Samples from other tools' files, as these tools write them."""

import json

import pytest

from fusible.gate import baseline, readers
from fusible.gate.baseline import Hard, Machine
from fusible.gate.model import Better, GateError, Series

PYTEST_BENCHMARK = {
    "machine_info": {"node": "host", "cpu": {"brand_raw": "x"}},
    "commit_info": {"id": "c" * 40, "dirty": False},
    "benchmarks": [
        {
            "group": None,
            "name": "test_a",
            "fullname": "tests/test_a.py::test_a",
            "params": None,
            "stats": {"min": 0.001, "data": [0.001, 0.002], "rounds": 2, "iterations": 1},
        }
    ],
    "version": "5.1.0",
}
HYPERFINE = {
    "results": [
        {
            "command": "sleep 0.1",
            "mean": 0.1,
            "times": [0.101, 0.102],
            "exit_codes": [0, 0],
        }
    ]
}
GOOGLE = {
    "context": {"num_cpus": 2, "library_build_type": "release"},
    "benchmarks": [
        {
            "name": "BM_add/8",
            "run_name": "BM_add/8",
            "run_type": "iteration",
            "repetition_index": index,
            "iterations": 1000,
            "real_time": 120.0 + index,
            "cpu_time": 119.0,
            "time_unit": "ns",
        }
        for index in range(2)
    ]
    + [
        {
            "name": "BM_add/8_mean",
            "run_name": "BM_add/8",
            "run_type": "aggregate",
            "aggregate_name": "mean",
            "real_time": 120.5,
            "time_unit": "ns",
        }
    ],
}
ASV = """{
"commit_hash": "%s", "env_name": "env", "version": 2,
"result_columns": ["result", "params", "version", "started_at", "duration", "stats_ci_99_a",
 "stats_ci_99_b", "stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples"],
"results": {
 "bench.Time.time_x": [[0.002, NaN], [["1", "2"]], "v", 1, 1, [1, null], [1, null], [1, null],
  [1, null], [1, null], [1, null], [[0.002, 0.003], null]],
 "bench.peakmem_y": [[4096], [], "v"]
}}""" % ("d" * 40)


def read(tmp_path, content):
    path = tmp_path / "samples.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return readers.read(path)


def one(samples):
    (series,) = samples.series
    return series.name, [pytest.approx(value) for value in series.values], series.unit


def test_pytest_benchmark(tmp_path):
    found = read(tmp_path, PYTEST_BENCHMARK)
    assert one(found) == ("tests/test_a.py::test_a", [1.0, 2.0], "ms")
    assert (found.commit, found.one_process) == ("c" * 40, True)


def test_pytest_benchmark_without_data(tmp_path):
    without = json.loads(json.dumps(PYTEST_BENCHMARK))
    del without["benchmarks"][0]["stats"]["data"]
    with pytest.raises(GateError, match=r"benchmarks\[0\]: stats.data: expected samples"):
        read(tmp_path, without)


def test_hyperfine(tmp_path):
    found = read(tmp_path, HYPERFINE)
    assert one(found) == ("sleep 0.1", [101.0, 102.0], "ms")
    assert not found.one_process


def test_hyperfine_of_a_failing_command(tmp_path):
    failing = {"results": [{**HYPERFINE["results"][0], "exit_codes": [0, 3]}]}
    with pytest.raises(GateError, match="exit_codes: expected 0, got 3"):
        read(tmp_path, failing)


def test_google_benchmark(tmp_path):
    assert one(read(tmp_path, GOOGLE)) == ("BM_add/8", [120e-6, 121e-6], "ms")


def test_google_benchmark_of_aggregates_only(tmp_path):
    with pytest.raises(GateError, match="expected repetitions, got aggregates only"):
        read(tmp_path, {**GOOGLE, "benchmarks": GOOGLE["benchmarks"][2:]})


def test_google_benchmark_that_failed(tmp_path):
    failed = {**GOOGLE["benchmarks"][0], "error_occurred": True, "error_message": "no"}
    with pytest.raises(GateError, match="BM_add/8: expected samples, got its error"):
        read(tmp_path, {**GOOGLE, "benchmarks": [failed]})


def test_asv(tmp_path):
    found = read(tmp_path, ASV)
    assert [(s.name, s.values, s.unit) for s in found.series] == [
        ("bench.Time.time_x(1)", (2.0, 3.0), "ms"),
        ("bench.peakmem_y", (4096.0,), "bytes"),
    ]
    assert found.commit == "d" * 40


def test_asv_that_failed(tmp_path):
    with pytest.raises(GateError, match="did it fail"):
        read(tmp_path, ASV.replace("[4096]", "null"))


LINES = """
{"unit": "ms", "name": "a", "value": 1.5, "round": 0}
{"name": "a", "value": 1500, "unit": "us", "round": 1}

{"name": "b#throughput", "value": 7, "unit": "tokens/s", "better": "higher"}
{"name": "c#fused", "value": 0, "unit": "count"}
"""


def test_json_lines(tmp_path):
    found = read(tmp_path, LINES)
    assert found.series == (
        Series("a", (1.5, 1.5), rounds=(0, 1)),
        Series("b#throughput", (7.0,), "tokens/s", Better.HIGHER),
    )
    assert found.counts == {"c#fused": 0}


def test_one_line(tmp_path):
    assert read(tmp_path, '{"unit": "ms", "name": "a", "value": 2}').series == (
        Series("a", (2.0,)),
    )


def test_carriage_returns(tmp_path):
    assert read(tmp_path, LINES.replace("\n", "\r\n")) == read(tmp_path, LINES)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            '{"unit": "ms", "name": "a", "value": 0}',
            "value: expected a positive finite number, got 0",
        ),
        (
            '{"unit": "ms", "name": "a", "value": -1}',
            "value: expected a positive finite number, got -1",
        ),
        ('{"unit": "ms", "name": "a", "value": NaN}', "expected a finite number, got NaN"),
        (
            '{"unit": "ms", "name": "a", "value": "1"}',
            "value: expected a positive finite number, got '1'",
        ),
        (
            '{"unit": "ms", "name": "a", "value": true}',
            "value: expected a positive finite number, got True",
        ),
        ('{"name": "a", "value": 1}', "unit: expected a unit such as ms, got None"),
        ('{"unit": "ms", "name": "a"}', "value: expected a positive finite number, got None"),
        ('{"unit": "ms", "value": 1}', "name: expected a name, got None"),
        ('{"unit": "ms", "name": "", "value": 1}', "name: expected a name, got ''"),
        ('{"name": "a", "value": 1, "unit": 3}', "unit: expected a unit such as ms, got 3"),
        (
            '{"unit": "ms", "name": "a", "value": 1, "better": "up"}',
            "better: expected lower or higher",
        ),
        (
            '{"unit": "ms", "name": "a", "value": 1, "beter": "higher"}',
            "beter: expected one of better, name",
        ),
        (
            '{"unit": "ms", "name": "a", "value": 1, "round": 1.5}',
            "round: expected a whole number, got 1.5",
        ),
        (
            '{"unit": "ms", "name": "a", "value": 1, "value": 2}',
            "expected each key once, got 'value' twice",
        ),
        ('{"name": "a", "value": 1.5, "unit": "count"}', "value: expected a whole number, got 1.5"),
        ('{"name": "a", "value": -1, "unit": "count"}', "value: expected a count of 0 or more"),
        ('{"unit": "ms", "name": "a", "value": 1e999}', "expected a finite number"),
        pytest.param(
            f'{{"unit": "ms", "name": "a", "value": 1{"0" * 400}}}',
            "finite number, got an integer",
            id="digits",
        ),
        (
            '{"unit": "ms", "name": "a\\nb", "value": 1}',
            r"name: expected a name without control characters",
        ),
        ('{"unit": "ms", "name": "\\u001b[2J", "value": 1}', "without control characters"),
        ("[1]", "expected an object, got [1]"),
        ("nonsense", "expected JSON, got"),
        (
            '{"unit": "ms", "name": "x", "value": 1, "round": 3}',
            "x: expected a round in each line or in none",
        ),
        ('{"name": "x", "value": 1, "unit": "s/token"}', "x: expected ms and lower as before"),
    ],
)
def test_refused_lines(tmp_path, line, complaint):
    with pytest.raises(GateError) as caught:
        read(tmp_path, '{"unit": "ms", "name": "x", "value": 1}\n' + line)
    assert complaint in str(caught.value)
    assert str(tmp_path / "samples.json") in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "3", '{"benchmarks": 3}', '{"results": [3]}', '{"results": {}}']
)
def test_files_of_no_format(tmp_path, content):
    with pytest.raises(GateError, match="expected"):
        read(tmp_path, content)


def with_benchmark(**keys):
    return {"machine_info": {}, "benchmarks": [{"name": "m", "stats": {"data": [1.0]}, **keys}]}


def with_asv(params, columns=("result", "params"), results=(1.0,)):
    cells = [list(results), params]
    return {"result_columns": list(columns), "results": {"b.time_x": cells}}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (with_benchmark(fullname=["a"]), "fullname: expected a str, got ['a']"),
        ({"benchmarks": [{"name": "m", "run_name": [1], "real_time": 1}]}, "run_name: expected a"),
        ({"results": [{"command": "a", "times": [1], "exit_codes": 5}]}, "exit_codes: expected a"),
        (with_asv(3), "params: expected lists of values, got 3"),
        (with_asv([3]), "params: expected lists of values, got [3]"),
        (with_asv([], columns=("result", ["params"])), "result_columns: expected names"),
        ("[" * 100_000, "expected JSON of few levels"),
    ],
    ids=["fullname", "run_name", "exit_codes", "params", "param", "columns", "levels"],
)
def test_values_of_another_type(tmp_path, content, complaint):
    with pytest.raises(GateError) as caught:
        read(tmp_path, content)
    assert complaint in str(caught.value)


def test_asv_s_parameters_are_read_as_far_as_there_are_results(tmp_path):
    many = [[str(number) for number in range(1000)]] * 4  # 10^12 combinations
    (series,) = read(tmp_path, with_asv(many)).series
    assert (series.name, series.values) == ("b.time_x(0, 0, 0, 0)", (1000.0,))


def test_a_line_ends_at_a_newline_alone(tmp_path):
    (series,) = read(tmp_path, '{"name": "a", "unit": "s\u2028/x", "value": 2}\n').series
    assert series.unit == "s\u2028/x"


def test_a_baseline_is_read_as_samples(tmp_path):
    machine = Machine(hard=Hard(cpu="x", isa=[], cores=1, memory_gib=1))
    about = {"machine": machine.key, "calibration_ms": 9.0, "commit": "b" * 7}
    metric = baseline.measured(Series("a", (1.0, 2.0), rounds=(0, 1)), **about)
    held = baseline.assemble({"a": metric}, {"a#n": 3}, [machine])
    found = read(tmp_path, held.dump())
    assert found.series == (Series("a", (1.0, 2.0), rounds=(0, 1)),)
    assert (found.machine, found.calibration_ms, found.commit) == (machine, 9.0, "b" * 7)
    assert found.counts == {"a#n": 3}


@pytest.mark.parametrize(
    ("unit", "better"), [("GB/s", "higher"), ("tok/s", "higher"), ("ms", "lower"), ("B", "lower")]
)
def test_a_rate_is_better_when_it_is_higher(tmp_path, unit, better):
    line = {"name": "a", "value": 2, "unit": unit}
    assert read(tmp_path, json.dumps(line)).series[0].better == better
    assert read(tmp_path, json.dumps(line | {"better": "lower"})).series[0].better == "lower"


def test_several_files(tmp_path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    for path, start in ((first, 1), (second, 3)):
        a = {"name": "a", "value": start, "unit": "ms", "round": 0}
        n = {"name": "n", "value": start + 1, "unit": "ms"}
        path.write_text(f"{json.dumps(a)}\n{json.dumps(n)}\n")
    found = readers.read_all([first, second])
    assert found.series == (Series("a", (1.0, 3.0), rounds=(0, 1)), Series("n", (2.0, 4.0)))


def test_several_files_that_contradict(tmp_path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text('{"name": "a", "value": 1, "unit": "count"}')
    second.write_text('{"name": "a", "value": 2, "unit": "count"}')
    with pytest.raises(GateError, match="a: expected one count, got 1 and 2"):
        readers.read_all([first, second])


def test_units_of_time_are_converted():
    assert readers.in_unit(Series("a", (2.0,)), "s") == Series("a", (0.002,), "s")
    other = Series("a", (2.0,), "tokens/s")
    assert readers.in_unit(other, "ms") is other
