"""suites.toml: what it means, and how exactly a mistake in it is named."""

import datetime
from pathlib import Path

import pytest

from fusible.suite.config import base_of, find_config, load_config
from fusible.suite.model import Limits, SuiteError
from fusible.suite.retry import RetryConfig

DAY = "-".join(["2030", "01", "31"])
WHOLE = f"""
[unit]
paths = ["tests/unit", "tests/more"]
k = "not slow"
markers = "gpu"
needs = ["command:sh", "gpu"]
env = {{ A = "1" }}
timeout = {{ test = 5, file = 60, suite = 0 }}
workers = 2
allow_empty = true
quarantine = [{{ id = "tests/a.py::t", reason = "issue 7", until = {DAY} }}]

[unit.retry]
times = 2
on = ["TimeoutError", "requests.ConnectionError", "SIGSEGV", "setup", "mark.network", "crash"]
never = ["AssertionError"]
wait = 0.5
budget = 10

[other]
"""


def load(tmp_path: Path, text: str):
    path = tmp_path / "suites.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def refused(tmp_path: Path, text: str) -> str:
    """The message, without the file's place."""
    with pytest.raises(SuiteError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "suites.toml"))
    return message.removeprefix(str(tmp_path / "suites.toml"))


def test_every_key_is_read(tmp_path):
    unit = load(tmp_path, WHOLE)["unit"]
    assert unit.paths == ("tests/unit", "tests/more")
    assert (unit.k, unit.markers, unit.workers) == ("not slow", "gpu", 2)
    assert unit.needs == ("command:sh", "gpu")
    assert unit.env == {"A": "1"}
    assert unit.timeout == Limits(test=5.0, file=60.0, suite=None)
    assert unit.allow_empty
    assert unit.retry.times == 2
    assert unit.retry.never == ("AssertionError",)
    assert (unit.retry.wait, unit.retry.budget) == (0.5, 10)


def test_defaults_are_no_retry_and_twenty_minutes(tmp_path):
    other = load(tmp_path, WHOLE)["other"]
    assert other.retry == RetryConfig(times=0)
    assert other.timeout == Limits(test=1200.0, file=None, suite=None, grace=10.0)
    assert (other.workers, other.allow_empty) == (1, False)


def test_quarantine_ends_after_its_day(tmp_path):
    (row,) = load(tmp_path, WHOLE)["unit"].quarantine
    assert row.until == datetime.date(2030, 1, 31)
    assert row.active(row.until)
    assert not row.active(row.until + datetime.timedelta(days=1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nworker = 2", ":2: a.worker: expected one of paths, k, "),
        ("[a]\n\nworkers = 0", ":3: a.workers: expected 1 or more, got 0"),
        ("[a]\nworkers = true", ":2: a.workers: expected a whole number of 1 or more, got True"),
        ("[a]\npaths = 'tests'", ":2: a.paths: expected a list of strings, got 'tests'"),
        ("[a]\npaths = [1]", ":2: a.paths: expected a string, got 1"),
        ("[b]\n[a]\ntimeout = {test = -1}", ":3: a.timeout.test: expected seconds, 0 or more"),
        ("[a]\ntimeout = {test = nan}", ":2: a.timeout.test: expected seconds, 0 or more"),
        ("[a]\ntimeout = {tests = 1}", ":2: a.timeout.tests: expected one of test, file, suite"),
        ("[a.retry]\ntimes = 1\non = ['timout']", ":3: a.retry.on: expected an exception's name"),
        ("[a]\nretry = {on = ['SIGFOO']}", ":2: a.retry.on: expected the name of a signal"),
        ("[a]\nretry = {never = ['mark.']}", ":2: a.retry.never: expected mark.NAME"),
        ("[a]\nenv = {A = 1}", ":2: a.env.A: expected a string, got 1"),
        ("[a]\nallow_empty = 1", ":2: a.allow_empty: expected true or false, got 1"),
        ("[a]\nquarantine = [{id = 'x'}]", ":2: a.quarantine.reason: expected a value, got none"),
        (
            "[a]\nquarantine = [{id = 'x', reason = ' ', until = '2'}]",
            ":2: a.quarantine.reason: expected why the test is quarantined",
        ),
        (
            "[a]\nquarantine = [{id = 'x', reason = 'y', until = 'soon'}]",
            ":2: a.quarantine.until: expected a day",
        ),
        ("['a b']", ":1: a b: expected a suite's name"),
        ("a = 1", ":1: a: expected a table"),
        ("", ": expected a table for each suite, got an empty file"),
        ("[a\n", ": expected TOML, got "),
    ],
)
def test_a_mistake_is_named(tmp_path, text, message):
    assert refused(tmp_path, text).startswith(message)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"none\.toml: No such file"):
        load_config(tmp_path / "none.toml")


def test_the_nearest_file_is_found(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "suites.toml").touch()
    found = find_config(deep)
    assert found == tmp_path / "ci" / "suites.toml"
    assert base_of(found) == tmp_path
    (tmp_path / "a" / "suites.toml").touch()
    assert find_config(deep) == tmp_path / "a" / "suites.toml"
