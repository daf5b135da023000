"""The fixture `gate` in projects of its own, run by pytest and by `fusible suite`."""

import json

import pytest

from fusible.gate import baseline, gauge, machine
from fusible.gate.gauge import Gate
from fusible.gate.model import GateError, Series, Verdict
from fusible.gate.session import PerformanceRegression, Session, Undecided
from support import small_suites
from support.gate_samples import THERE

PLUGIN = ("-p", "fusible.gate.plugin", "-q", "-p", "no:cacheprovider")
WORK = "def work(n):\n    return sum(i * i for i in range(n))\n\n"


def pytest_run(folder, body, *arguments):
    small_suites.project(folder, {"test_it.py": WORK + body})
    return small_suites.pytest_alone(folder, *PLUGIN, *arguments)


def stored(path, metrics, counts=(), here=None, calibration=None):
    """A baseline of metrics: name -> samples, of this machine unless another is given."""
    here = here or machine.fingerprint()
    about = {"machine": here.key, "calibration_ms": calibration or machine.calibrate()}
    held = {
        name: baseline.measured(Series(name, tuple(values)), **about)
        for name, values in metrics.items()
    }
    baseline.save(path, baseline.assemble(held, dict(counts), [here]))
    return path


def session(path, **options):
    return Session([path], **options)


def test_the_plugin_is_not_there_until_it_is_asked_for(tmp_path):
    small_suites.project(tmp_path, {"test_it.py": "def test_a(gate): pass\n"})
    done = small_suites.pytest_alone(tmp_path, "-q")
    assert "fixture 'gate' not found" in done.stdout


def test_asking_for_it_loads_nothing_large(tmp_path):
    body = """
        import sys
        def test_a(gate):
            with gate.stage("decode"):
                pass
            gate.time("work", lambda: work(10), samples=2)
            assert not {"scipy", "pydantic", "numpy", "fusible._core"} & set(sys.modules)
    """
    small_suites.project(tmp_path, {"test_it.py": WORK, "test_that.py": WORK})
    (tmp_path / "test_it.py").write_text(WORK + small_suites.textwrap.dedent(body))
    done = small_suites.pytest_alone(tmp_path, *PLUGIN)
    assert done.returncode == 0, done.stdout


SAMPLED = """
def test_it(gate):
    series = gate.time("work", lambda: work(10), samples=3)
    assert len(series.values) == 3
    gate.value("speed", 3.5, "tok/s", better="higher")
    gate.value("speed", [3.0, 4.0], "tok/s", "higher")
    gate.count("operators", 7)
    with gate.stage("decode"):
        gate.value("tokens", 5)
        with gate.stage("attention"):
            pass
"""


