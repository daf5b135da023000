"""How far two providers' results lie apart, and how far those of one family may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

SCALES = 2.0**-7  # relative: scales of groups, where the values were rounded or were not
UNRELATED = 64  # steps
SINGLE = 2.0**-15  # of the largest element of the row: results in f32, summed in another order


@dataclass(frozen=True)
class Known:
    """What is known of a family: steps of the 16-bit or 8-bit format, and the share that differs.

    One rounding or two (of x * rstd, or of the activation) is what most of it comes from.
    """

    steps: int
    share: float


NORM = Known(1, 0.30)
# Norms of a sum as it was before its rounding: half a step of the sum is up to one of the result,
# and the result's own rounding may carry another.
ADDED_NORM = Known(2, 0.30)
ACTIVATION = Known(1, 0.30)
CODES = Known(1, 0.04)

# Larger ones, and why: vLLM's AVX-512 and AVX2 builds store bf16 by cutting off the lower half of
# an f32, so half of all elements are one step lower in magnitude. Where a sum is stored so and then
# normed, the two add up.
TRUNCATED = {("vllm", "bf16"): Known(4, 0.75)}


@dataclass(frozen=True)
class Difference:
    """Of all results of a call."""

    steps: int = 0
    share: float = 0.0
    scales: float = 0.0
    single: float = 0.0

    def within(self, known: Known) -> bool:
        """Whether it is no more than the family's."""
        small = self.scales <= SCALES and self.single <= SINGLE
        return small and self.steps <= known.steps and self.share <= known.share

    @property
    def unrelated(self) -> bool:
        """Whether these are results of something else, or memory that nobody wrote."""
        return self.steps > UNRELATED or not np.maximum(self.scales, self.single) < 1

    def __str__(self) -> str:
        found = (
            [f"{self.steps} step{'s' * (self.steps > 1)} in {self.share:.1%}"] if self.share else []
        )
        found += [f"scales {self.scales:.1e}"] if self.scales else []
        found += [f"f32 {self.single:.1e}"] if self.single else []
        return "; ".join(found) or "same"


def widest(differences: Sequence[Difference]) -> Difference:
    """The largest of each kind, of at least one."""
    kinds = zip(*((d.steps, d.share, d.scales, d.single) for d in differences), strict=True)
    return Difference(*map(max, kinds))


def _order(codes: Array) -> Array:
    """Elements of an 8-bit or 16-bit float format, numbered in the order of their values."""
    width = codes.dtype.itemsize * 8
    bits = codes.view(f"u{codes.dtype.itemsize}").astype(np.int32)
    magnitude = bits & ((1 << (width - 1)) - 1)
    return np.where(bits >> (width - 1), -magnitude, magnitude)


def _floor_of(values: Array) -> Array:
    """Below this a difference does not count: f32 terms cancelled, and what is left is noise."""
    largest: Array = np.abs(values).max(axis=-1, keepdims=True, initial=0) * np.float32(2.0**-16)
    return largest


def _steps(a: Array, b: Array) -> tuple[int, float]:
    apart = np.abs(_order(a) - _order(b))
    if a.dtype.itemsize > 1:
        x, y = a.astype(np.float32), b.astype(np.float32)
        apart = np.where(np.abs(x - y) <= _floor_of(x), 0, apart)
    return int(apart.max(initial=0)), float(np.mean(apart > 0)) if apart.size else 0.0


def difference(ours: Sequence[Array], theirs: Sequence[Array]) -> Difference:
    """Compares result by result; f32 results beside 8-bit codes are their scales."""
    quantized = any(a.dtype.itemsize == 1 for a in ours)
    steps, share, scales, single = 0, 0.0, 0.0, 0.0
    for a, other in zip(ours, theirs, strict=True):
        if a.dtype != other.dtype or a.size != other.size:
            raise ValueError(f"{a.dtype}{list(a.shape)} beside {other.dtype}{list(other.shape)}")
        b = other.reshape(a.shape)
        if a.dtype.itemsize < 4:
            found = _steps(a, b)
            steps, share = max(steps, found[0]), max(share, found[1])
        elif quantized:
            scales = np.maximum(scales, (np.abs(a - b) / np.abs(a)).max(initial=0))
        else:
            largest = np.abs(a).max(axis=-1, keepdims=True, initial=0)
            single = np.maximum(single, (np.abs(a - b) / largest).max(initial=0))
    return Difference(steps, share, float(scales), float(single))
