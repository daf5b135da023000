"""Arrays larger than memory: of a private mapping only the pages that are written take any."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import pytest

from support.case import Array

# Linux's flag, which Python's mmap does not name in every version: no swap is set aside.
NO_RESERVE = 0x4000
FAR = 1 << 33  # bytes


def sparse(shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any) -> Array:
    """Zeros with these strides in bytes; skips the test where there is no room for them."""
    reach = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    size = reach + np.dtype(dtype).itemsize
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE)
    except OSError as error:
        pytest.skip(f"{size} bytes of address space: {error}")
    first = np.frombuffer(memory, np.uint8).view(dtype)
    return np.lib.stride_tricks.as_strided(first, shape, strides)


def packed_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides in bytes without gaps."""
    steps = [itemsize]
    for size in reversed(shape[1:]):
        steps.append(steps[-1] * size)
    return tuple(reversed(steps[: len(shape)]))


def far_rows(array: Array, stride: int = FAR) -> Array:
    """The same values, each row (first dimension) so many bytes behind the one before."""
    strides = (stride, *packed_strides(array.shape, array.itemsize)[1:])
    view = sparse(array.shape, strides, array.dtype)
    view[...] = array
    return view


def behind(array: Array, rows: int) -> Array:
    """A contiguous array of which this one is the end, after so many rows (first dimension)."""
    shape = (rows + len(array), *array.shape[1:])
    whole = sparse(shape, packed_strides(shape, array.itemsize), array.dtype)
    whole[rows:] = array
    return whole


def rows_of_2_31_elements(*arrays: Array) -> int:
    """How many rows (first dimension) of each of these are at least 2^31 elements."""
    return (1 << 31) // min(array.size // len(array) for array in arrays)
