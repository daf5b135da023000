"""The retry policy, and what is said of a test after several attempts."""

import pytest

from fusible.suite.model import Attempt, Failure, Item, Outcome, Verdict
from fusible.suite.retry import Policy, RetryConfig
from fusible.suite.verdict import Ending, exit_status, judge, judge_repeated

ITEM = Item("tests/test_a.py::test_b", 0, "tests/test_a.py")
TIMEOUT_ERROR = ("TimeoutError", "builtins.TimeoutError", "OSError", "builtins.OSError")
ASSERTION = ("AssertionError", "builtins.AssertionError")


def attempt(outcome=Outcome.FAILED, *failures: Failure, seconds=1.0) -> Attempt:
    return Attempt(outcome, seconds, failures, reason="why")


def failed(*types: str, phase="call", **more) -> Attempt:
    return attempt(Outcome.FAILED, Failure(phase, types, **more))


PASSED = attempt(Outcome.PASSED)
CRASHED = attempt(Outcome.CRASHED, Failure(signal="SIGSEGV"))


def again(config: RetryConfig, *attempts: Attempt, remaining=None) -> bool:
    return Policy(config).decide(attempts, remaining).again


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (failed(*ASSERTION), True),
        (attempt(Outcome.ERROR, Failure("setup", ASSERTION)), True),
        (CRASHED, False),
        (attempt(Outcome.TIMEOUT), False),
        (attempt(Outcome.LOST), False),
        (failed(*ASSERTION, measurement={"ms": 3}), False),
    ],
)
def test_by_default_failures_are_retried_and_deaths_are_not(one, expected):
    assert again(RetryConfig(times=1), one) is expected
    assert not again(RetryConfig(times=0), one)


@pytest.mark.parametrize(
    ("entry", "one"),
    [
        ("TimeoutError", failed(*TIMEOUT_ERROR)),
        ("builtins.TimeoutError", failed(*TIMEOUT_ERROR)),
        ("OSError", failed(*TIMEOUT_ERROR)),
        ("setup", failed(*ASSERTION, phase="setup")),
        ("mark.network", failed(*ASSERTION, markers=("network",))),
        ("SIGSEGV", CRASHED),
        ("crash", CRASHED),
        ("timeout", attempt(Outcome.TIMEOUT)),
        ("lost", attempt(Outcome.LOST)),
    ],
)
def test_an_entry_matches_what_it_names(entry, one):
    assert again(RetryConfig(times=1, on=(entry,)), one)
    assert not again(RetryConfig(times=1, on=(entry,), never=(entry,)), one)
    assert not again(RetryConfig(times=1, on=("ZeroDivisionError",)), one)


def test_text_decides_nothing():
    one = failed(*ASSERTION, message="TimeoutError", text="TimeoutError: out of memory")
    assert not again(RetryConfig(times=1, on=("TimeoutError",)), one)


def test_each_failure_of_an_attempt_must_match():
    both = attempt(Outcome.FAILED, Failure("call", TIMEOUT_ERROR), Failure("teardown", ASSERTION))
    assert not again(RetryConfig(times=1, on=("TimeoutError",)), both)
    assert again(RetryConfig(times=1, on=("TimeoutError", "teardown")), both)


def test_a_measurement_is_never_retried_and_is_listed():
    one = failed(*ASSERTION, measurement={"ms": 3})
    assert not again(RetryConfig(times=3, on=("AssertionError",)), one)
    assert '{"ms": 3}' in judge(ITEM, [one]).reason


SAMPLES = {"name": "m", "gate_samples": "{}"}


def test_a_measurement_with_its_samples_is_taken_once_more():
    one = failed(*ASSERTION, measurement=SAMPLES)
    for times in (0, 3):
        assert again(RetryConfig(times=times), one)
        assert not again(RetryConfig(times=times), one, one)
    assert not again(RetryConfig(), one, remaining=0.5)
    both = Failure("call", ASSERTION), Failure("call", ASSERTION, measurement=SAMPLES)
    assert not again(RetryConfig(times=3), attempt(Outcome.FAILED, *both))


