"""JUnit: names as pytest's, Surefire's dialect, valid whatever a test says."""

import xml.etree.ElementTree as ET

import pytest

from fusible.suite import junit
from fusible.suite.model import Attempt, Failure, Item, Outcome, Summary, Verdict
from support.small_suites import project, pytest_alone

BAD = Failure("call", ("ValueError", "builtins.ValueError"), "boom", "the text ]]> \x00 \udc80")


def verdict(name="t.py::test_a", outcome=Outcome.PASSED, attempts=None, **rest):
    attempts = attempts if attempts is not None else (Attempt(outcome, 0.5),)
    return Verdict(Item(name, file=name.partition("::")[0]), outcome, attempts, **rest)


def failed(reason="boom"):
    return Attempt(Outcome.FAILED, 0.25, (BAD,), reason=reason)


def written(tmp_path, *verdicts, exit_status=0, problems=()):
    path = tmp_path / "junit.xml"
    junit.write(path, Summary(verdicts, problems, exit_status, suite="unit"))
    (suite,) = ET.parse(path).getroot()
    return suite


def test_empty_file_is_valid(tmp_path):
    suite = written(tmp_path)
    assert (suite.tag, suite.get("tests"), len(suite)) == ("testsuite", "0", 0)


def test_a_test_is_one_testcase_with_its_node_id(tmp_path):
    name = "a/b/test_c.py::TestD::test_e[x::y-[1]]"
    (case,) = written(tmp_path, verdict(name))
    assert case.get("classname") == "a.b.test_c.TestD"
    assert case.get("name") == "test_e[x::y-[1]]"
    assert case.find("properties/property").attrib == {"name": "nodeid", "value": name}
    assert case.get("time") == "0.500"


def test_second_occurrence_says_so(tmp_path):
    twin = Verdict(Item("t.py::test_a", 1, "t.py"), Outcome.PASSED)
    (case,) = written(tmp_path, twin)
    assert {p.get("name"): p.get("value") for p in case.iter("property")}["occurrence"] == "1"


def test_failure_keeps_type_message_and_text(tmp_path):
    suite = written(tmp_path, verdict(outcome=Outcome.FAILED, attempts=(failed(),), reason="boom"))
    failure = suite.find("testcase/failure")
    assert failure.attrib == {"message": "boom", "type": "ValueError"}
    assert failure.text == "the text ]]> #x00 #xDC80"
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")


@pytest.mark.parametrize(
    "outcome", [Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT, Outcome.LOST], ids=str
)
def test_what_is_no_failure_of_the_call_is_an_error(tmp_path, outcome):
    suite = written(tmp_path, verdict(outcome=outcome, reason="SIGSEGV"), exit_status=3)
    assert suite.find("testcase/error").get("message") == "SIGSEGV"
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")


def test_crash_names_what_ran_before(tmp_path):
    crash = Attempt(Outcome.CRASHED, before=("t.py::test_first",), reason="SIGSEGV")
    suite = written(tmp_path, verdict(outcome=Outcome.CRASHED, attempts=(crash,)))
    assert "t.py::test_first" in suite.find("testcase/error").text


def test_flaky_passes_and_keeps_each_failure(tmp_path):
    death = Attempt(Outcome.CRASHED, reason="SIGKILL", failures=(Failure(signal="SIGKILL"),))
    attempts = (failed(), death, Attempt(Outcome.PASSED))
    suite = written(tmp_path, verdict(outcome=Outcome.FLAKY, attempts=attempts))
    (case,) = suite
    assert [child.tag for child in case] == ["properties", "flakyFailure", "flakyError"]
    assert case.find("flakyFailure/stackTrace").text.startswith("the text")
    assert case.find("flakyError").get("type") == "SIGKILL"
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")


