"""Looks at a growing number of rounds, and where they end."""

import random

import pytest

from fusible.gate import compare
from fusible.gate.model import GateError, Rule, Series, Verdict
from fusible.gate.readers import Samples


class Machine:
    """A subject of known speed and noise, deterministic."""

    def __init__(self, seed, factor=1.0, cv=0.01, names=("m",), **others):
        self.luck, self.cv, self.samples = random.Random(seed), cv, 0
        self.factors = {name: factor for name in names} | others

    def sample(self):
        self.samples += 1
        return Samples(
            tuple(
                Series(name, (100 * factor * self.luck.lognormvariate(0, self.cv),))
                for name, factor in self.factors.items()
            )
        )


def test_it_stops_when_nothing_is_open():
    found = compare.compare(Machine(1), Machine(2))
    assert found.report.verdict is Verdict.UNCHANGED
    assert 12 <= found.rounds < found.budget == 24
    assert len(found.base[0].values) == 2 * found.rounds


def test_it_stops_when_something_regressed():
    seen = []
    found = compare.compare(
        Machine(1, cv=0.05, names=("a", "b")),
        Machine(2, cv=0.05, names=(), a=1.5, b=1.0),
        progress=lambda rounds, report: seen.append((rounds, report.verdict.value)),
    )
    assert found.report.exit == 1
    assert found.rounds < found.budget
    assert seen[-1] == (found.rounds, "regressed")
    assert found.report.findings[0].verdict is Verdict.REGRESSED
    assert found.report.findings[1].verdict is not Verdict.REGRESSED


def test_it_ends_with_the_budget():
    found = compare.compare(Machine(1, cv=0.3), Machine(2, cv=0.3), budget=8)
    assert (found.rounds, found.budget) == (8, 8)
    assert found.report.verdict is Verdict.INCONCLUSIVE
    assert found.report.findings[0].more_rounds > 0


def test_the_last_report_has_intervals_to_look_at():
    found = compare.compare(Machine(1), Machine(2)).report.findings[0]
    assert found.bootstrap[0] < found.ratio < found.bootstrap[1]


def test_controls_and_rules_reach_the_decision():
    base, candidate = Machine(1, clock=1.0), Machine(2, clock=1.3)
    found = compare.compare(base, candidate, controls=["clock"])
    assert found.report.verdict is Verdict.INCONCLUSIVE
    loose = {"clock": Rule(floor=0.5, margin=0.5)}
    found = compare.compare(Machine(1, clock=1.0), Machine(2, clock=1.3), rules=loose)
    assert found.report.verdict is Verdict.UNCHANGED


def test_an_unknown_control_ends_it_early():
    base = Machine(1)
    with pytest.raises(GateError, match=r"^control clock: expected a metric of both sides"):
        compare.compare(base, Machine(2), controls=["clock"])
    assert base.samples < 20


def test_a_metric_that_only_one_side_has_is_missing():
    found = compare.compare(Machine(1), Machine(2, names=("m", "n")))
    assert found.report.verdict is Verdict.MISSING
    assert [f.verdict.value for f in found.report.findings] == ["unchanged", "missing"]


@pytest.mark.parametrize(
    ("budget", "rounds"), [(24, [6, 12, 18, 24]), (2, [2]), (3, [2, 3]), (10, [3, 5, 8, 10])]
)
def test_looks_spend_the_whole_budget(budget, rounds):
    looks = compare.looks(budget, 10, 0.01)
    assert [look.rounds for look in looks] == rounds
    assert sum(look.share for look in looks) == pytest.approx(1)
    assert [look.share for look in looks] == sorted(look.share for look in looks)


@pytest.mark.parametrize("budget", [1, 0, -3])
def test_a_budget_of_no_rounds_is_refused(budget):
    with pytest.raises(GateError, match=r"^rounds: expected 2 or more, got"):
        compare.compare(Machine(1), Machine(2), budget=budget)


def test_a_thing_is_not_told_from_itself():
    alarms, outcomes = compare.noop(Machine(1), times=3)
    assert (alarms.times, alarms.regressed, alarms.improved) == (3, 0, 0)
    assert alarms.most == pytest.approx(1 - 0.025 ** (1 / 3))
    assert len(outcomes) == 3


def test_a_number_of_comparisons_is_one_or_more():
    with pytest.raises(GateError, match=r"^times: expected 1 or more, got 0"):
        compare.noop(Machine(1), times=0)
