"""Tests that crash, hang, lie or confuse: each has exactly the outcome that it deserves."""

import pytest

from suite.cases import collection, execution, files, ids, outcomes
from support.small_suites import Case, Ran, project, run, run_case

FAMILIES = (ids, collection, execution, outcomes, files)
CASES = [case for family in FAMILIES for case in family.CASES]


@pytest.fixture(scope="module", params=CASES, ids=str)
def told(request, tmp_path_factory) -> tuple[Case, Ran]:
    """A case and what the runner said of it, once for all tests of this module."""
    case = request.param
    return case, run_case(case, tmp_path_factory.mktemp("case") / "a project")


def test_every_test_has_its_outcome_and_no_other_is_told(told):
    case, ran = told
    assert ran.outcomes == case.outcomes, ran.explained()
    assert len(ran.tests) == len(case.outcomes)
    if case.log is not None:  # what the tests themselves say: each ran once
        log = (ran.folder / "log").read_text(encoding="utf-8").splitlines()
        assert tuple(sorted(log)) == case.log


def test_exit_status_follows(told):
    case, ran = told
    assert ran.exit == ran.report["exit"] == case.exit, ran.explained()


def test_reasons_are_named(told):
    case, ran = told
    found = {name: ran.test(name)["reason"] for name in case.reasons}
    assert {n for n, part in case.reasons.items() if part not in found[n]} == set(), found
    problems = ran.report.get("problems", [])
    assert {p for p in case.problems if not any(p in problem for problem in problems)} == set(), (
        problems
    )
    assert bool(case.problems) == bool(problems), problems


@pytest.mark.parametrize("refused", files.REFUSED, ids=str)
def test_wrong_input_is_refused_in_a_sentence(tmp_path, refused):
    folder = project(tmp_path, {**files.TWO, **refused.files})
    ran = run(folder, *refused.arguments, env=refused.env)
    assert (ran.exit, ran.stdout) == (2, ""), ran.explained()
    assert "Traceback" not in ran.stderr
    assert [word for word in refused.words if word not in ran.stderr] == [], ran.stderr


def test_ids_that_differ_in_every_process_are_lost_and_named(tmp_path):
    unstable = """
        import os, pytest
        @pytest.mark.parametrize("x", [1], ids=[f"process {os.getpid()}"])
        def test_unstable(x): assert False
        def test_stable(): pass
    """
    folder = project(tmp_path, {"test_a.py": unstable})
    ran = run(folder, "--workers", "2", "--continue-on-error")
    assert ran.exit == 3, ran.explained()
    assert ran.outcomes.pop("test_stable") == "passed"
    (lost,) = ran.report["lost"]
    assert lost.startswith("test_a.py::test_unstable[process ")


def test_a_file_that_exits_takes_no_other_with_it(tmp_path):
    # Of its own too: pytest 7 reports it and goes on, later ones end in the middle of collecting.
    files = {"test_a.py": "def test_a(): pass", "test_b.py": "import sys\nsys.exit(0)"}
    ran = run(
        project(tmp_path, {**files, "test_c.py": "def test_c(): pass"}), "--continue-on-error"
    )
    broken = ran.outcomes.pop("test_b.py")
    assert (broken, ran.exit) in (("error", 1), ("crashed", 3)), ran.explained()
    assert ran.outcomes == {"test_a": "passed", "test_c": "passed", "test_b.py": broken}
    assert "SystemExit" in ran.test("test_b.py")["reason"]


def test_empty_parameters_are_a_skip(tmp_path):
    # A test of its own: versions of pytest differ in the id.
    empty = "import pytest\n@pytest.mark.parametrize('x', [])\ndef test_none(x): pass"
    ran = run(project(tmp_path, {"test_a.py": empty}))
    assert ran.exit == 0, ran.explained()
    assert [test["outcome"] for test in ran.tests] == ["skipped"]
    assert "empty parameter set" in ran.tests[0]["reason"]
