"""The numerics gate: how far an array is from its reference, and how far it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusible.gate import counts, document
from fusible.gate.model import Finding, GateError, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Distance:
    """How far an array is from its reference.

    Attributes:
        size: number of elements.
        ulp: the largest distance in units in the last place of the array's type.
        mismatched: elements of another code (other bits).
        cosine: of the angle between them.
        difference: ``1 - 2·Σxy/Σ(x²+y²)``, the measure of DeepGEMM's tests (calc_diff).
    """

    size: int
    ulp: float
    mismatched: int
    cosine: float
    difference: float


@dataclass(frozen=True)
class Limits:
    """How far an array may be from its reference; None is not limited.

    Attributes:
        ulp: largest distance.
        mismatched: largest share of elements of another code, 0 to 1.
        cosine: smallest cosine.
        difference: largest difference.
    """

    ulp: float | None = None
    mismatched: float | None = None
    cosine: float | None = None
    difference: float | None = None


def compare(actual: Any, reference: Any) -> Distance:
    """Measures the distance of two arrays of one shape.

    Codes and ulp are those of the array's type, to which the reference is rounded; cosine and
    difference are of the numbers as they are. A NaN equals a NaN, and is infinitely far from
    everything else.

    Raises:
        GateError: other shapes, no elements, or a type without units in the last place.
    """
    import numpy as np

    actual, reference = np.ascontiguousarray(actual), np.ascontiguousarray(reference)
    if actual.shape != reference.shape or not actual.size:
        raise GateError(f"expected two arrays of one shape, got {actual.shape}, {reference.shape}")
    for array in (actual, reference):
        _float(array.dtype)
    with np.errstate(all="ignore"):  # a reference beyond the type's range is infinite or NaN in it
        rounded = reference.astype(actual.dtype)
        ulp, mismatched = _in_codes(actual, rounded)
        x, y = _comparable(actual, reference)
        cosine, difference = _angles(x, y)
    return Distance(actual.size, ulp, mismatched, cosine, difference)


def _float(dtype: Any) -> Any:
    """What there is to know of a type of floats; None for integers."""
    import ml_dtypes
    import numpy as np

    if np.issubdtype(dtype, np.integer):
        return None
    finfo: Any = ml_dtypes.finfo
    try:
        if not np.issubdtype(dtype, np.complexfloating):
            return finfo(dtype)
    except (ValueError, KeyError, TypeError):
        pass
    raise GateError(f"expected an array of floats or integers, got {dtype}")


def _in_codes(x: NDArray[Any], y: NDArray[Any]) -> tuple[float, int]:
    """Largest distance in the order of the codes, and how many codes differ."""
    import numpy as np

    kind = _float(x.dtype)
    codes = [array.view(f"u{array.dtype.itemsize}") for array in (x, y)]
    mismatched = int((codes[0] != codes[1]).sum())
    if kind is None:
        return float(np.abs(x.astype(np.float64) - y.astype(np.float64)).max()), mismatched
    bits = kind.bits - (1 if kind.min < 0 else 0)  # float8_e8m0fnu has no sign
    distance = _between(codes[0], codes[1], bits)
    nan = [np.isnan(array) for array in (x, y)]
    distance[nan[0] | nan[1]] = math.inf
    distance[nan[0] & nan[1]] = 0.0
    return float(distance.max()), mismatched


def _between(x: NDArray[Any], y: NDArray[Any], bits: int) -> NDArray[Any]:
    """Distance of sign-and-magnitude codes; neighbouring floats have neighbouring magnitudes."""
    import numpy as np

    mask = np.uint64((1 << bits) - 1)
    low = [(code.astype(np.uint64) & mask).astype(np.int64) for code in (x, y)]
    same_sign = (x.astype(np.uint64) & ~mask) == (y.astype(np.uint64) & ~mask)
    # Across zero the magnitudes add up, for float64 beyond the integers.
    sums = low[0].astype(np.float64) + low[1].astype(np.float64)
    distance: NDArray[Any] = np.where(same_sign, np.abs(low[0] - low[1]), sums)
    return distance


def _comparable(x: NDArray[Any], y: NDArray[Any]) -> tuple[Any, Any]:
    """Both as float64, scaled together so that no square overflows, without equal infinities."""
    import numpy as np

    x, y = x.astype(np.float64).ravel(), y.astype(np.float64).ravel()
    equal = (np.isnan(x) & np.isnan(y)) | (np.isinf(x) & (x == y))
    x, y = x[~equal], y[~equal]
    largest = max(float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in (x, y))
    return (x / largest, y / largest) if largest else (x, y)


def _angles(x: Any, y: Any) -> tuple[float, float]:
    """Cosine and difference; of two arrays of zeros 1 and 0, as of any two equal ones."""
    xx, yy, xy = (float(value) for value in ((x * x).sum(), (y * y).sum(), (x * y).sum()))
    if xx + yy == 0:
        return 1.0, 0.0
    return (xy / math.sqrt(xx * yy) if xx * yy else 0.0), 1 - 2 * xy / (xx + yy)


def findings(name: str, actual: Any, reference: Any, limits: Limits) -> tuple[Finding, ...]:
    """A finding a limit, named "name#ulp" and so on: unchanged within it, regressed beyond."""
    try:
        distance = compare(actual, reference)
    except GateError as error:
        raise GateError(f"{name}: {error}") from None
    rows = (
        ("ulp", distance.ulp, limits.ulp),
        ("mismatched", distance.mismatched / distance.size, limits.mismatched),
        ("cosine", distance.cosine, limits.cosine),
        ("difference", distance.difference, limits.difference),
    )
    return tuple(
        _finding(name, key, value, limit, distance.size)
        for key, value, limit in rows
        if limit is not None
    )


def _finding(name: str, key: str, value: float, limit: float, size: int) -> Finding:
    least = key == "cosine"
    within = value >= limit if least else value <= limit  # False for NaN
    ratio = counts.quotient(1 - value, 1 - limit) if least else counts.quotient(value, limit)
    bound = "at least" if least else "at most"
    verdict = Verdict.UNCHANGED if within else Verdict.REGRESSED
    reason = f"{key} {value:.6g}, {bound} {limit:.6g}"
    return counts.exact(f"{name}#{key}", verdict, ratio, reason=reason, n=size, unit="")


def check(path: Path) -> tuple[Finding, ...]:
    """Compares the .npy files that a file of scenarios (TOML or JSON) names with their references.

    Each table of ``scenarios`` has ``actual`` and ``reference`` (relative to the file), at least
    one of the limits, and ``dtype`` where .npy has no name for it (bfloat16, float8_e4m3fn).

    Raises:
        GateError: with path and key; OSError where a file can't be read.
    """
    from fusible.gate.expectation import read_numerics

    found: list[Finding] = []
    for name, one in read_numerics(path).scenarios.items():
        actual = _array(path.parent / one.actual, one.dtype)
        reference = _array(path.parent / one.reference, one.reference_dtype)
        found += findings(name, actual, reference, one.limits())
    return tuple(found)


def _array(path: Path, dtype: str | None) -> Any:
    """The array of a .npy file, which has bfloat16 and its like as plain bytes."""
    import ml_dtypes
    import numpy as np

    if path.stat().st_size > document.LARGEST * 64:
        raise GateError(f"{path}: expected up to {document.LARGEST * 64} bytes, got more")
    try:
        array = np.load(path, allow_pickle=False)
        if dtype is None:
            return array
        return array.view(getattr(ml_dtypes, dtype, None) or np.dtype(dtype))
    except (ValueError, TypeError, EOFError) as error:
        raise GateError(f"{path}: expected an array of {dtype or 'numbers'}, got {error}") from None
