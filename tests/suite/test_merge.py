"""Merging ledgers: proof that planned == executed, and a name for everything that is not."""

import json

import pytest

from fusible.suite.merge import merge
from fusible.suite.model import Collection, Item, Outcome, SuiteError
from fusible.suite.plan import collection_hash, make
from support import ledgers
from support.ledgers import IDS, WHOLE, Partition


@pytest.fixture
def partitions(tmp_path):
    return ledgers.partitions(tmp_path)


def merged(*parts):
    return merge([part.path for part in parts])


def test_everything_ran_once(partitions):
    result = merged(*[one.passes() for one in partitions])
    assert (result.exit, result.problems) == (0, [])
    assert [one.item.id for one in result.verdicts] == IDS
    assert result.lines() == ["proven: planned == executed, 2 partitions, 6 passed"]
    found = result.to_json()
    assert json.loads(json.dumps(found)) == found
    assert [one["outcome"] for one in found["tests"]] == ["passed"] * 6
    assert (found["hash"], found["commit"]) == (collection_hash(WHOLE), "c0ffee")


def test_the_order_of_ledgers_does_not_matter(partitions):
    for one in partitions:
        one.passes()
    assert merged(*partitions[::-1]).exit == 0


def test_a_failure_is_a_failure(partitions):
    first, second = partitions
    first.begin().run([0, 2]).run([1], "failed", message="assert 1 == 2", types=["AssertionError"])
    first.say("passed", [0, 2]).say("failed", [1], "assert 1 == 2").end(1)
    result = merged(first, second.passes())
    assert (result.exit, result.problems) == (1, [])
    assert [one.item.id for one in result.verdicts if not one.outcome.good] == [IDS[1]]


def test_a_missing_partition_is_named_with_its_tests(partitions):
    result = merged(partitions[0].passes())
    assert (result.exit, result.absent) == (1, (1,))
    assert "partition 1: there is no ledger of it" in result.problems
    assert result.to_json()["lost"] == IDS[3:]
    assert result.lines()[-1].startswith("NOT proven")


def test_a_plan_names_the_tests_of_a_missing_partition(partitions):
    first = partitions[0].begin(origin="plan.json").run([0, 1, 2]).say("passed").end()
    assert "3 tests of the collection are in no ledger given" in merged(first).problems
    plan = make(Collection(tuple(WHOLE)), parts=2)
    result = merge([first.path], plan)
    reasons = {one.item.id: one.reason for one in result.verdicts if one.outcome is Outcome.LOST}
    assert reasons == dict.fromkeys(IDS[3:], "planned, but in no ledger given (partition 1)")


@pytest.mark.parametrize("content", [None, b"", b'{"e":"ru'])
def test_a_ledger_that_never_began_is_a_missing_partition(partitions, content):
    first, second = partitions
    second.path.unlink()
    if content is not None:
        second.path.write_bytes(content)
    result = merged(first.passes(), second)
    assert f"{second.path}: no run has begun there" in result.problems
    assert (result.exit, result.absent) == (1, (1,))


def test_a_killed_runner_loses_no_name(partitions):
    first, second = partitions
    number = first.begin().collect().start()
    first.collected(number, first.items, [0, 1, 2])
    first.test(number, 0).write("started", s=number, i=1)
    with first.path.open("ab") as file:
        file.write(b'{"e":"phase","s":1,"i":1,"w":"set')
    result = merged(first, second.passes())
    assert result.exit == 1
    assert result.to_json()["lost"] == IDS[1:3]
    assert result.verdicts[0].outcome is Outcome.PASSED
    assert any("its runner died before its end" in problem for problem in result.problems)


def resumed(first):
    """A ledger torn by a kill, and the run that goes on with what is left."""
    number = first.begin().collect().start()
    first.collected(number, first.items, [0, 1, 2])
    first.test(number, 0).write("started", s=number, i=1)
    with first.path.open("ab") as file:
        file.write(b'{"e":"phase","s":1,"i":1,"w":"set')
    return first.begin().run([1, 2]).say("passed").end()


def test_a_resumed_partition_is_whole(partitions):
    result = merged(resumed(partitions[0]), partitions[1].passes())
    assert (result.exit, result.problems, result.doubled) == (0, [], ())


def test_a_requeued_partition_forgets_what_was_not_run_before(partitions):
    first, second = partitions
    first.begin().run([0]).say("passed", [0]).say("not-run", [1, 2], "interrupted").end(143)
    assert merged(first, second.passes()).to_json()["not_run"] == IDS[1:3]
    first.begin().run([1, 2]).say("passed").end()
    assert merged(first, second).exit == 0


@pytest.mark.parametrize("status", [3, 130, None])
def test_a_run_cut_off_before_it_had_collected_has_no_plan(partitions, status):
    first, second = partitions
    first.begin(items=[], hash=collection_hash([]), whole=0)
    if status is not None:
        first.end(status)
    result = merged(first, second.passes())
    assert (result.exit, result.to_json()["lost"]) == (1, IDS[:3])
    first.passes()
    assert merged(first, second).exit == 0


