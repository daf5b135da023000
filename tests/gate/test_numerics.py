"""The numerics gate: distances that can be counted by hand, and files of scenarios."""

import math

import ml_dtypes
import numpy as np
import pytest

from fusible.gate import numerics
from fusible.gate.model import GateError, Verdict
from fusible.gate.numerics import Limits

BF16 = ml_dtypes.bfloat16
FLOATS = [
    *(np.float16, np.float32, np.float64, BF16),
    *(ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2),
    *(ml_dtypes.float4_e2m1fn,),
]


def test_equal_arrays_have_no_distance():
    x = np.linspace(-3, 3, 100, dtype=np.float32).reshape(4, 25)
    found = numerics.compare(x, x)
    assert (found.size, found.ulp, found.mismatched, found.difference) == (100, 0, 0, 0)
    assert found.cosine == pytest.approx(1)


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
def test_neighbours_are_one_apart(dtype):
    x = np.array([1.0, -1.0, 1.0], dtype)
    codes = x.view(f"u{x.dtype.itemsize}").copy()
    codes += 1
    found = numerics.compare(codes.view(dtype), x)
    assert (found.ulp, found.mismatched) == (1, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, BF16], ids=str)
def test_the_distance_across_zero(dtype):
    least = np.array([1], f"u{np.dtype(dtype).itemsize}").view(dtype)
    found = numerics.compare(-least, least)
    assert found.ulp == 2


def test_zeros_of_both_signs_are_other_codes_and_no_distance():
    found = numerics.compare(np.array([-0.0, 1], BF16), np.array([0.0, 1], BF16))
    assert (found.ulp, found.mismatched) == (0, 1)


def test_nan_and_infinity():
    x = np.array([math.nan, math.inf, 1], np.float32)
    assert numerics.compare(x, x).ulp == 0
    assert numerics.compare(x, x).difference == pytest.approx(0)
    found = numerics.compare(x, np.array([1, math.inf, 1], np.float32))
    assert found.ulp == math.inf
    assert math.isnan(found.cosine)
    assert math.isnan(found.difference)


def test_a_nan_breaks_every_limit():
    limits = Limits(1e9, 0.0, -1.0, 1e9)
    found = numerics.findings("x", np.array([math.nan, 2]), np.array([1.0, 2]), limits)
    assert {one.verdict for one in found} == {Verdict.REGRESSED}


def test_the_reference_is_rounded_for_codes_and_not_for_angles():
    x = np.array([1.0], BF16)
    found = numerics.compare(x, np.array([1.001]))
    assert found.mismatched == 0
    assert found.difference == pytest.approx(1 - 2 * 1.001 / (1 + 1.001**2), abs=1e-15)


def test_codes_of_integers_are_their_values():
    found = numerics.compare(np.array([-128, 5], np.int8), np.array([127, 5], np.int8))
    assert (found.ulp, found.mismatched) == (255, 1)


def test_the_formulas():
    x, y = np.array([3.0, 4.0]), np.array([4.0, 3.0])
    found = numerics.compare(x, y)
    assert found.cosine == pytest.approx(24 / 25)
    assert found.difference == pytest.approx(1 - 2 * 24 / 50)
    zeros = np.zeros(3)
    assert numerics.compare(zeros, zeros).cosine == 1
    assert numerics.compare(zeros, np.ones(3)).cosine == 0
    assert numerics.compare(zeros, np.ones(3)).difference == 1


def test_large_and_small_numbers_have_angles():
    for size in (1e300, 1e-300):
        x = np.array([3.0, 4.0]) * size
        assert numerics.compare(x, x[::-1]).cosine == pytest.approx(24 / 25)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.ones(3), np.ones(4), "one shape"),
        (np.ones(0), np.ones(0), "one shape"),
        (np.ones(2, complex), np.ones(2), "floats or integers"),
    ],
)
def test_what_can_not_be_compared_is_refused(x, y, words):
    with pytest.raises(GateError, match=f"^x: .*{words}"):
        numerics.findings("x", x, y, Limits(ulp=1))


def test_limits_are_inclusive():
    x, y = np.array([1.0, 2.0], BF16), np.array([1.0078125, 2.0], BF16)
    within = numerics.findings("x", x, y, Limits(ulp=1, mismatched=0.5))
    assert [one.verdict for one in within] == [Verdict.UNCHANGED] * 2
    beyond = numerics.findings("x", x, y, Limits(ulp=0, mismatched=0.4, cosine=1.0))
    assert [one.verdict for one in beyond] == [Verdict.REGRESSED] * 3
    assert [one.name for one in beyond] == ["x#ulp", "x#mismatched", "x#cosine"]
    assert beyond[0].reason == "ulp 1, at most 0"
    assert (within[0].ratio, beyond[0].ratio) == (1.0, math.inf)


def saved(folder, limits, x, y=None):
    """A file of scenarios of one pair of arrays."""
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", x if y is None else y)
    path = folder / "numerics.toml"
    head = '[scenarios.rms_norm]\nactual = "x.npy"\nreference = "y.npy"\n'
    path.write_text(f"version = 1\n{head}{limits}\n")
    return path


def test_a_file_of_scenarios(tmp_path):
    path = saved(tmp_path, "ulp = 1\ncosine = 0.999", np.arange(4.0), np.arange(4.0) * 2)
    found = numerics.check(path)
    assert [(one.name, one.verdict.value) for one in found] == [
        ("rms_norm#ulp", "regressed"),
        ("rms_norm#cosine", "unchanged"),
    ]


def test_types_that_npy_has_no_name_for(tmp_path):
    x = np.array([1.0, 2.0], BF16)
    path = saved(tmp_path, 'ulp = 0\ndtype = "bfloat16"', x, x.astype(np.float32))
    assert [one.verdict for one in numerics.check(path)] == [Verdict.UNCHANGED]


BAD = {
    "no limit": ("", "expected ulp, mismatched, cosine or difference, got none of them"),
    "a share above one": ("mismatched = 2.0", "scenarios.rms_norm.mismatched"),
    "a negative": ("ulp = -1.0", "scenarios.rms_norm.ulp"),
    "NaN": ("ulp = nan", "scenarios.rms_norm.ulp"),
    "an unknown key": ("ulps = 1", "scenarios.rms_norm.ulps: expected no such key"),
    "an unknown type": ('ulp = 1\ndtype = "__doc__"', "scenarios.rms_norm.dtype"),
    "a type that does not fit": ('ulp = 1\ndtype = "float12"', "expected an array of float12"),
}


@pytest.mark.parametrize(("limits", "words"), BAD.values(), ids=BAD)
def test_bad_files_are_named(tmp_path, limits, words):
    with pytest.raises(GateError) as error:
        numerics.check(saved(tmp_path, limits, np.ones(3)))
    assert str(error.value).startswith(str(tmp_path))
    assert words in str(error.value)


def test_nothing_is_unpickled(tmp_path):
    path = saved(tmp_path, "ulp = 1", np.ones(3))
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(GateError, match=r"x\.npy: expected an array of numbers"):
        numerics.check(path)
