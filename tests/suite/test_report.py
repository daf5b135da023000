"""What people see of a run, and the JSON form."""

import io
import json
import shlex

import pytest

from fusible.suite import report, wording
from fusible.suite.model import Attempt, Failure, Item, Outcome, Summary, Verdict

COMMAND = ("fusible", "suite", "run", "--suite", "my suite")


def verdict(name, outcome=Outcome.PASSED, reason="", seconds=0.0, **rest):
    failures = () if outcome.good else (Failure("call", ("E",), reason, f"text of {name}"),)
    attempt = Attempt(outcome, seconds, failures, reason=reason)
    return Verdict(Item(name, file=name.partition("::")[0]), outcome, (attempt,), reason, **rest)


def closing(*verdicts, exit_status=0, problems=()):
    summary = Summary(verdicts, problems, exit_status, 1.5)
    return [text for _, text in report.closing(summary, COMMAND)]


def test_json_has_what_was_promised():
    verdicts = [
        verdict("t.py::a", seconds=0.25),
        verdict("t.py::b", Outcome.LOST, "gone"),
        Verdict(Item("t.py::c", 1), Outcome.NOT_RUN, (), "stopped"),
    ]
    found = report.summary_json(Summary(verdicts, (), 3))
    assert found["exit"] == 3
    assert found["tests"][0] == {
        "id": "t.py::a",
        "outcome": "passed",
        "attempts": 1,
        "reason": "",
        "duration": 0.25,
    }
    assert found["lost"] == ["t.py::b"]
    assert found["not_run"] == ["t.py::c (occurrence 2)"]
    assert "problems" not in found
    assert json.loads(json.dumps(found)) == found


def test_json_names_problems_quarantine_and_occurrence():
    odd = Verdict(Item("t.py::a", 2), Outcome.FAILED, (), "boom", quarantined="known")
    found = report.summary_json(Summary([odd], ["a worker died"], 3))
    assert found["problems"] == ["a worker died"]
    assert (found["tests"][0]["occurrence"], found["tests"][0]["quarantined"]) == (2, "known")


def test_last_line_counts_worst_first():
    verdicts = [verdict("a"), verdict("b", Outcome.FAILED), verdict("c", Outcome.CRASHED)]
    about = "exit 3: something was lost, crashed or hung"
    last = closing(*verdicts, exit_status=3)[-1]
    assert last == f"== 1 crashed, 1 failed, 1 passed in 1.50 s ({about}) =="


def test_partition_is_named_where_there_are_several():
    line = wording.closing_sentence(Summary((), (), 0, 0.0, part=1, parts=3))
    assert line == "no tests of partition 1 of 3 in 0.00 s (exit 0: all is well)"


@pytest.mark.parametrize(
    "name", ["t.py::test_a", "t.py::test_a[x y]", "t.py::test_a[$(x) ' \" ;]", "t.py::t[-k]"]
)
def test_failure_shows_the_command_that_reruns_exactly_it(name):
    lines = closing(verdict(name, Outcome.FAILED, "boom"), exit_status=1)
    (line,) = (line for line in lines if line.strip().startswith("again: "))
    assert shlex.split(line.strip().removeprefix("again: ")) == [*COMMAND, "--repeat", "1", name]
    assert f"   text of {name}" in lines


def test_broken_file_is_rerun_as_a_path():
    assert wording.rerun(verdict("d/t.py", Outcome.ERROR), COMMAND).endswith("'my suite' d/t.py")


def test_every_group_is_listed_with_its_reason():
    lines = closing(
        verdict("t.py::flaky", Outcome.FLAKY, "flaky (1 of 2)"),
        verdict("t.py::known", Outcome.FAILED, "boom", quarantined="waits for a fix"),
        verdict("t.py::later", Outcome.NOT_RUN, "stopped"),
        verdict("t.py::s1", Outcome.SKIPPED, "no GPU"),
        verdict("t.py::s2", Outcome.SKIPPED, "no GPU"),
        verdict("t.py::slow", seconds=2.25),
        problems=["pytest left 1 process"],
        exit_status=3,
    )
    text = "\n".join(lines)
    assert "t.py::flaky: flaky (1 of 2)" in text
    assert "-- quarantined: 1\n   t.py::known: waits for a fix" in text
    assert "-- not-run: 1\n   t.py::later: stopped" in text
    assert "    2 skipped: no GPU" in text
    assert "    2.25 s t.py::slow" in text
    assert "problem: pytest left 1 process" in text
    assert "-- failed: t.py::known" not in text


