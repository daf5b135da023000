"""What is said of which samples."""

import json
import math

import numpy as np
import pytest

from fusible.gate import model
from fusible.gate.decide import decide, ends
from fusible.gate.model import GateError, Rule, Series, Verdict

N = 24


def series(name="m", factor=1.0, seed=0, *, cv=0.01, rounds=True, **kind):
    values = 100 * factor * np.random.default_rng(seed).lognormal(0, cv, 2 * N)
    numbers = tuple(np.repeat(range(N), 2).tolist()) if rounds else None
    return Series(name, tuple(values.tolist()), rounds=numbers, **kind)


def one(factor, rule=None, **kind):
    found = decide([series(**kind)], [series(factor=factor, seed=1, **kind)], rule)
    return found.findings[0]


@pytest.mark.parametrize("rounds", [True, False], ids=["pairs", "Welch"])
@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1.3, "regressed"), (1.05, "regressed"), (1.0, "unchanged"), (0.9, "improved")],
)
def test_verdicts_of_clear_cases(factor, expected, rounds):
    found = one(factor, rounds=rounds)
    assert found.verdict.value == expected
    assert found.low < found.ratio < found.high
    assert found.ratio == pytest.approx(factor, rel=0.02)
    assert found.n == (N if rounds else 4 * N)


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.3, "improved"), (1.0, "unchanged"), (0.8, "regressed")]
)
def test_where_higher_is_better_less_is_worse(factor, expected):
    found = one(factor, unit="tokens/s", better=model.Better.HIGHER)
    assert found.verdict.value == expected
    assert found.ratio == pytest.approx(1 / factor, rel=0.02)


def test_noise_is_inconclusive_and_says_what_would_decide():
    found = one(1.0, cv=0.3)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.more_rounds > 100
    assert found.reason == f"about {found.more_rounds} more rounds would decide"


def test_a_sure_change_below_the_floor_is_none():
    found = one(1.015, cv=0.002)
    assert found.low > 1
    assert found.verdict is Verdict.UNCHANGED


def test_regressed_wins_where_both_hold():
    found = one(1.03, cv=0.002)
    assert 1.02 < found.ratio < found.high < 1.05
    assert found.verdict is Verdict.REGRESSED


def test_floors_are_relative_and_absolute():
    assert one(1.3, Rule(absolute_floor=20.0)).verdict is Verdict.REGRESSED
    assert one(1.3, Rule(absolute_floor=50.0)).verdict is Verdict.UNCHANGED
    assert one(1.3, Rule(floor=0.5, margin=0.5)).verdict is Verdict.UNCHANGED
    assert ends(Rule(absolute_floor=10.0), 100.0).margin == pytest.approx(math.log(1.1))


def test_metrics_may_have_rules_of_their_own():
    sides = [series(seed=1)], [series(factor=1.1, seed=2)]
    loose = Rule(floor=0.2, margin=0.2)
    assert decide(*sides, rules={"m": loose}).verdict is Verdict.UNCHANGED


@pytest.mark.parametrize("values", [(1.0,), (1.0, 1.0), (1.0, 1.1, 1.0)])
def test_few_samples_decide_nothing(values):
    found = decide([Series("m", values)], [Series("m", tuple(2 * v for v in values))])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.findings[0].high == math.inf
    assert found.findings[0].reason.startswith("so few samples a side can't decide")
    assert found.exit == 3


def test_constant_samples_are_unchanged_or_regressed():
    numbers = tuple(range(12))
    base = Series("m", (7.0,) * 12, rounds=numbers)
    assert decide([base], [base]).verdict is Verdict.UNCHANGED
    more = Series("m", (8.0,) * 12, rounds=numbers)
    assert decide([base], [more]).verdict is Verdict.REGRESSED


def test_one_outlier_neither_passes_nor_regresses():
    base = series(cv=0.005)
    far = Series("m", (*base.values[:-1], 10 * base.values[-1]), rounds=base.rounds)
    assert decide([base], [far]).verdict is Verdict.INCONCLUSIVE


def test_drift_within_a_round_cancels():
    warm = np.linspace(1, 1.5, 4 * N).reshape(N, 4) * 100
    numbers = tuple(np.repeat(range(N), 2).tolist())
    outer = Series("m", tuple(warm[:, [0, 3]].ravel().tolist()), rounds=numbers)
    inner = Series("m", tuple(warm[:, [1, 2]].ravel().tolist()), rounds=numbers)
    assert decide([outer], [inner]).verdict is Verdict.UNCHANGED


def test_missing_metrics_are_named_on_either_side():
    sides = [series("a"), series("b")], [series("b", seed=1), series("c")]
    found = decide(*sides)
    verdicts = {f.name: (f.verdict.value, f.reason) for f in found.findings}
    assert verdicts["a"] == ("missing", "the candidate has no samples of it")
    assert verdicts["b"][0] == "unchanged"
    assert verdicts["c"] == ("missing", "the base has no samples of it")
    assert (found.verdict, found.exit) == (Verdict.MISSING, 3)