def test_what_was_measured_again_is_judged_by_its_last_attempt():
    one = failed(*ASSERTION, measurement=SAMPLES)
    found = judge(ITEM, [one, PASSED])
    assert found.outcome is Outcome.PASSED
    assert found.reason == "measured 2 times, decided on all samples"
    found = judge(ITEM, [one, failed(*ASSERTION, measurement={**SAMPLES, "n": 40})])
    assert found.outcome is Outcome.FAILED
    assert '{"n": 40, "name": "m"}' in found.reason.replace('"name": "m", "n": 40', '"n": 40')
    assert "gate_samples" not in found.reason
    assert judge(ITEM, [one, failed(), PASSED]).outcome is Outcome.FLAKY


def test_times_budget_and_deadline_bound_retries():
    bad = failed(*ASSERTION)
    assert again(RetryConfig(times=2), bad, bad)
    assert not again(RetryConfig(times=2), bad, bad, bad)
    policy = Policy(RetryConfig(times=1, budget=1))
    assert [policy.decide([bad]).again for _ in range(2)] == [True, False]
    assert not again(RetryConfig(times=1), bad, remaining=0.5)
    assert again(RetryConfig(times=1), bad, remaining=1.5)


def test_waits_double():
    bad = failed(*ASSERTION)
    policy = Policy(RetryConfig(times=3, wait=2))
    assert [policy.decide([bad] * n).wait for n in (1, 2, 3)] == [2, 4, 8]


@pytest.mark.parametrize(
    ("attempts", "outcome", "reason"),
    [
        ([], Outcome.LOST, "planned, but no process reported how it ended"),
        ([PASSED], Outcome.PASSED, "why"),
        ([failed(), PASSED], Outcome.FLAKY, "flaky (1 of 2)"),
        ([failed(), CRASHED], Outcome.CRASHED, "why"),
        ([CRASHED, failed()], Outcome.CRASHED, "why"),
        ([CRASHED, PASSED], Outcome.FLAKY, "flaky (1 of 2)"),
        ([PASSED, failed()], Outcome.FAILED, "why"),
        # A skip after a failure proves nothing.
        ([failed(), attempt(Outcome.SKIPPED)], Outcome.FAILED, "why"),
    ],
)
def test_verdict_of_attempts(attempts, outcome, reason):
    verdict = judge(ITEM, attempts)
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_repeated_runs_are_flaky_in_any_order():
    assert judge_repeated(ITEM, [PASSED, failed()]).outcome is Outcome.FLAKY
    assert judge_repeated(ITEM, [PASSED, PASSED]).outcome is Outcome.PASSED
    assert judge_repeated(ITEM, [failed(), failed()]).outcome is Outcome.FAILED


def test_quarantine_excuses_failures_but_no_loss():
    assert judge(ITEM, [failed()], "issue 7").quarantined == "issue 7"
    assert judge(ITEM, [CRASHED], "issue 7").quarantined == "issue 7"
    assert judge(ITEM, [PASSED], "issue 7").quarantined == ""
    assert judge(ITEM, [], "issue 7").quarantined == ""


def status(*outcomes: Outcome, problems=(), quarantined="", **ending) -> int:
    verdicts = [Verdict(ITEM, outcome, quarantined=quarantined) for outcome in outcomes]
    return exit_status(verdicts, problems, Ending(**{"whole": len(outcomes), **ending}))


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_its_exit_status(outcome):
    alarming = (Outcome.CRASHED, Outcome.TIMEOUT, Outcome.LOST, Outcome.NOT_RUN)
    bad = (Outcome.FAILED, Outcome.ERROR)
    expected = 3 if outcome in alarming else 1 if outcome in bad else 0
    assert status(Outcome.PASSED, outcome) == expected


def test_the_first_exit_status_that_applies():
    everything = (Outcome.CRASHED, Outcome.FAILED, Outcome.FLAKY, Outcome.NOT_RUN)
    assert status(*everything, interrupted=2) == 130
    assert status(*everything, interrupted=15) == 143
    assert status(*everything) == 3
    assert status(*everything[1:], fail_on_flaky=True) == 1
    assert status(Outcome.FLAKY, fail_on_flaky=True) == 4
    assert status(Outcome.FLAKY) == 0
    assert status(Outcome.PASSED, problems=["a process died at its end"]) == 3
    assert status() == 5
    assert status(allow_empty=True) == 0
    assert status(whole=7) == 0  # a partition left empty in a suite that is not
    assert status(Outcome.FAILED, quarantined="issue 7") == 0
