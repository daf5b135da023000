"""Events in, attempts and problems out; and the ledger that they come from."""

import json

import pytest

from fusible.suite import ledger
from fusible.suite.ledger import Ledger, Tail
from fusible.suite.model import SuiteError
from fusible.suite.record import BEFORE, Record

IDS = ["a.py::one", "a.py::two", "b.py::three"]
COLLECTED = {
    "e": "collected",
    "ids": IDS,
    "files": ["a.py", "b.py"],
    "of": [0, 0, 1],
    "occ": {},
    "deselected": 0,
    "index": None,
    "missing": [],
}
PASS = [("setup", "passed"), ("call", "passed"), ("teardown", "passed")]
END = {"e": "end", "status": 0, "stopped": None}


def started(index, **more):
    return {"e": "started", "i": index, **more}


def phase(index, when, outcome, **more):
    return {"e": "phase", "i": index, "w": when, "o": outcome, "d": 0.25, **more}


def finished(index):
    return {"e": "finished", "i": index, "d": 1.0}


def whole(index, phases=PASS, **more):
    """The events of a test."""
    reports = [phase(index, when, outcome, **more) for when, outcome in phases]
    return [started(index), *reports, finished(index)]


def record_of(*events, planned=None):
    record = Record(1, planned=planned)
    for event in [{"e": "begin", "pid": 5}, COLLECTED, *events]:
        record.feed(event)
    return record


@pytest.mark.parametrize(
    ("phases", "outcome"),
    [
        (PASS, "passed"),
        ([("setup", "passed"), ("call", "failed"), ("teardown", "passed")], "failed"),
        ([("setup", "passed"), ("call", "failed"), ("teardown", "failed")], "failed"),
        ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], "error"),
        ([("setup", "failed"), ("teardown", "passed")], "error"),
        ([("setup", "skipped"), ("teardown", "passed")], "skipped"),
        ([("setup", "passed"), ("call", "xfailed"), ("teardown", "passed")], "xfailed"),
        ([("setup", "passed"), ("call", "xpassed"), ("teardown", "passed")], "xpassed"),
        ([("setup", "passed"), ("teardown", "passed")], "lost"),
        ([("???", "failed")], "failed"),
        ([], "lost"),
    ],
)
def test_the_worst_report_counts(phases, outcome):
    record = record_of(*whole(0, phases))
    assert [attempt.outcome for attempt in record.attempts[0]] == [outcome]


@pytest.mark.parametrize(
    ("part", "outcome"), [("failed", "failed"), ("skipped", "passed"), ("passed", "passed")]
)
def test_a_subtest_can_only_fail_its_test(part, outcome):
    events = whole(0)
    events.insert(2, phase(0, "call", part, sub=True, message="no"))
    assert record_of(*events).attempts[0][0].outcome == outcome


def test_a_subtest_is_no_call():
    events = whole(0, [("setup", "passed"), ("teardown", "passed")])
    events.insert(2, phase(0, "call", "passed", sub=True))
    assert record_of(*events).attempts[0][0].outcome == "lost"


def test_reruns_in_the_process_are_attempts():
    again = [("setup", "passed"), ("call", "rerun")]
    record = record_of(*whole(0, [*again, *again, *PASS], message="no"))
    assert [attempt.outcome for attempt in record.attempts[0]] == ["failed", "failed", "passed"]
    assert [attempt.seconds for attempt in record.attempts[0]] == [0.5, 0.5, 0.0]


def test_a_failure_tells_all():
    more = {"types": ["E"], "message": "m", "text": "t", "markers": ["slow"]}
    failing = phase(0, "call", "failed", measurement={"ms": 3}, **more)
    record = record_of(started(0), phase(0, "setup", "passed"), failing, finished(0))
    (failure,) = record.attempts[0][0].failures
    assert (failure.phase, failure.types, failure.message) == ("call", ("E",), "m")
    assert (failure.text, failure.markers, failure.measurement) == ("t", ("slow",), {"ms": 3})
    assert record.attempts[0][0].reason == "m"


def test_what_ran_before_is_bounded():
    record = Record(1)
    ids = [f"a.py::t{i}" for i in range(BEFORE + 10)]
    record.feed({**COLLECTED, "ids": ids, "files": ["a.py"], "of": [0] * len(ids)})
    for index in range(len(ids) - 1):
        for event in whole(index):
            record.feed(event)
    record.feed(started(len(ids) - 1))
    record.close(-11, "SIGSEGV", "", "")
    (death,) = record.attempts[len(ids) - 1]
    assert death.before == tuple(ids[9:-1])
    assert record.attempts[0][0].before == ()


def test_a_clean_end_has_no_problems():
    record = record_of(*whole(0), *whole(1), *whole(2), END)
    record.close(0, None, "", "")
    assert (record.problems, record.left(), record.why) == ([], [], "")


@pytest.mark.parametrize(
    ("last", "status", "signal", "problem"),
    [
        ([], 0, None, "the process exited between tests with status 0: bye"),
        ([], -9, "SIGKILL", "the process died between tests: SIGKILL"),
        ([END], -9, "SIGKILL", "the process died after pytest's end: SIGKILL"),
        ([END], 1, None, "pytest ended with status 0, its process exited with 1"),
        ([{**END, "status": 1}], 1, None, "pytest ended with status 1: but nothing failed"),
        ([{**END, "status": 5}], 5, None, "pytest ended with status 5: but 1 tests ran"),
        ([{**END, "status": 3}], 3, None, "pytest ended with status 3: and no test accounts"),
        ([{"e": "exit", "why": "x"}, END], 0, None, "pytest ended with status 0: x"),
        ([{"e": "torn", "of": "phase"}, END], 0, None, "an event was torn: phase"),
        ([phase(2, "call", "passed"), END], 0, None, "a report came while its test was not"),
        ([*whole(0), END], 0, None, "a.py::one ran twice in one process"),
        ([started(-1, id="x"), finished(-1), END], 0, None, "x ran though it was not planned"),
    ],
)
def test_contradictions_are_named(last, status, signal, problem):
    record = record_of(*whole(0), *last)
    record.close(status, signal, "", "hello\nbye\n\n")
    assert len(record.problems) == 1
    assert record.problems[0].startswith(problem)