def test_nothing_to_compare_does_not_pass():
    assert decide([], []).exit == 3


def test_more_metrics_need_more_evidence():
    names = [f"m{i}" for i in range(60)]
    sides = [[series(n, seed=100 * s + i) for i, n in enumerate(names)] for s in (1, 2)]
    alone = decide(sides[0][:1], sides[1][:1]).findings[0]
    among = decide(*sides).findings[0]
    assert among.p > alone.p
    assert among.high - among.low > alone.high - alone.low
    assert decide(*sides).verdict is Verdict.UNCHANGED


def test_looks_need_more_evidence():
    sides = [series()], [series(factor=1.02, seed=1)]
    whole, part = (decide(*sides, share=share).findings[0] for share in (1.0, 0.1))
    assert part.p == pytest.approx(10 * whole.p)
    assert part.low < whole.low


def test_a_control_that_moved_leaves_nothing_decided():
    base = [series("time"), series("clock")]
    moved = [series("time", 1.3, 1), series("clock", 1.2, 2)]
    found = decide(base, moved, controls=["clock"])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.findings[0].reason == "the control clock moved; without it: regressed"
    assert found.notes == (
        f"the control clock moved by {found.findings[1].ratio - 1:+.1%},"
        " which the change can't have done",
    )


def test_a_control_that_stays_is_not_judged():
    base = [series("time"), series("clock", cv=0.5)]
    same = [series("time", 1.3, 1), series("clock", 1.0, 2, cv=0.5)]
    found = decide(base, same, controls=["clock"])
    assert found.verdict is Verdict.REGRESSED
    assert found.findings[1].control
    assert found.findings[0].p == decide(base[:1], same[:1]).findings[0].p


def test_an_unknown_control_is_refused():
    with pytest.raises(GateError, match=r"^control clock: expected a metric of both sides"):
        decide([series()], [series()], controls=["clock"])


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(GateError, match=r"^base: m: expected one series of each name, got two"):
        decide([series(), series()], [series()])


def test_the_geometric_mean_decides_nothing():
    sides = [series("a"), series("b")], [series("a", 1.2, 1), series("b", 1 / 1.2, 2)]
    found = decide(*sides)
    assert found.geometric_mean.ratio == pytest.approx(1, abs=0.01)
    assert found.verdict is Verdict.REGRESSED
    assert decide(sides[0][:1], sides[1][:1]).geometric_mean is None


def test_bootstrap_is_there_if_asked_for():
    sides = [series("a"), series("b", rounds=False)], [series("a"), series("b", rounds=False)]
    assert [f.bootstrap for f in decide(*sides).findings] == [None, None]
    low, high = decide(*sides, bootstrap=True).findings[1].bootstrap
    assert 0.95 < low < 1 < high < 1.05


def test_rounds_without_a_partner_are_told():
    base = series()
    short = Series("m", base.values[:-2], rounds=base.rounds[:-2])
    assert decide([base], [short]).findings[0].reason == "1 rounds without a partner don't count"


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_values_are_positive_and_finite(value):
    with pytest.raises(GateError, match=r"^m: value 1: expected a positive finite number, got"):
        Series("m", (1.0, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [("margin", 0), ("floor", -0.1), ("absolute_floor", -1), ("alpha", 0), ("alpha", 0.6)],
)
def test_rules_out_of_range_are_refused(key, value):
    with pytest.raises(GateError, match=rf"^{key}: expected "):
        Rule(**{key: value})


def test_rounds_are_one_a_value():
    with pytest.raises(GateError, match=r"^m: rounds: expected 2, one for each value, got 1"):
        Series("m", (1.0, 2.0), rounds=(1,))


@pytest.mark.parametrize(
    ("verdicts", "expected", "status"),
    [
        ("unchanged improved", "improved", 0),
        ("unchanged unchanged", "unchanged", 0),
        ("improved regressed missing", "regressed", 1),
        ("inconclusive missing", "missing", 3),
        ("advisory inconclusive improved", "inconclusive", 3),
        ("unchanged advisory", "advisory", 3),
        ("", "missing", 3),
    ],
)
def test_the_verdict_of_a_family_is_its_worst(verdicts, expected, status):
    findings = tuple(model.Finding("m", Verdict(v), 1, 1, 1, 2, 1) for v in verdicts.split())
    report = model.Report(findings, model.family(findings))
    assert (report.verdict.value, report.exit) == (expected, status)


def test_json_is_what_the_readme_says():
    found = decide([series("a"), series("b")], [series("a", 1.3, 1)]).to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) == {"verdicts", "verdict"}
    assert set(found["verdicts"][0]) == {"name", "verdict", "ratio", "low", "high", "n", "p"}
    assert (found["verdicts"][1]["ratio"], found["verdicts"][1]["p"]) == (None, None)
