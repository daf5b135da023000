"""The gate's error rates under noise: 1,000 families each, fixed seeds, SGLang's rule beside it."""

import pytest

from support.gate_simulation import NOISES, ROUNDS, RUNS, simulate, threshold_with_retries

CASES = [(noise, metrics) for noise in NOISES for metrics in ROUNDS]
NAMES = [f"{noise}, {metrics}" for noise, metrics in CASES]


def shown(capsys, *cells):
    with capsys.disabled():
        print("\n    " + "".join(f"{cell:<28}" for cell in cells), end=" ", flush=True)


@pytest.mark.parametrize(("noise", "metrics"), CASES, ids=NAMES)
def test_unchanged_families_are_seldom_called_regressed(noise, metrics, capsys):
    found = simulate(noise, metrics)
    shown(
        capsys,
        f"{noise}, {metrics} unchanged",
        f"regressed {found.regressed}",
        f"improved {found.improved}",
        f"passed {found.passed}",
        f"rounds {found.rounds:.1f}",
        f"SGLang: {threshold_with_retries(noise, metrics)} fail",
    )
    # An alarm is "regressed", which fails a build. That an unchanged family is called improved
    # fails none; that it is seldom is asserted by itself, of the third of alpha which it has.
    assert found.regressed <= RUNS / 100
    assert found.improved <= RUNS / 100


@pytest.mark.parametrize("metrics", [1, 10])
def test_five_percent_more_is_found(metrics, capsys):
    found = simulate("CV 5 %", metrics, 0.05)
    shown(
        capsys,
        f"CV 5 %, 1 of {metrics} +5 %",
        f"found {found.first}",
        f"passed {found.passed}",
        f"rounds {found.rounds:.1f}",
        f"SGLang: {threshold_with_retries('CV 5 %', metrics, 0.05)} fail",
    )
    assert found.first >= 0.95 * RUNS


@pytest.mark.parametrize(("noise", "metrics"), CASES, ids=NAMES)
def test_thirty_percent_more_never_passes(noise, metrics, capsys):
    found = simulate(noise, metrics, 0.3)
    missed = RUNS - threshold_with_retries(noise, metrics, 0.3)
    shown(
        capsys,
        f"{noise}, 1 of {metrics} +30 %",
        f"found {found.first}",
        f"passed {found.passed}",
        f"rounds {found.rounds:.1f}",
        f"SGLang: {missed} pass",
    )
    assert found.passed == 0
