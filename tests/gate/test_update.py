"""What becomes of a baseline: nothing looser without a reason, nothing tighter by luck."""

import pytest

from fusible.gate import update
from fusible.gate.baseline import Tolerance
from fusible.gate.model import GateError, Series
from fusible.gate.update import Wishes
from support.gate_samples import HERE, THERE, drawn, stored, taken

LOOSER = Wishes(allow_looser=True, reason="the model grew")


def actions(proposal):
    return {row.name: row.action for row in proposal.rows}


def medians(proposal):
    return {name: metric.median for name, metric in proposal.baseline.metrics()}


def test_an_improvement_takes_all_samples_of_the_result():
    new = drawn(2, 0.7)
    proposal = update.propose(stored(drawn(1)), taken(new), Wishes(moment="2000-01-01T00:00:00Z"))
    assert actions(proposal) == {"m": "tightened"}
    metric = dict(proposal.baseline.metrics())["m"]
    assert tuple(metric.samples) == new.values
    assert metric.recorded == "2000-01-01T00:00:00Z"
    assert metric.median > min(new.values)


def test_luck_changes_nothing():
    old = stored(drawn(1))
    lucky = taken(drawn(2, 0.99))
    proposal = update.propose(old, lucky, Wishes())
    assert actions(proposal) == {"m": "kept"}
    assert proposal.baseline == old
    assert not proposal.changed


def test_a_hundred_results_of_the_same_do_not_drift():
    held = stored(drawn(0))
    for seed in range(1, 100):
        held = update.propose(held, taken(drawn(seed)), Wishes()).baseline
    assert medians_of(held) == medians_of(stored(drawn(0)))


def medians_of(held):
    return {name: metric.median for name, metric in held.metrics()}


def test_a_regression_is_refused():
    old = stored(drawn(1))
    proposal = update.propose(old, taken(drawn(2, 1.3)), Wishes())
    assert (actions(proposal), proposal.refused) == ({"m": "refused"}, True)
    assert proposal.baseline == old
    assert "it takes --allow-looser and a --reason" in proposal.rows[0].reason


def test_a_regression_is_taken_with_a_reason():
    proposal = update.propose(stored(drawn(1)), taken(drawn(2, 1.3)), LOOSER)
    assert actions(proposal) == {"m": "loosened"}
    assert medians(proposal)["m"] > 12
    assert dict(proposal.baseline.metrics())["m"].reason == "the model grew"


@pytest.mark.parametrize("reason", ["", "  "])
def test_looser_takes_a_reason(reason):
    with pytest.raises(GateError, match="--allow-looser: expected a --reason"):
        update.propose(stored(), taken(), Wishes(allow_looser=True, reason=reason))


def test_new_metrics_are_added():
    proposal = update.propose(stored(drawn(1)), taken(drawn(2), drawn(3, name="n")), Wishes())
    assert actions(proposal) == {"m": "kept", "n": "added"}
    assert set(medians(proposal)) == {"m", "n"}


def test_metrics_without_samples_are_kept():
    proposal = update.propose(stored(drawn(1)), taken(), Wishes())
    assert actions(proposal) == {"m": "kept"}
    assert proposal.rows[0].new is None


def test_removing_is_loosening():
    old = stored(drawn(1), drawn(2, name="n"), counts={"c": 1})
    assert actions(update.propose(old, taken(), Wishes(remove=("n", "c")))) == {
        "m": "kept",
        "n": "refused",
        "c": "refused",
    }
    wishes = Wishes(remove=("n", "c"), allow_looser=True, reason="gone")
    proposal = update.propose(old, taken(), wishes)
    assert set(medians(proposal)) == {"m"}
    assert proposal.baseline.counts() == {}


def test_a_name_that_is_not_there_cannot_be_removed():
    with pytest.raises(GateError, match="--remove: expected the name of a metric, got 'x'"):
        update.propose(stored(drawn(1)), taken(), Wishes(remove=("x",)))


