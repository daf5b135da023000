"""Explaining a test: where it ran, why there, why it was retried."""

import pytest

from fusible.suite.explain import explain
from fusible.suite.model import SuiteError
from support import ledgers
from support.ledgers import IDS


@pytest.fixture
def partitions(tmp_path):
    return ledgers.partitions(tmp_path)


def test_explain_says_where_and_why(partitions):
    first, second = partitions
    first.begin().run([0], "failed", message="boom", types=["OSError"]).run([1, 2])
    first.run([0], purpose="retry").say("flaky", [0], "flaky (1 of 2)").end()
    lines = explain([first.path, second.passes().path], IDS[0])
    text = "\n".join(lines)
    assert "partition 0 of 2: with 3 of test_a.py" in text
    assert "attempt 1: failed after 0.500 s, process 0 (run), worker 0: boom" in text
    assert "failed in call: OSError" in text
    assert "attempt 2: passed after 0.500 s, process 2 (retry)" in text
    assert lines[-1] == "  verdict: flaky: flaky (1 of 2)"


def test_explain_of_an_unknown_test_names_the_nearest(partitions):
    with pytest.raises(SuiteError, match=r"near it: test_a\.py::test"):
        explain([partitions[0].passes().path], "test_a.py::test")
