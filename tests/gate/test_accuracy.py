"""The accuracy gate: proportions are reported as what they are."""

import math

import pytest

from fusible.gate import accuracy
from fusible.gate.model import Better, GateError, Verdict

GSM8K = 1319


def test_four_fifths_of_1319_tell_nothing():
    found = accuracy.check("gsm8k", round(0.813 * GSM8K), GSM8K, (round(0.794 * GSM8K), GSM8K))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.better is Better.HIGHER
    assert "79.4 % → 81.3 % of 1319: +1.9 points, -2.1 to +5.9 points at 99 %" in found.reason
    assert 4000 < found.more_rounds < 5000
    assert found.low < found.ratio < 1 < found.high


def test_a_loss_is_one():
    found = accuracy.check("gsm8k", 940, GSM8K, (1047, GSM8K))
    assert found.verdict is Verdict.REGRESSED
    assert found.ratio == pytest.approx(1047 / 940)
    assert found.low > 1
    assert found.p < 0.005


def test_a_gain_is_one():
    assert accuracy.check("gsm8k", 1100, GSM8K, (950, GSM8K)).verdict is Verdict.IMPROVED


def test_many_questions_show_that_nothing_changed():
    found = accuracy.check("mmlu", 70_000, 100_000, (70_010, 100_000))
    assert found.verdict is Verdict.UNCHANGED
    assert accuracy.check("mmlu", 70_000, 100_000, (70_010, 100_000), margin=0.001).verdict is (
        Verdict.INCONCLUSIVE
    )


def test_a_loss_below_the_floor_is_none():
    base = (70_700, 100_000)
    assert accuracy.check("mmlu", 70_000, 100_000, base).verdict is Verdict.REGRESSED
    assert accuracy.check("mmlu", 70_000, 100_000, base, floor=0.01).verdict is Verdict.UNCHANGED


def test_newcombe_s_own_example():
    # Newcombe 1998, table II, method 10, case (a): 56/70 - 48/80, 95 %: 0.0524 to 0.3339.
    found = accuracy._independent((56, 70), (48, 80), 0.05)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_interval_ends_at_zero_at_its_p():
    found = accuracy._independent((56, 70), (48, 80), 0.05)
    again = accuracy._independent((56, 70), (48, 80), 2 * found.p)
    assert again.low == pytest.approx(0, abs=1e-9)


def test_extremes_are_no_error():
    assert accuracy.check("x", 50, 50, (0, 50)).verdict is Verdict.IMPROVED
    worst = accuracy.check("x", 0, 50, (50, 50))
    assert (worst.verdict, worst.ratio) == (Verdict.REGRESSED, math.inf)
    assert accuracy.check("x", 50, 50, (50, 50)).verdict is Verdict.INCONCLUSIVE
    assert accuracy.check("x", 1, 1, (0, 1)).verdict is Verdict.INCONCLUSIVE
    assert accuracy.check("x", 0, 10**9, (10**9, 10**9)).p < 1e-12


def test_other_numbers_of_questions():
    found = accuracy.check("x", 90, 100, (850, 1000))
    assert "of 1000 and 100" in found.reason


@pytest.mark.parametrize(
    ("right", "verdict"),
    [(1000, Verdict.INCONCLUSIVE), (1100, Verdict.UNCHANGED), (900, Verdict.REGRESSED)],
)
def test_a_bound(right, verdict):
    found = accuracy.check("gsm8k", right, GSM8K, at_least=0.75)
    assert found.verdict is verdict
    assert "at least 75.0 % expected" in found.reason


def test_the_same_questions_tell_more():
    base = [True] * 1047 + [False] * (GSM8K - 1047)
    answers = [True] * 1022 + [False] * 25 + [True] * 2 + [False] * (GSM8K - 1049)
    found = accuracy.paired("gsm8k", answers, base)
    assert found.verdict is Verdict.REGRESSED
    assert "2 gained, 25 lost" in found.reason
    alone = accuracy.check("gsm8k", sum(answers), GSM8K, (sum(base), GSM8K))
    assert alone.verdict is Verdict.INCONCLUSIVE


def test_equal_answers_are_unchanged():
    found = accuracy.paired("x", [True, False] * 50, [True, False] * 50)
    assert (found.verdict, found.ratio, found.p) == (Verdict.UNCHANGED, 1.0, 0.5)


@pytest.mark.parametrize(
    "numbers", [(5, 4, (1, 2)), (-1, 4, (1, 2)), (1, 0, (1, 2)), (1, 2, (3, 2)), (1, 2, (0, 0))]
)
def test_what_is_no_proportion_is_refused(numbers):
    with pytest.raises(GateError, match="x: "):
        accuracy.check("x", *numbers)


def test_one_comparison_at_a_time():
    with pytest.raises(GateError, match="one of base and at_least"):
        accuracy.check("x", 1, 2)
    with pytest.raises(GateError, match="one of base and at_least"):
        accuracy.check("x", 1, 2, (1, 2), at_least=0.5)
    with pytest.raises(GateError, match="above 0, up to 1"):
        accuracy.check("x", 1, 2, at_least=79.4)
    with pytest.raises(GateError, match="one a question"):
        accuracy.paired("x", [True], [])