def test_retries_that_fail_are_reruns_of_the_first_failure(tmp_path):
    attempts = (failed("first"), failed("second"), failed("third"))
    found = verdict(outcome=Outcome.FAILED, attempts=attempts, reason="third")
    (case,) = written(tmp_path, found)
    tags = [child.tag for child in case]
    assert tags == ["properties", "failure", "rerunFailure", "rerunFailure"]
    assert [r.get("message") for r in case.iter("rerunFailure")] == ["second", "third"]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (verdict(outcome=Outcome.SKIPPED, reason="no GPU"), "pytest.skip"),
        (verdict(outcome=Outcome.XFAILED, reason="known"), "pytest.xfail"),
        (verdict(outcome=Outcome.NOT_RUN, attempts=(), reason="stopped"), "fusible.not-run"),
        (verdict(outcome=Outcome.FAILED, quarantined="known flake"), "fusible.quarantined"),
    ],
    ids=["skip", "xfail", "not-run", "quarantined"],
)
def test_what_says_nothing_is_skipped_with_its_kind(tmp_path, found, kind):
    suite = written(tmp_path, found)
    assert suite.find("testcase/skipped").get("type") == kind
    assert suite.get("skipped") == "1"
    assert suite.find("testcase/failure") is None


def test_is_never_greener_than_the_run(tmp_path):
    suite = written(tmp_path, verdict(), exit_status=3, problems=["worker 1 died \x1b"])
    assert suite.get("errors") == "1"
    assert "worker 1 died #x1B" in suite.find("testcase/error").text
    assert "worker 1 died" in suite.findtext("system-err")


def test_red_run_with_a_failure_needs_no_further_testcase(tmp_path):
    assert len(written(tmp_path, verdict(outcome=Outcome.FAILED), exit_status=1)) == 1


def test_unprintable_ids_stay_valid(tmp_path):
    (case,) = written(tmp_path, verdict('t.py::test_a[\x07\udcff<&">]'))
    assert case.get("name") == 'test_a[#x07#xDCFF<&">]'


def test_long_message_is_cut_and_the_text_is_whole(tmp_path):
    attempt = Attempt(Outcome.FAILED, 0.0, (Failure("call", text="x" * 9000),))
    found = verdict(outcome=Outcome.FAILED, attempts=(attempt,), reason="x" * 9000)
    failure = written(tmp_path, found).find("testcase/failure")
    assert len(failure.get("message")) == 500
    assert len(failure.text) == 9000


def test_failing_write_leaves_the_old_file(tmp_path):
    (tmp_path / "junit.xml").mkdir()
    with pytest.raises(OSError, match="junit"):
        junit.write(tmp_path / "junit.xml", Summary((), (), 0))
    assert [p.name for p in tmp_path.iterdir()] == ["junit.xml"]


SUITE = {
    "pkg.d/test_a.py": """
        import pytest
        @pytest.mark.parametrize("x", ["a::b", "[0]", "", "é", "sp ace", "a/b.py"])
        def test_p(x): pass
        class TestC:
            class TestD:
                def test_m(self): pass
    """,
    "test_b.py": "def test_plain(): pass",
    "conftest.py": """
        import pytest
        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".case":
                return Cases.from_parent(parent, path=file_path)
        class Cases(pytest.File):
            def collect(self):
                yield Case.from_parent(self, name="some case")
        class Case(pytest.Item):
            def runtest(self): pass
    """,
    "sub/one.case": "",
}


def test_names_are_those_of_pytest_itself(tmp_path):
    folder = project(tmp_path, SUITE)
    collected = pytest_alone(folder, "--collect-only", "-q").stdout
    ids = [line for line in collected.splitlines() if "::" in line]
    pytest_alone(folder, "--junitxml=own.xml", "-q", "-p", "no:cacheprovider")
    cases = ET.parse(folder / "own.xml").getroot().iter("testcase")
    assert [junit.address(i) for i in ids] == [(c.get("classname"), c.get("name")) for c in cases]
    assert len(ids) == 9
