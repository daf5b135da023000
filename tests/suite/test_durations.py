"""Durations: medians of the last five by class of machine, read strictly, written line by line."""

import pytest

from fusible.suite import durations
from fusible.suite.durations import Durations, Machine
from fusible.suite.model import SuiteError


def of(**tests):
    return Durations({"big": Machine(tests, {"a.py": [0.5]})})


def test_the_estimate_is_the_median():
    known = of(t=[1.0, 100.0, 2.0]).estimates("big")
    assert known.tests == {"t": 2.0}
    assert known.files == {"a.py": 0.5}


def test_only_the_last_five_are_kept():
    recorded = Durations()
    for value in range(8):
        recorded = recorded.add("big", Machine({"t": [float(value)]}, {}))
    assert recorded.classes["big"].tests["t"] == [3.0, 4.0, 5.0, 6.0, 7.0]


def test_classes_do_not_mix():
    both = of(t=[1.0]).add("small", Machine({"t": [9.0], "u": [3.0]}, {}))
    assert both.estimates("big").tests == {"t": 1.0}
    assert both.estimates("small").tests == {"t": 9.0, "u": 3.0}


@pytest.mark.parametrize("machine", [None, "never seen"])
def test_without_a_class_all_count(machine):
    both = of(t=[1.0]).add("small", Machine({"t": [9.0]}, {}))
    assert both.estimates(machine).tests == {"t": 5.0}


def test_a_file_reads_back_and_has_a_test_a_line(tmp_path):
    path = tmp_path / "new" / "durations.json"
    recorded = of(**{"t[\udc80 ☃]": [1.0], "t": [0.0, 2.5]})
    durations.save(path, recorded)
    assert durations.load(path) == recorded
    assert '    "t": [0.0, 2.5],' in path.read_text().splitlines()
    assert [one.name for one in path.parent.iterdir()] == ["durations.json"]


def test_a_byte_order_mark_and_crlf_are_read(tmp_path):
    path = tmp_path / "durations.json"
    path.write_bytes(b"\xef\xbb\xbf" + of(t=[1.0]).to_json().replace("\n", "\r\n").encode())
    assert durations.load(path) == of(t=[1.0])


def classes(text):
    return '{"version": 1, "classes": {"big": {"tests": {"t": ' + text + "}}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected JSON, got Expecting value"),
        ("[]", "expected an object"),
        ("{}", "expected the key 'version'"),
        ('{"version": 2, "classes": {}}', "expected version 1, got 2"),
        ('{"version": 1, "classes": {}, "more": 1}', "got 'more'"),
        ('{"version": 1, "classes": {}, "classes": {}}', "got 'classes' twice"),
        (classes("[NaN]"), "expected a finite number, got NaN"),
        (classes("[1e999]"), r"tests: t\[0\]: expected seconds"),
        (classes("[-1]"), r"tests: t\[0\]: expected seconds, 0 or more, got -1"),
        (classes('["1"]'), "expected seconds, 0 or more, got '1'"),
        (classes("[true]"), "expected seconds, 0 or more, got True"),
        (classes("[" + "9" * 400 + "]"), "expected seconds"),
        (classes("1"), "expected a list"),
        (classes("[]"), "expected 1 to 5 durations, got 0"),
        (classes("[1,2,3,4,5,6]"), "expected 1 to 5 durations, got 6"),
        ('{"version": 1,\n<<<<<<< ours\n', ":2: expected JSON, got a merge conflict"),
        ('{"version": 1,\n=======\n', ":2: expected JSON, got a merge conflict"),
    ],
)
def test_a_damaged_file_is_refused_by_its_path(tmp_path, text, message):
    path = tmp_path / "durations.json"
    path.write_text(text)
    with pytest.raises(SuiteError, match=message) as caught:
        durations.load(path)
    assert str(caught.value).startswith(str(path))


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "durations.json"
    path.write_bytes(b"{\xff}")
    with pytest.raises(SuiteError, match="expected UTF-8, got byte 1"):
        durations.load(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        durations.load(tmp_path / "durations.json")