def test_another_machine_s_number_is_replaced_with_a_reason():
    samples = taken(drawn(2, 0.5), machine=THERE)
    assert actions(update.propose(stored(drawn(1)), samples, Wishes())) == {"m": "refused"}
    proposal = update.propose(stored(drawn(1)), samples, LOOSER)
    assert actions(proposal) == {"m": "replaced"}
    assert list(proposal.baseline.machines) == [THERE.key]


def test_a_moved_calibration_tightens_nothing():
    samples = taken(drawn(2, 0.8), calibration=8.0)
    proposal = update.propose(stored(drawn(1)), samples, Wishes())
    assert actions(proposal) == {"m": "refused"}
    assert "the calibration moved by -20.0%" in proposal.rows[0].reason


def test_machines_that_nobody_needs_are_dropped():
    proposal = update.propose(stored(drawn(1), machine=THERE), taken(drawn(2)), LOOSER)
    assert list(proposal.baseline.machines) == [HERE.key]


def test_tolerances():
    old = stored(drawn(1), tolerance=Tolerance(relative=0.1))
    narrow, wide = (Wishes(tolerance=Tolerance(relative=r)) for r in (0.05, 0.2))
    assert actions(update.propose(old, taken(), narrow)) == {"m": "tightened"}
    assert actions(update.propose(old, taken(), wide)) == {"m": "refused"}
    wishes = Wishes(tolerance=wide.tolerance, allow_looser=True, reason="noise")
    metric = dict(update.propose(old, taken(drawn(2)), wishes).baseline.metrics())["m"]
    assert metric.tolerance.relative == 0.2
    assert tuple(metric.samples) == drawn(1).values


def test_a_tolerance_is_kept_when_the_samples_change():
    old = stored(drawn(1), tolerance=Tolerance(relative=0.1, absolute=0.5))
    proposal = update.propose(old, taken(drawn(2, 0.5)), Wishes())
    assert dict(proposal.baseline.metrics())["m"].tolerance == Tolerance(relative=0.1, absolute=0.5)


def test_counts():
    old = stored(counts={"a": 1, "b": 2})
    same = update.propose(old, taken(counts={"a": 1, "c": 3}), Wishes())
    assert actions(same) == {"a": "kept", "b": "kept", "c": "added"}
    assert same.baseline.counts() == {"a": 1, "b": 2, "c": 3}
    other = taken(counts={"a": 2})
    assert actions(update.propose(old, other, Wishes())) == {"a": "refused", "b": "kept"}
    assert update.propose(old, other, LOOSER).baseline.counts() == {"a": 2, "b": 2}


def test_only_some_may_change():
    samples = taken(drawn(2, 0.5), drawn(3, 0.5, name="n"))
    proposal = update.propose(stored(drawn(1), drawn(4, name="n")), samples, Wishes(only="n"))
    assert actions(proposal) == {"m": "kept", "n": "tightened"}


def test_notes_and_units_are_kept():
    seconds = Series("m", tuple(v / 1000 for v in drawn(1).values), "s")
    proposal = update.propose(stored(seconds), taken(drawn(2, 0.5)), Wishes())
    metric = dict(proposal.baseline.metrics())["m"]
    assert (metric.unit, metric.median) == ("s", pytest.approx(0.005, rel=0.1))


def test_the_table_says_old_new_interval_number_and_reason():
    proposal = update.propose(
        stored(drawn(1), counts={"c": 1}), taken(drawn(2, 0.5), counts={"c": 2}), Wishes()
    )
    head, metric, count = update.table(proposal.rows)
    assert head.split() == ["action", "metric", "old", "new", "interval", "n", "reason"]
    assert metric.split()[:2] == ["tightened", "m"]
    assert " ms  " in metric
    assert "% to -" in metric
    assert metric.endswith("20  improved")
    assert count.split()[:4] == ["refused", "c", "1", "2"]