def test_a_forked_child_changes_nothing_but_is_named():
    record = record_of(started(0), {**finished(0), "pid": 6})
    assert (record.running, record.attempts, record.forked) == (0, {}, ["a.py::one"])
    assert "a forked child of a.py::one" in record.problems[0]


@pytest.mark.parametrize(
    ("killed", "outcome"),
    [("test limit of 5 s", "timeout"), ("suite limit", "timeout"), ("interrupted", None)],
)
def test_a_kill_is_charged_by_its_reason(killed, outcome):
    record = record_of(started(1), {"e": "killed", "i": 1, "f": None}, *whole(1)[1:])
    record.close(-9, "SIGKILL", killed, "")
    assert [a.outcome for a in record.attempts.get(1, [])] == ([outcome] if outcome else [])
    assert (1 in record.left()) == (outcome is None)


def test_a_test_that_began_after_the_limit_does_not_pay_for_the_one_before():
    record = record_of(*whole(0), started(1), {"e": "killed", "i": 0, "f": None})
    record.close(-9, "SIGKILL", "test limit of 5 s", "")
    assert (list(record.attempts), record.left()) == ([0], [1, 2])


def test_a_part_of_a_plan():
    record = Record(1, planned=[4, 7, 9])
    record.feed({**COLLECTED, "ids": IDS[:2], "of": [0, 0], "index": [7, 4], "missing": [9]})
    for event in whole(7):
        record.feed(event)
    assert str(record.item(7)) == IDS[0]
    assert (record.left(), record.missing) == ([4, 9], (9,))


def test_the_first_error_of_a_file_counts():
    broken = {"e": "broken", "f": "a.py", "o": "skipped", "message": "not here"}
    record = record_of(broken)
    assert record.broken["a.py"].outcome == "skipped"
    record.feed({**broken, "o": "error", "message": "first"})
    record.feed({**broken, "o": "error", "message": "second"})
    record.feed(broken)
    assert (record.broken["a.py"].outcome, record.broken["a.py"].reason) == ("error", "first")


def test_a_ledger_gives_back_what_was_written(tmp_path):
    events = [{"e": "started", "s": 1, "i": 0, "id": "a::é\ud800\n"}, {"e": "end", "s": 1}]
    book, tail = Ledger(tmp_path / "new/ledger"), Tail(tmp_path / "new/ledger")
    assert tail.read() == []
    for event in events:
        book.write(event)
        assert tail.read() == [event]
    book.close()
    assert ledger.read(tmp_path / "new/ledger") == events
    with pytest.raises(ValueError, match='first key is "e"'):
        Ledger(tmp_path / "other").write({"s": 1, "e": "x"})


def test_a_tail_waits_for_whole_lines(tmp_path):
    path = tmp_path / "ledger"
    path.write_text('{"e":"a"}\n{"e":')
    tail = Tail(path)
    assert tail.read() == [{"e": "a"}]
    path.write_text('{"e":"a"}\n{"e":"b"}\n')
    assert tail.read() == [{"e": "b"}]


@pytest.mark.parametrize(
    ("text", "torn"),
    [
        ('{"e":"phase","s":3,"i":1,"text":"abc', {"e": "torn", "of": "phase", "s": 3}),
        ('{"e":"phase","s":3', {"e": "torn", "of": "phase"}),
        ('{"e":"ph', {"e": "torn", "of": "ph"}),
        ('{"e', {"e": "torn", "of": ""}),
    ],
)
def test_a_torn_event_spares_the_next_one(tmp_path, text, torn):
    path = tmp_path / "ledger"
    path.write_text(text)
    assert ledger.read(path) == [torn]
    path.write_text(text + '{"e":"started","s":2,"i":5}\n')
    assert ledger.read(path) == [torn, {"e": "started", "s": 2, "i": 5}]


@pytest.mark.parametrize(
    "line", ["nonsense", "[]", "{}", '{"e":3}', '{"s":1,"e":"x"', "<<<<<<< HEAD", "\x00"]
)
def test_what_is_no_event_is_named_by_line(tmp_path, line):
    path = tmp_path / "ledger"
    path.write_text(json.dumps({"e": "end"}) + f"\n{line}\n")
    with pytest.raises(SuiteError, match=r"ledger:2: expected an"):
        ledger.read(path)


def test_a_ledger_that_is_not_there(tmp_path):
    with pytest.raises(SuiteError, match="expected a ledger, got No such file"):
        ledger.read(tmp_path / "ledger")


def test_the_last_line_of_a_long_output_is_bounded():
    record = Record(1)
    record.close(1, None, "", "first\n" + "x" * 10**6 + "\n\n")
    (problem,) = record.problems
    assert problem.startswith("the process exited before pytest began with status 1: xxx")
    assert len(problem) < 600


def test_what_is_collected_and_in_no_plan_is_a_problem():
    record = Record(1, planned=[0, 1, 2])
    record.feed({**COLLECTED, "unplanned": [f"a.py::new[{i}]" for i in range(7)]})
    assert len(record.unplanned) == 7
    (problem,) = record.problems
    assert problem.startswith("collected, but in no plan: a.py::new[0], a.py::new[1], ")
    assert problem.endswith("a.py::new[4] and 2 more")