def test_a_run_that_goes_on_and_is_killed_again_counts_what_it_ran(partitions):
    first, second = partitions
    first.begin().run([0]).say("passed", [0]).say("not-run", [1, 2], "interrupted").end(143)
    first.begin().run([1])
    result = merged(first, second.passes())
    assert [one.outcome.value for one in result.verdicts[:3]] == ["passed", "passed", "not-run"]
    assert result.exit == 1


def test_what_was_not_run_is_named(partitions):
    first, second = partitions
    first.begin().run([0], "failed").say("failed", [0], "boom")
    first.say("not-run", [1, 2], "not started after a failure").end(1)
    result = merged(first, second.passes())
    assert result.exit == 1
    assert f"not-run: {IDS[1]}: not started after a failure" in result.lines()


def test_a_partition_that_ran_twice_is_doubled(partitions, tmp_path):
    again = Partition(tmp_path / "again.jsonl", 0).passes()
    result = merged(partitions[0].passes(), partitions[1].passes(), again)
    assert (result.exit, list(result.doubled)) == (1, IDS[:3])
    assert any(problem.startswith("partition 0 ran 2 times") for problem in result.problems)


def test_a_test_that_two_processes_ran_is_doubled(partitions):
    first, second = partitions
    first.begin().run([0, 1, 2]).run([1]).say("passed").end()
    result = merged(first, second.passes())
    assert (result.exit, result.doubled) == (1, (IDS[1],))
    assert f"doubled: {IDS[1]}" in result.lines()


def test_a_retry_is_not_doubled(partitions):
    first, second = partitions
    first.begin().run([0], "failed", message="boom").run([1, 2]).run([0], purpose="retry")
    first.say("flaky", [0], "flaky (1 of 2)").say("passed", [1, 2]).end()
    result = merged(first, second.passes())
    assert (result.exit, result.doubled) == (0, ())
    assert result.verdicts[0].outcome is Outcome.FLAKY


def test_flaky_fails_where_the_runs_were_told_so(partitions):
    first, second = partitions
    first.begin().run([0], "failed").run([1, 2]).run([0], purpose="retry")
    first.say("flaky", [0]).say("passed", [1, 2]).end(4)
    assert merged(first, second.passes()).exit == 4


def test_an_unplanned_test_is_named(partitions):
    first, second = partitions
    first.begin().run([0, 1])
    number = first.start()
    first.collected(number, [*first.items, Item("new", 0, "test_a.py")], [0, 1, 2, -1])
    first.test(number, 2).write("started", s=number, i=-1, id="new")
    first.write("finished", s=number, i=-1, id="new", d=0.1).stop(number)
    result = merged(first.say("passed").end(), second.passes())
    assert (result.exit, result.unplanned) == (1, ("new",))
    assert "unplanned: new" in result.lines()


def test_a_forked_child_is_named(partitions):
    first, second = partitions
    number = first.begin().start()
    first.collected(number, first.items, [0, 1, 2])
    for index in range(3):
        first.test(number, index)
    first.write("started", s=number, i=2, pid=7).stop(number).say("passed").end()
    result = merged(first, second.passes())
    assert result.exit == 1
    assert any(f"a forked child reported {IDS[2]}" in problem for problem in result.problems)


def test_the_runner_is_not_believed_beyond_the_ledger(partitions):
    first, second = partitions
    result = merged(first.begin().run([0, 1]).say("passed").end(), second.passes())
    assert result.exit == 1
    assert result.to_json()["lost"] == [IDS[2]]
    assert any("the runner said passed" in problem for problem in result.problems)


def test_a_failure_that_the_runner_calls_passed_is_one(partitions):
    first, second = partitions
    result = merged(first.begin().run([0, 1, 2], "failed").say("passed").end(), second.passes())
    assert result.exit == 1
    assert [one.outcome for one in result.verdicts[:3]] == [Outcome.FAILED] * 3


def test_problems_of_a_run_stay_problems(partitions):
    first, second = partitions
    first.begin().run([0, 1, 2]).write("problem", text="the process died after pytest's end")
    result = merged(first.say("passed").end(3), second.passes())
    assert result.exit == 1
    assert result.problems == ["partition 0: the process died after pytest's end"]


def test_an_exit_status_needs_a_reason(partitions):
    first, second = partitions
    result = merged(first.begin().run([0, 1, 2]).say("passed").end(3), second.passes())
    assert result.exit == 1
    assert "exit status 3, but nothing in it says why" in result.problems[0]


def test_quarantined_failures_are_excused(partitions):
    first, second = partitions
    first.begin().run([0, 1, 2], "failed").say("failed", quarantined="known").end()
    result = merged(first, second.passes())
    assert result.exit == 0
    assert result.verdicts[0].quarantined == "known"


