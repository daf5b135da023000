"""New samples against a stored baseline: who may decide, what is measured again."""

import pytest

from fusible.gate import baseline, check
from fusible.gate.baseline import Machine, Tolerance
from fusible.gate.check import Request
from fusible.gate.model import Better, Finding, GateError, Report, Rule, Series, Verdict, family
from fusible.gate.readers import Samples
from support.gate_samples import HERE, THERE, drawn, stored, taken


def verdicts(report):
    return {finding.name: finding.verdict.value for finding in report.findings}


@pytest.mark.parametrize(
    ("factor", "verdict", "code"),
    [(1.0, "unchanged", 0), (1.3, "regressed", 1), (0.7, "improved", 0)],
)
def test_the_same_machine_decides(factor, verdict, code):
    report = check.check([stored(drawn(1))], taken(drawn(2, factor)), Request())
    assert (verdicts(report), report.exit) == ({"m": verdict}, code)


def test_higher_may_be_better():
    kind = {"unit": "tokens/s", "better": Better.HIGHER}
    report = check.check([stored(drawn(1, **kind))], taken(drawn(2, 0.7, **kind)), Request())
    assert verdicts(report) == {"m": "regressed"}
    assert report.findings[0].ratio > 1.3


def test_one_sample_decides_nothing():
    report = check.check([stored(drawn(1, count=1))], taken(drawn(2, 2.0, count=1)), Request())
    assert (verdicts(report), report.exit) == ({"m": "inconclusive"}, 3)


def test_another_machine_is_advisory():
    report = check.check([stored(drawn(1), machine=THERE)], taken(drawn(2, 1.3)), Request())
    assert (verdicts(report), report.exit) == ({"m": "advisory"}, 3)
    assert "another machine (cpu: B -> A); there: regressed" in report.findings[0].reason


def test_a_baseline_of_no_machine_is_advisory():
    held = baseline.assemble({"m": baseline.measured(drawn(1))}, {})
    assert verdicts(check.check([held], taken(drawn(2)), Request())) == {"m": "advisory"}


def test_of_several_baselines_that_of_this_machine_decides():
    held = [stored(drawn(1, 2.0), machine=THERE), stored(drawn(2))]
    for given in (held, held[::-1]):
        assert verdicts(check.check(given, taken(drawn(3)), Request())) == {"m": "unchanged"}


def test_what_others_did_is_no_part_of_the_family():
    own, other = stored(drawn(1)), stored(drawn(2, name="n"), machine=THERE)
    report = check.check([own, other], taken(drawn(3), drawn(4, name="n")), Request())
    assert verdicts(report) == {"m": "unchanged", "n": "advisory"}


def test_both_sides_have_to_have_a_metric():
    report = check.check([stored(drawn(1))], taken(drawn(2, name="n")), Request())
    assert (verdicts(report), report.exit) == ({"m": "missing", "n": "missing"}, 3)
    assert [f.reason for f in report.findings] == [
        "expected samples, got none",
        "no baseline yet: fusible gate update",
    ]


def test_nothing_at_all_does_not_pass():
    assert check.check([stored()], taken(), Request()).exit == 3


def test_only_some_metrics():
    request = Request(only="m*")
    report = check.check([stored(drawn(1), drawn(2, name="n"))], taken(drawn(3)), request)
    assert verdicts(report) == {"m": "unchanged"}


def test_tolerances_are_a_metric_s_own():
    wide = Tolerance(relative=0.5)
    for tolerance, verdict in ((None, "regressed"), (wide, "unchanged")):
        report = check.check(
            [stored(drawn(1), tolerance=tolerance)], taken(drawn(2, 1.3)), Request()
        )
        assert verdicts(report) == {"m": verdict}


def test_an_absolute_tolerance():
    for absolute, verdict in ((5.0, "unchanged"), (1.0, "regressed")):
        held = stored(drawn(1), tolerance=Tolerance(absolute=absolute))
        assert verdicts(check.check([held], taken(drawn(2, 1.3)), Request())) == {"m": verdict}


def test_counts_are_exact_on_every_machine():
    held = stored(machine=THERE, counts={"x#fused": 20, "x#temporaries": 0})
    same = taken(counts={"x#fused": 20, "x#temporaries": 0})
    assert check.check([held], same, Request()).exit == 0
    for counts in ({"x#fused": 19}, {"x#fused": 21}, {"x#temporaries": 1}):
        other = taken(counts={**same.counts, **counts})
        report = check.check([held], other, Request())
        assert report.exit == 1
        (bad,) = [f for f in report.findings if f.verdict is Verdict.REGRESSED]
        assert bad.reason.startswith("expected exactly ")


def test_missing_counts():
    report = check.check([stored(counts={"a": 1})], taken(counts={"b": 1}), Request())
    assert verdicts(report) == {"a": "missing", "b": "missing"}


@pytest.mark.parametrize("calibration", [9.4, 10.6])
@pytest.mark.parametrize("factor", [1.0, 1.3])
def test_a_moved_calibration_decides_nothing(calibration, factor):
    samples = taken(drawn(2, factor), calibration=calibration)
    report = check.check([stored(drawn(1))], samples, Request())
    assert (verdicts(report), report.exit) == ({"m": "inconclusive"}, 3)
    assert "the calibration moved by" in report.findings[0].reason