def test_samples_are_written_as_lines_that_the_gate_reads(tmp_path):
    from fusible.gate import readers

    done = pytest_run(tmp_path, SAMPLED, "--gate-samples", "out/samples.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    samples = readers.read(tmp_path / "out/samples.jsonl")
    test = "test_it.py::test_it"
    found = {series.name: series for series in samples.series}
    assert found.keys() == {
        *(f"{test}#{name}" for name in ("work", "speed", "decode/tokens")),
        *(f"{test}#stages_ms/{name}" for name in ("decode", "decode/attention")),
    }
    assert found[f"{test}#speed"].values == (3.5, 3.0, 4.0)
    assert found[f"{test}#speed"].better.value == "higher"
    assert samples.counts == {f"{test}#operators": 7}


def test_a_breach_fails_and_says_what_was_measured(tmp_path, extra):
    path = stored(
        tmp_path / "base.json", {"test_it.py::test_it#work": [1e-6 + i * 1e-9 for i in range(20)]}
    )
    body = 'def test_it(gate):\n    gate.time("work", lambda: work(1000), samples=8)\n'
    done = pytest_run(tmp_path, body, "--gate-baseline", str(path))
    assert "test_it.py::test_it#work" in done.stdout
    # On a machine that is not as fast as a moment ago nothing is decided, and that is said.
    assert "regressed" in done.stdout or "the calibration moved" in done.stdout


@pytest.fixture(scope="module")
def extra():
    """The tests' interpreter has what comparing needs."""
    done = small_suites.captured([small_suites.PYTHON, "-c", "import numpy, pydantic, scipy"])
    if done.returncode != 0:
        pytest.skip(f"{small_suites.PYTHON}: {done.stderr.splitlines()[-1]}")


@pytest.fixture
def quiet(monkeypatch):
    """A machine whose calibration never moves."""
    monkeypatch.setattr(machine, "calibrate", lambda: 10.0)


def test_more_samples_decide_on_a_breach(tmp_path, quiet, monkeypatch):
    path = stored(tmp_path / "b.json", {"t#f": [1.0 + 0.001 * i for i in range(20)]})
    taken = iter([2.0 + 0.001 * i for i in range(100)])
    monkeypatch.setattr(gauge, "_timed", lambda fn, calls: next(taken))
    monkeypatch.setattr(gauge, "calls_for", lambda fn: 1)
    one = session(path)
    with pytest.raises(PerformanceRegression) as error:
        Gate(one, "t").time("f", lambda: None, samples=10)
    assert len(one.series["t#f"].values) == 70
    measurement = error.value.measurement
    assert measurement["name"] == "t#f"
    assert measurement["verdict"] == "regressed"
    assert measurement["ratio"] == pytest.approx(2, rel=0.02)
    assert measurement["unit"] == "ms"
    assert json.loads(json.dumps(measurement)) == measurement


def test_an_outlier_is_outvoted_by_more_samples_not_dropped(tmp_path, quiet, monkeypatch):
    path = stored(tmp_path / "b.json", {"t#f": [1.0 + 0.001 * i for i in range(20)]})
    taken = iter([1.5 + 0.001 * i for i in range(6)] + [1.0 + 0.001 * (i % 20) for i in range(100)])
    monkeypatch.setattr(gauge, "_timed", lambda fn, calls: next(taken))
    monkeypatch.setattr(gauge, "calls_for", lambda fn: 1)
    one = session(path)
    series = Gate(one, "t").time("f", lambda: None, samples=6)
    assert len(series.values) == 42
    assert max(series.values) > 1.5
    assert one.findings[-1].verdict is Verdict.INCONCLUSIVE


def test_values_and_stages_are_compared_when_the_test_has_ended(tmp_path, quiet):
    base = [1.0 + 0.001 * i for i in range(20)]
    path = stored(tmp_path / "b.json", {"t#speed": base, "t#stages_ms/decode": base})
    one = session(path)
    gate = Gate(one, "t")
    for i in range(20):
        gate.value("speed", 1.2 + 0.001 * i)
    with gate.stage("decode"):
        pass
    assert one.findings == []
    with pytest.raises(PerformanceRegression, match="t#speed: regressed"):
        gate.close()
    assert [finding.name for finding in one.findings] == ["t#speed", "t#stages_ms/decode"]


def test_counts_are_exact_on_every_machine(tmp_path, quiet):
    path = stored(tmp_path / "b.json", {}, {"t#operators": 7}, THERE)
    gate = Gate(session(path), "t")
    gate.count("operators", 7)
    with pytest.raises(PerformanceRegression, match="expected exactly 7, got 8"):
        gate.count("operators", 8)


def test_another_machine_advises_and_a_decision_can_be_required(tmp_path, quiet):
    path = stored(tmp_path / "b.json", {"t#speed": [1.0 + 0.001 * i for i in range(20)]}, (), THERE)
    one = session(path)
    gate = Gate(one, "t")
    gate.value("speed", [2.0, 2.1, 2.2, 2.3, 2.4, 2.5])
    gate.close()
    assert [finding.verdict for finding in one.findings] == [Verdict.ADVISORY]
    gate = Gate(session(path, require_decision=True), "t")
    gate.value("speed", [2.0, 2.1, 2.2, 2.3, 2.4, 2.5])
    with pytest.raises(Undecided, match="another machine"):
        gate.close()


def duel(monkeypatch, candidate, base):
    """Functions that take made-up times."""
    monkeypatch.setattr(gauge, "calls_for", lambda fn: 1)
    monkeypatch.setattr(gauge, "_timed", lambda fn, calls: fn())
    return [iter(times).__next__ for times in (candidate, base)]


def times(mean, count=200):
    return [mean * (1 + 0.01 * ((i * 7) % 10) / 10) for i in range(count)]


def test_faster_is_shown(monkeypatch):
    functions = duel(monkeypatch, times(1.0), times(1.5))
    found = Gate(Session(), "t").faster(*functions, at_least=1.3)
    assert found.verdict is Verdict.IMPROVED
    assert found.ratio == pytest.approx(1 / 1.5, rel=0.01)
    assert found.reason.startswith("1.50 times as fast (")
    assert found.n == 16  # of 32 rounds: a look decided


def test_faster_is_refuted(monkeypatch):
    functions = duel(monkeypatch, times(1.0), times(1.2))
    with pytest.raises(
        PerformanceRegression, match=r"1\.20 times as fast .* at least 1\.3"
    ) as error:
        Gate(Session(), "t").faster(*functions, at_least=1.3)
    assert not isinstance(error.value, Undecided)


def test_what_is_not_shown_fails_unless_that_is_allowed(monkeypatch):
    functions = duel(monkeypatch, times(1.0), times(1.0))
    with pytest.raises(Undecided):
        Gate(Session(), "t").faster(*functions)
    functions = duel(monkeypatch, times(1.0), times(1.0))
    found = Gate(Session(allow_inconclusive=True), "t").faster(*functions)
    assert (found.verdict, found.n) == (Verdict.INCONCLUSIVE, 32)


def test_for_real_ten_times_the_work_is_slower():
    few, many = (lambda: sum(range(100))), (lambda: sum(range(10_000)))
    assert Gate(Session(), "t").faster(few, many, at_least=2, rounds=16).verdict is Verdict.IMPROVED


def test_bad_arguments_are_named():
    gate = Gate(Session(), "t")
    with pytest.raises(GateError, match="speed: better: expected lower or higher, got 'up'"):
        gate.value("speed", 1.0, better="up")
    with pytest.raises(GateError, match="value 0: expected a positive finite number, got 0"):
        gate.value("speed", 0.0)
    with pytest.raises(GateError, match="operators: expected a whole number"):
        gate.count("operators", 1.5)
    gate.value("speed", 1.0, "s")
    with pytest.raises(GateError, match="expected one unit and direction"):
        gate.value("speed", 1.0, "ms")
    with pytest.raises(GateError, match="at_least: expected a number above 0"):
        gate.faster(int, int, at_least=0)


def test_a_stage_that_raises_is_no_sample():
    one = Session()
    gate = Gate(one, "t")
    with pytest.raises(KeyError), gate.stage("decode"):
        raise KeyError
    assert one.series == {}
    gate.value("x", 1.0)
    assert list(one.series) == ["t#x"]


def test_a_bad_baseline_ends_the_session_at_once(tmp_path, extra):
    (tmp_path / "bad.json").write_text("{}")
    done = pytest_run(tmp_path, "def test_a(gate): pass\n", "--gate-baseline", "bad.json")
    assert done.returncode == 4
    assert "--gate-baseline: bad.json: format: expected" in done.stderr
    done = pytest_run(tmp_path, "def test_a(gate): pass\n", "--gate-baseline", "none.json")
    assert done.returncode == 4


COUNTED = """
def test_it(gate):
    gate.count("operators", 8)
"""


def test_the_suite_keeps_the_measurement_and_does_not_retry(tmp_path, extra):
    stored(tmp_path / "base.json", {}, {"test_it.py::test_it#operators": 7}, THERE)
    ini = "[pytest]\naddopts = -p fusible.gate.plugin --gate-baseline base.json\n"
    small_suites.project(tmp_path, {"pytest.ini": ini, "test_it.py": COUNTED})
    ran = small_suites.run(tmp_path, "--retries", "3", "--continue-on-error")
    assert ran.exit == 1, ran.explained()
    test = ran.test("test_it")
    assert test["outcome"] == "failed"
    assert "a measurement" in json.dumps(test)
    assert test["attempts"] == 1
    assert "expected exactly 7, got 8" in test["reason"]


MEASURED = """
import pathlib
from fusible.gate import machine
machine.calibrate = lambda *_: 10.0

def test_it(gate):
    runs = pathlib.Path("runs")
    again = runs.exists()
    runs.write_text("x")
    gate.value("fast", [1.0 + 0.001 * i for i in range(20)])
    gate.value("speed", [(SECOND if again else 1.2) + 0.001 * (i % 20) for i in range(COUNT)])
"""


# What the second process measures, how it ends, what is said of it. "error": a value is judged
# when its test has ended. Of 60 samples 20 are the baseline's and 20 those of the first process.
AGAIN = [
    ([1.0, 400], "passed", "measured 2 times, decided on all samples"),
    ([1.2, 20], "error", '"n": 60'),
]


@pytest.mark.parametrize(("second", "outcome", "reason"), AGAIN)
def test_the_suite_measures_again_and_decides_on_all_samples(
    tmp_path, extra, second, outcome, reason
):
    base = [1.0 + 0.001 * i for i in range(20)]
    names = ("test_it.py::test_it#speed", "test_it.py::test_it#fast")
    stored(tmp_path / "base.json", dict.fromkeys(names, base), calibration=10.0)
    options = "-p fusible.gate.plugin --gate-baseline base.json --gate-samples samples.jsonl"
    text = MEASURED.replace("SECOND", f"{second[0]}").replace(
        "COUNT", f"{second[1]} if again else 20"
    )
    files = {"pytest.ini": f"[pytest]\naddopts = {options}\n", "test_it.py": text}
    small_suites.project(tmp_path, files)
    ran = small_suites.run(tmp_path, "--continue-on-error")
    test = ran.test("test_it")
    assert (test["outcome"], test["attempts"]) == (outcome, 2), ran.explained()
    assert ran.exit == (0 if outcome == "passed" else 1)
    assert reason in test["reason"]


PART = """
def test_it(gate):
    gate.count("operators", 7)

def test_other(gate):
    pass
"""


@pytest.mark.parametrize(
    ("more", "missing", "code"),
    [
        ((), True, 0),
        (("--gate-require-decision",), True, 1),
        (("--gate-require-decision", "-k", "not other"), False, 0),
        (("--gate-require-decision", "test_it.py::test_it"), False, 0),
    ],
    ids=["told", "required", "k", "id"],
)
def test_what_no_test_has_measured_is_missing(tmp_path, extra, more, missing, code):
    names = ["test_it.py::test_it#operators", "test_it.py::test_it#gone", "demo#gone"]
    counted = {**dict.fromkeys(names, 7), "test_that.py::test_it#x": 1}
    stored(tmp_path / "base.json", {}, counted, THERE)
    done = pytest_run(tmp_path, PART, "--gate-baseline", "base.json", *more)
    assert done.returncode == code, done.stdout
    expected = "test_it.py::test_it#gone: missing; the baseline expects it, no test has measured it"
    assert (expected in done.stdout) == missing
    assert ("1 unchanged, 2 missing" in done.stdout) or not missing
    assert "test_that.py" not in done.stdout


def test_junit_has_the_findings(tmp_path, extra):
    stored(tmp_path / "base.json", {}, {"test_it.py::test_it#operators": 8}, THERE)
    done = pytest_run(tmp_path, COUNTED, "--gate-baseline", "base.json", "--junit-xml=j.xml")
    assert done.returncode == 0, done.stdout
    assert "1 unchanged" in done.stdout
    text = (tmp_path / "j.xml").read_text()
    assert 'name="gate test_it.py::test_it#operators"' in text