def test_a_broken_file_is_reported_once(partitions):
    told = {"i": None, "id": "bad.py", "occurrence": 0, "outcome": "error", "attempts": 1}
    for one in partitions:
        one.begin().run([0, 1, 2]).say("passed")
        one.write("verdict", **told, reason="SyntaxError", seconds=0.0, quarantined="").end(1)
    result = merged(*partitions)
    assert (result.exit, result.problems) == (1, [])
    assert [one.item for one in result.verdicts[6:]] == [Item("bad.py", 0, "bad.py")]


def test_one_partition_is_proven_too(tmp_path):
    assert merged(Partition(tmp_path / "one.jsonl", 0, 1).passes()).exit == 0


def test_one_partition_killed_before_its_plan_names_what_it_collected(tmp_path):
    one = Partition(tmp_path / "one.jsonl", 0, 1).begin(plan=False)
    number = one.start()
    one.collected(number, WHOLE)
    result = merged(one.test(number, 0))
    assert (result.exit, result.to_json()["lost"]) == (1, IDS[1:])


@pytest.mark.parametrize("status", [0, 5])
def test_an_empty_suite_is_what_its_run_says(tmp_path, status):
    one = Partition(tmp_path / "one.jsonl", 0, 1)
    one.begin(items=[], hash=collection_hash([]), whole=0).end(status)
    assert merged(one).exit == status


def test_an_empty_partition_is_fine(partitions):
    first, second = partitions
    first.items, second.items = WHOLE, []
    assert merged(first.passes(), second.begin().end()).exit == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite": "bench"}, "suite: expected 'unit' as .*part-0.jsonl, got 'bench'"),
        ({"commit": "dead"}, "commit: expected 'c0ffee' as .*, got 'dead'"),
        ({"parts": 3}, "number of partitions: expected '2' as .*, got '3'"),
    ],
)
def test_a_mixture_is_refused(partitions, tmp_path, change, message):
    partitions[0].passes()
    other = Partition(tmp_path / "other.jsonl", 1, change.pop("parts", 2), **change).passes()
    with pytest.raises(SuiteError, match=message):
        merged(partitions[0], other)


def test_another_collection_is_refused(partitions):
    first, second = partitions
    second.begin(hash=collection_hash(WHOLE[1:]))
    with pytest.raises(SuiteError, match="hash of the collection: expected"):
        merged(first.passes(), second)


def test_another_plan_is_refused(partitions):
    plan = make(Collection(tuple(WHOLE[1:])), parts=2)
    with pytest.raises(SuiteError, match=r"hash of the collection: expected '.*' as the plan"):
        merge([partitions[0].passes().path], plan)


@pytest.mark.parametrize(("commit", "refused"), [("dead", True), ("c0ffee", False), ("", False)])
def test_the_plan_of_another_commit_is_refused(partitions, commit, refused):
    plan = make(Collection(tuple(WHOLE)), parts=2, commit=commit)
    paths = [one.passes().path for one in partitions]
    if refused:
        with pytest.raises(SuiteError, match="commit: expected 'dead' as the plan, got 'c0ffee'"):
            merge(paths, plan)
    else:
        assert merge(paths, plan).exit == 0


def test_hashes_must_be_those_of_the_tests(partitions):
    for one in partitions:
        one.begin(hash="0" * 64).run([0, 1, 2]).say("passed").end()
    assert any("together have the hash" in problem for problem in merged(*partitions).problems)


def test_a_partition_beyond_the_last_is_refused(tmp_path):
    one = Partition(tmp_path / "one.jsonl", 0, 1)
    one.part = 4
    with pytest.raises(SuiteError, match="expected a partition below 1"):
        merged(one.passes())


def test_no_ledger_is_refused(tmp_path):
    with pytest.raises(SuiteError, match="expected a ledger with a run, got none"):
        merge([])
    with pytest.raises(SuiteError, match=r"expected a ledger with a run, got .*gone.jsonl"):
        merge([tmp_path / "gone.jsonl"])


def test_what_is_no_ledger_is_refused(partitions):
    partitions[0].path.write_text('{"e":"plan","items":[]}\n')
    with pytest.raises(SuiteError, match=r"event 1 \(plan\): expected a run first"):
        merged(partitions[0])
    partitions[0].begin().write("session", s=0, purpose="run").write("started", s=0)
    partitions[0].path.write_text(partitions[0].path.read_text().partition("\n")[2])
    with pytest.raises(SuiteError, match=r"\(started\): expected a whole event, got KeyError 'i'"):
        merged(partitions[0])
    partitions[0].path.write_text("<xml/>\n")
    with pytest.raises(SuiteError, match=r"part-0\.jsonl:1: expected an event"):
        merged(partitions[0])