def test_a_moved_calibration_is_measured_in_turns():
    asked = []

    def interleaved(names):
        asked.append(list(names))
        return report_of(Finding("m", Verdict.REGRESSED, 1.3, 1.2, 1.4, 9, 0.0))

    samples = taken(drawn(2, 1.3), drawn(3, name="n"), calibration=13.0)
    held = [stored(drawn(1)), stored(drawn(4, name="n"), calibration=13.0)]
    report = check.check(held, samples, Request(interleaved=interleaved))
    assert asked == [["m"]]
    assert (verdicts(report), report.exit) == ({"m": "regressed", "n": "unchanged"}, 1)


def report_of(*findings):
    return Report(findings, family(findings))


def test_scaling_by_the_calibration():
    held = stored(drawn(1), machine=THERE)
    samples = taken(drawn(2, 1.5), calibration=15.0)
    reasons = [
        check.check([held], samples, Request(scale=scale)).findings[0].reason
        for scale in (False, True)
    ]
    assert reasons[0].endswith("there: regressed")
    assert reasons[1].endswith("there: unchanged")


def test_a_breach_is_measured_again_and_decided_on_all_samples():
    asked = []

    def again(names):
        asked.append(list(names))
        return taken(drawn(5, 1.0, count=60), drawn(6, name="unasked"))

    unlucky = drawn(2, 1.03, count=8)
    assert verdicts(check.check([stored(drawn(1))], taken(unlucky), Request())) == {
        "m": "regressed"
    }
    report = check.check([stored(drawn(1))], taken(unlucky), Request(again=again))
    assert asked == [["m"]]
    assert verdicts(report) == {"m": "unchanged"}
    assert report.findings[0].n == 20 + 8 + 60
    assert report.notes == ("measured again and decided on all samples: m",)


def test_a_real_breach_stays_one_when_measured_again():
    request = Request(again=lambda names: taken(drawn(5, 1.3)))
    report = check.check([stored(drawn(1))], taken(drawn(2, 1.3)), request)
    assert verdicts(report) == {"m": "regressed"}


def test_what_passes_is_not_measured_again():
    def again(names):
        raise AssertionError(names)

    assert check.check([stored(drawn(1))], taken(drawn(2)), Request(again=again)).exit == 0


def test_samples_of_a_process_are_one_value():
    series = Series("m", (1.0, 4.0, 3.0, 3.0), rounds=(0, 0, 1, 1))
    assert check.by_process(series).values == pytest.approx((2.0, 3.0))


def test_stored_rounds_make_no_pairs():
    rounds = tuple(range(20))
    one = Series("m", drawn(1).values, rounds=rounds)
    two = Series("m", drawn(2).values, rounds=rounds)
    assert check.check([stored(one)], taken(two), Request()).findings[0].n == 40


def test_units_of_time_may_differ():
    seconds = Series("m", tuple(v / 1000 for v in drawn(1).values), "s")
    assert verdicts(check.check([stored(seconds)], taken(drawn(2)), Request())) == {
        "m": "unchanged"
    }
    bytes_ = Series("m", drawn(1).values, "bytes")
    with pytest.raises(GateError, match="m: expected bytes"):
        check.check([stored(bytes_)], taken(drawn(2)), Request())


def test_other_kernels_are_noted():
    newer = Machine(hard=HERE.hard, noted={"kernel": "2"})
    report = check.check([stored(drawn(1))], taken(drawn(2), machine=newer), Request())
    assert report.exit == 0
    assert report.notes == ("the machine is the same, but not: kernel: 1 -> 2",)


def test_samples_of_one_process_are_noted():
    samples = Samples((drawn(2),), {}, HERE, 10.0, one_process=True)
    (note,) = check.check([stored(drawn(1))], samples, Request()).notes
    assert "of one process" in note


def test_the_machine_has_to_be_known():
    with pytest.raises(GateError, match="samples: expected the machine"):
        check.check([stored()], Samples(()), Request())


def test_a_family_is_judged_together():
    names = [f"m{i}" for i in range(60)]
    held = stored(*(drawn(i, name=name) for i, name in enumerate(names)))
    now = taken(*(drawn(100 + i, name=name) for i, name in enumerate(names)))
    report = check.check([held], now, Request(rule=Rule(floor=0.0)))
    assert "regressed" not in verdicts(report).values()


@pytest.mark.parametrize(("value", "verdict"), [(10.0, "unchanged"), (13.0, "regressed")])
def test_constant_samples(value, verdict):
    base, now = (Series("m", (v,) * 8) for v in (10.0, value))
    assert verdicts(check.check([stored(base)], taken(now), Request())) == {"m": verdict}


def test_one_outlier_is_no_regression():
    values = (*drawn(2).values[:-1], 100.0)
    report = check.check([stored(drawn(1))], taken(Series("m", values)), Request())
    assert verdicts(report) == {"m": "inconclusive"}