def test_long_sections_and_texts_are_bounded():
    many = [verdict(f"t.py::t{i}", Outcome.FAILED, "boom") for i in range(300)]
    lines = closing(*many, exit_status=1)
    assert f"and {300 - report.LISTED} more (all of them: --json)" in lines
    long = Failure("call", (), "", "\n".join(map(str, range(1000))))
    attempt = Attempt(Outcome.FAILED, failures=(long,))
    lines = closing(Verdict(Item("t.py::a"), Outcome.FAILED, (attempt,), "boom"), exit_status=1)
    assert "   999" in lines
    assert "   0" not in lines


def test_text_cannot_steer_a_terminal():
    assert wording.printable("a\x1b[31m\r\x00b\udcff\u202e\n\té") == (
        "a\\x1b[31m\\r\\x00b\\udcff\\u202e\n\té"
    )
    lines = closing(verdict("t.py::a", Outcome.FAILED, "\x1b[2Jx"), exit_status=1)
    assert "\x1b" not in "\n".join(lines)


def test_crash_says_what_ran_before_and_where_the_output_is():
    attempt = Attempt(Outcome.CRASHED, before=("t.py::first",), output="out.txt", reason="SIGSEGV")
    text = "\n".join(closing(Verdict(Item("t.py::a"), Outcome.CRASHED, (attempt,), "SIGSEGV")))
    assert "t.py::first" in text
    assert "out.txt" in text


def reported(stream, *verdicts, environment=()):
    made = report.reporter(stream, dict(environment), COMMAND)
    made.planned([v.item for v in verdicts], 2)
    for index, one in enumerate(verdicts):
        made.started(index, one.item, 0)
        made.finished(one)
    made.note("worker 1 was replaced")
    made.closed(Summary(verdicts, (), 1))
    return made


def test_log_gets_a_bad_outcome_at_once_and_nothing_for_a_pass():
    stream = io.StringIO()
    reported(stream, verdict("t.py::good"), verdict("t.py::bad", Outcome.FAILED, "boom\nmore"))
    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        "2 tests in 2 processes",
        "failed t.py::bad: boom",
        "worker 1 was replaced",
    ]
    assert "t.py::good" not in stream.getvalue()


def test_progress_is_said_when_it_was_long_ago(monkeypatch):
    stream = io.StringIO()
    made = report.Reporter(stream)
    made.planned([Item("t.py::a"), Item("t.py::b")], 1)
    made.start = made.shown = made.start - 100
    made.finished(verdict("t.py::a"))
    made.finished(verdict("t.py::b"))
    assert stream.getvalue().splitlines() == ["2 tests", "1 of 2, 100 s"]


def test_stream_that_lacks_a_character_gets_an_escape():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    made = report.Reporter(stream)
    made.note("é")
    stream.flush()
    assert raw.getvalue().splitlines()[-1] == b"\\xe9"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_terminal_shows_what_runs_and_ends_with_the_same_lines():
    stream = Terminal()
    made = report.reporter(stream, {}, COMMAND)
    made.planned([Item("t.py::a[[red]]")], 1)
    made.shown = 0
    made.started(0, Item("t.py::a[[red]]"), 0)
    made.closed(Summary([verdict("t.py::a[[red]]", Outcome.FAILED, "boom")], (), 1))
    assert isinstance(made, report.LiveReporter)
    assert "0 of 1" in stream.getvalue()
    assert "failed   t.py::a[[red]]: boom" in stream.getvalue()
