"""What a merge gathers besides verdicts: durations and coverage."""

import sys

import pytest

from fusible.suite.durations import Durations, Machine
from fusible.suite.merge import merge_coverage, merge_durations
from fusible.suite.model import SuiteError
from support import ledgers
from support.ledgers import IDS


@pytest.fixture
def partitions(tmp_path):
    return ledgers.partitions(tmp_path)


def test_durations_come_from_good_attempts(partitions):
    first, second = partitions
    first.begin().run([0], "failed").run([1, 2]).run([0], purpose="retry").say("passed").end()
    old = Durations({"big": Machine({IDS[0]: [9.0]}, {})})
    new = merge_durations(old, [first.path, second.passes().path]).classes["big"]
    assert new.tests == {IDS[0]: [9.0, 0.5], **{name: [0.5] for name in IDS[1:]}}
    assert new.files == {"test_a.py": [0.25], "test_b.py": [0.25]}


def test_failed_tests_give_no_durations(partitions):
    first = partitions[0].begin().run([0], "failed").say("failed", [0]).end(1)
    assert merge_durations(Durations(), [first.path]).classes["big"].tests == {}


def test_coverage_needs_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "coverage", None)
    with pytest.raises(SuiteError, match="needs the package coverage"):
        merge_coverage([tmp_path / "data"], tmp_path / "all")


def test_coverage_data_is_combined(tmp_path):
    coverage = pytest.importorskip("coverage", reason="the package coverage is not installed")
    files = [tmp_path / f"data-{i}" for i in range(2)]
    for number, file in enumerate(files):
        data = coverage.CoverageData(basename=str(file))
        data.add_lines({"module.py": [number + 1]})
        data.write()
    merge_coverage(files, tmp_path / "all")
    combined = coverage.CoverageData(basename=str(tmp_path / "all"))
    combined.read()
    assert sorted(combined.lines("module.py")) == [1, 2]
    with pytest.raises(SuiteError, match="gone: expected a file of coverage data"):
        merge_coverage([tmp_path / "gone"], tmp_path / "all")
