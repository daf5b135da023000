"""SGLang's plan, report and environment."""

import json

import pytest

from fusible.suite import plan, sglang
from fusible.suite.model import Attempt, Item, Outcome, SuiteError, Summary, Verdict

PLAN = {
    "suite": "1-gpu",
    "partition_count": 2,
    "partitions": [
        {
            "part": 0,
            "case_ids": ["flux", "wan"],
            "standalone_files": [],
            "missing_standalone_estimates": [],
            "estimated_time": 640.5,
        },
        {
            "part": 1,
            "case_ids": [],
            "standalone_files": ["sub/test_alone.py"],
            "missing_standalone_estimates": ["sub/test_alone.py"],
            "estimated_time": 300.0,
        },
    ],
}


def text(**changes):
    return json.dumps({**PLAN, **changes})


def item(name):
    return Item(name, 0, name.partition("::")[0])


def verdict(name, outcome, seconds=1.0):
    return Verdict(item(name), outcome, (Attempt(outcome, seconds),))


def report(*verdicts, case_plan=None, **fields):
    summary = Summary(verdicts, (), 0, suite="1-gpu", part=1, parts=2, **fields)
    return sglang.report_json(summary, case_plan)


def test_a_partition_of_a_plan_is_read():
    assert sglang.read_plan(text(), "1-gpu", 2, 0) == sglang.CasePlan(
        ("flux", "wan"), estimated_time=640.5
    )
    assert sglang.read_plan(text(), "1-gpu", 2, 1).standalone_files == ("sub/test_alone.py",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((text(), "2-gpu", 2, 0), "expected suite '2-gpu', got '1-gpu'"),
        ((text(), "1-gpu", 3, 0), "expected 3 partitions, got 2"),
        ((text(), "1-gpu", 2, 2), "expected partition 2 once, got it 0 times"),
        ((text(partitions=[PLAN["partitions"][0]] * 2), "1-gpu", 2, 0), "got it 2 times"),
        ((text(partitions={}), "1-gpu", 2, 0), "partitions: expected a list"),
        ((text(partitions=[{"part": 0, "case_ids": [1]}]), "1-gpu", 2, 0), "expected a string"),
        (("{", "1-gpu", 2, 0), "partition plan:1: expected JSON"),
        (("[]", "1-gpu", 2, 0), "partition plan: expected an object"),
    ],
)
def test_a_plan_of_something_else_is_refused(arguments, message):
    with pytest.raises(SuiteError, match=message):
        sglang.read_plan(*arguments)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("t.py::test[flux]", "flux"),
        ("t.py::TestA::test[flux-dev 1]", "flux-dev 1"),
        ("t.py::test[a[0]-k]7]", "a[0]-k]7"),
        ("t.py::test[a::b]", "a::b"),
        ("t.py::test[]", ""),
        ("odd[dir]/t.py::test[x]", "x"),
        ("odd[dir]/t.py::test", None),
        ("t.py::test", None),
        ("case.yaml::plain", None),
    ],
)
def test_a_case_is_the_text_in_brackets(name, case):
    assert sglang.case_id(item(name)) == case


def test_a_case_selects_every_test_that_has_it():
    items = [item(f"{file}.py::test[{case}]") for file in "ab" for case in ("flux", "FLUX", "x")]
    chosen, unmatched = sglang.select(items, ["flux", "gone", "flu"])
    assert [one.id for one in chosen] == ["a.py::test[flux]", "b.py::test[flux]"]
    assert unmatched == ["gone", "flu"]


def test_a_partition_selects_cases_and_standalone_files():
    names = ["a.py::test[flux]", "a.py::other", "tests/sub/test_alone.py::one", "alone.py::two"]
    items = [item(name) for name in names]
    case_plan = sglang.CasePlan(("flux",), ("sub/test_alone.py", "gone.py"))
    chosen, unmatched = sglang.select_plan(items, case_plan)
    assert [one.id for one in chosen] == [names[0], names[2]]
    assert unmatched == ["standalone:gone.py"]


def test_a_report_has_sglangs_fields():
    found = report(
        verdict("t.py::test[good]", Outcome.PASSED),
        verdict("t.py::test[flaky]", Outcome.FLAKY),
        verdict("t.py::test[bad]", Outcome.FAILED),
        verdict("t.py::test[crash]", Outcome.CRASHED),
        verdict("t.py::test[skip]", Outcome.SKIPPED),
        verdict("t.py::test[lost]", Outcome.LOST),
        verdict("t.py::plain", Outcome.PASSED),
    )
    results = {"bad": "fail", "crash": "error", "flaky": "pass", "good": "pass"}
    assert found == {
        "suite": "1-gpu",
        "partition_id": 1,
        "total_partitions": 2,
        "is_standalone": False,
        "standalone_file": None,
        "executed_cases": sorted(results),
        "case_results": results,
        "missing_standalone_estimates": [],
        "standalone_measurements": [],
    }


