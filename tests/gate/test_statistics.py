"""Tests, intervals and their shares of the error rate, against plain and against SciPy's."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from fusible.gate import statistics
from fusible.gate.model import Better, GateError, Series


def drawn(seed, n, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1, n)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 13])
def test_sign_flip_counts_all_signs(n):
    d = drawn(n, n, 0.3)
    signs = np.array(list(itertools.product((-1, 1), repeat=n)))
    exact = np.mean(signs @ np.abs(d) >= d.sum() - 1e-12)
    found = statistics.sign_flip(d)
    assert exact - 1e-12 <= found <= exact * 1.03


@pytest.mark.parametrize("n", [2, 24, 60])
def test_equal_differences_are_as_likely_as_their_signs(n):
    assert statistics.sign_flip(np.full(n, 0.1)) == pytest.approx(0.5**n)


def test_no_difference_proves_nothing():
    assert statistics.sign_flip(np.zeros(10)) == 1.0


def test_one_far_round_proves_nothing():
    # Its own sign says half of it, and the small ones about the other half.
    small = drawn(1, 11) * 0.01
    far = np.array([5.0, *(small - small.mean())])
    assert statistics.sign_flip(far) == pytest.approx(0.25, abs=0.03)
    assert statistics.paired(far).bounds(0.005)[0] < 0


def test_paired_is_as_careful_as_student():
    d = drawn(3, 40, 0.4)
    student = stats.ttest_1samp(d, 0, alternative="greater").pvalue
    assert student <= statistics.paired(d).p_above() <= student * 2


def test_many_rounds_are_judged_by_student():
    d = drawn(3, statistics.MOST_FLIPS + 1, 0.2)
    student = stats.ttest_1samp(d, 0, alternative="greater").pvalue
    assert statistics.paired(d).p_above() == pytest.approx(student)


def test_unpaired_is_welch_on_logarithms():
    base, candidate = np.exp(drawn(1, 20)), np.exp(drawn(2, 30, 0.5))
    welch = stats.ttest_ind(np.log(candidate), np.log(base), equal_var=False, alternative="greater")
    found = statistics.welch(base, candidate)
    assert found.p_above() == pytest.approx(welch.pvalue)
    assert found.freedom == pytest.approx(welch.df)


def test_higher_is_better_turns_the_sign():
    values = tuple(float(v) for v in range(10, 20))
    faster = tuple(2 * v for v in values)
    for rounds in (None, tuple(range(10))):
        sides = [Series("m", v, "1/s", Better.HIGHER, rounds) for v in (values, faster)]
        assert statistics.evidence(*sides).estimate == pytest.approx(-math.log(2))


def test_equal_rounds_make_pairs():
    base = Series("m", (1.0, 4.0, 3.0, 3.0), rounds=(0, 0, 1, 1))
    candidate = Series("m", (6.0, 4.0, 8.0), rounds=(1, 0, 5))
    found = statistics.evidence(base, candidate)
    assert found.rounds == (0, 1)
    assert found.differences == pytest.approx((math.log(2), math.log(2)))
    assert found.unpaired == 1


def test_a_single_common_round_is_no_pair():
    base, candidate = (Series("m", (1.0, 2.0, 3.0), rounds=r) for r in ((0, 1, 2), (2, 3, 4)))
    assert statistics.evidence(base, candidate).rounds == ()


@pytest.mark.parametrize("change", [{"unit": "s"}, {"better": Better.HIGHER}])
def test_sides_that_differ_in_kind_are_refused(change):
    base = Series("m", (1.0, 2.0))
    with pytest.raises(GateError, match=r"^m: expected ms, lower is better, on both sides"):
        statistics.evidence(base, Series("m", (1.0, 2.0), **change))


@pytest.mark.parametrize("level", [0.01, 0.001])
def test_ends_are_where_the_tests_turn(level):
    for seed in range(5):
        found = statistics.paired(drawn(seed, 16, 0.5))
        low, high = found.bounds(level)
        assert found.p_above(low - 1e-3) <= level < found.p_above(low + 1e-3)
        assert found.p_below(high + 1e-3) <= level < found.p_below(high - 1e-3)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_few_rounds_bound_nothing(count):
    found = statistics.paired([1.0] * count) if count else statistics.welch([1.0], [2.0])
    assert found.bounds(0.001) == (-math.inf, math.inf)


def test_constant_samples_are_bounded_by_their_number():
    same = statistics.paired([0.0] * 12)
    assert same.bounds(0.005) == pytest.approx((0, 0), abs=1e-6)
    assert same.p_above() == 1.0
    more = statistics.paired([0.1] * 12)
    assert more.p_above() == pytest.approx(0.5**12)
    apart = statistics.welch([1.0] * 5, [1.1] * 5)
    assert apart.p_above() == pytest.approx(1 / math.comb(10, 5))


def test_holm_is_its_textbook():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([]) == []


def test_shares_follow_obrien_and_fleming():
    level, looks = 0.005, (0.25, 0.5, 0.75, 1.0)
    shares = statistics.shares(looks, level)
    spent = [2 * stats.norm.sf(stats.norm.isf(level / 2) / math.sqrt(t)) for t in looks]
    assert np.cumsum(shares) * level == pytest.approx(spent)
    assert statistics.shares([1.0], level) == [1.0]


def test_predicted_rounds_decide():
    rng = np.random.default_rng(1)
    d = rng.normal(0, 1, 24)
    d = (d - d.mean()) / d.std(ddof=1) * 0.05  # the estimate is 0, exactly
    more = statistics.rounds_needed(statistics.paired(d), 0.001, math.log(1.02), math.log(1.02))
    n = 24 + more
    assert stats.t.isf(0.001, n - 1) * 0.05 / math.sqrt(n) == pytest.approx(0.0198, rel=0.03)


def test_a_change_between_margin_and_floor_is_never_decided():
    between = statistics.paired(drawn(1, 24, 5))
    assert statistics.rounds_needed(between, 0.001, floor=100.0, margin=0.01) is None


def test_the_mean_of_metrics_keeps_what_they_share():
    common = drawn(1, 20)
    parts = [statistics.paired(common, range(20)) for _ in range(5)]
    mean = statistics.geometric_mean(parts)
    assert mean.error == pytest.approx(parts[0].error)
    other = [statistics.welch(np.exp(drawn(i, 8)), np.exp(drawn(i + 9, 8))) for i in range(4)]
    assert statistics.geometric_mean(other).error == pytest.approx(
        np.mean([part.error for part in other])
    )


def test_bootstrap_is_deterministic_and_near_the_interval():
    d = drawn(1, 40, 1.0)
    first = statistics.bootstrap([d.tolist()])
    assert first == statistics.bootstrap([d.tolist()])
    assert first == pytest.approx(statistics.paired(d).bounds(0.005), abs=0.15)
    low, high = statistics.bootstrap([d.tolist(), (d + 1).tolist()])
    assert low < 1 < high