@pytest.mark.parametrize("order", [1, -1])
def test_the_worst_of_a_cases_tests_is_its_result(order):
    outcomes = [Outcome.PASSED, Outcome.FAILED][::order]
    verdicts = [verdict(f"{i}.py::test[flux]", outcome) for i, outcome in enumerate(outcomes)]
    assert report(*verdicts)["case_results"] == {"flux": "fail"}


def test_a_case_with_a_lost_test_is_not_executed():
    verdicts = [verdict("a.py::t[x]", Outcome.PASSED), verdict("b.py::t[x]", Outcome.LOST)]
    assert report(*verdicts)["executed_cases"] == []


def test_a_standalone_file_is_measured():
    case_plan = sglang.read_plan(text(), "1-gpu", 2, 1)
    verdicts = [verdict(f"sub/test_alone.py::t[{i}]", Outcome.PASSED, 30.25) for i in range(2)]
    found = report(*verdicts, case_plan=case_plan)
    assert (found["is_standalone"], found["standalone_file"]) == (True, "sub/test_alone.py")
    assert found["case_results"] == {"standalone:sub/test_alone.py": "pass"}
    assert found["standalone_measurements"] == [
        {
            "suite": "1-gpu",
            "standalone_file": "sub/test_alone.py",
            "measured_full_test_time_s": 60.5,
            "used_fallback_estimate": True,
            "fallback_estimate_s": 300.0,
            "had_configured_estimate": False,
            "configured_or_fallback_estimate_s": 300.0,
        }
    ]


def test_a_report_reads_back(tmp_path):
    verdicts = [verdict("a.py::t[é x]", Outcome.PASSED)]
    summary = Summary(verdicts, (), 0, suite="1-gpu", part=1, parts=2)
    sglang.write_report(tmp_path, summary)
    path = tmp_path / "execution_report_1-gpu_1.json"
    assert path.read_text().startswith('{\n  "suite": "1-gpu"')
    assert sglang.read_report(path) == sglang.Report("1-gpu", 1, 2, ("é x",), {"é x": "pass"})


def test_a_report_with_another_result_is_refused(tmp_path):
    found = report(verdict("a.py::t[x]", Outcome.PASSED))
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**found, "case_results": {"x": "green"}}))
    with pytest.raises(SuiteError, match="case_results: x: expected error, fail or pass"):
        sglang.read_report(path)


def test_our_plan_in_sglangs_form_selects_the_same_tests():
    items = [item(f"{file}.py::test[{file}-{i}]") for file in "abc" for i in range(4)]
    made = plan.assign(items, plan.weights(items), 2, "1-gpu")
    for part in range(2):
        read = sglang.read_plan(sglang.plan_text(made), "1-gpu", 2, part)
        assert sglang.select_plan(items, read) == (made.part(part), [])
        assert read.estimated_time == made.estimates[part]


def test_a_plan_that_sglang_cannot_say_is_refused():
    items = [item("a.py::test")]
    with pytest.raises(SuiteError, match=r"expected tests with an id in brackets, got a\.py::test"):
        sglang.plan_text(plan.assign(items, plan.weights(items), 1))
    items = [item("a.py::test[x]"), item("b.py::test[x]")]
    with pytest.raises(SuiteError, match="expected case 'x' in one partition, got several"):
        sglang.plan_text(plan.assign(items, plan.weights(items), 2))


@pytest.mark.parametrize("prefix", ["DIFFUSION", "DIFFUSION_"])
def test_the_environment_gives_flags(prefix):
    environment = {
        "DIFFUSION_PARTITION_ID": "1",
        "DIFFUSION_TOTAL_PARTITIONS": " 4 ",
        "DIFFUSION_PARTITION_PLAN_JSON": text(),
        "DIFFUSION_PYTEST_FILTER": "flux or wan",
        "DIFFUSION_CONTINUE_ON_ERROR": "Yes",
        "MUSA_PARTITION_ID": "3",
    }
    assert sglang.from_environment(prefix, environment) == {
        "partition_id": 1,
        "total_partitions": 4,
        "partition_plan_json": text(),
        "filter": "flux or wan",
        "continue_on_error": True,
    }


def test_an_empty_variable_is_not_given():
    names = ("PARTITION_ID", "PYTEST_FILTER", "CONTINUE_ON_ERROR")
    assert sglang.from_environment("X", {f"X_{name}": "" for name in names}) == {}
    assert sglang.from_environment("X", {"X_CONTINUE_ON_ERROR": "0"}) == {
        "continue_on_error": False
    }


@pytest.mark.parametrize("value", ["-1", "one", "1.0", "²"])
def test_a_partition_that_is_no_number_is_refused(value):
    with pytest.raises(SuiteError, match="X_PARTITION_ID: expected a whole number, got"):
        sglang.from_environment("X", {"X_PARTITION_ID": value})
