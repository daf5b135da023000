"""Floors of the machine at hand, measured in the run that reports them, and what it is."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import fusible

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/bench"
LIBRARY = BUILD / "benchmarks/libfloor.so"

LINE = 64  # bytes: arrays are walked in whole cache lines
BLOCKS = (1 << 12, 1 << 15)  # bytes of all arrays after which the next part of each is taken
SAMPLE = 1 << 24  # bytes that one sample moves at least
READ, WRITTEN, UPDATED = range(3)


@dataclass(frozen=True)
class Traffic:
    """Bytes of the arrays that a call must read, must write, and updates in place."""

    read: tuple[int, ...]
    written: tuple[int, ...]
    updated: tuple[int, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes moved; an updated array is read and written."""
        return sum(self.read) + sum(self.written) + 2 * sum(self.updated)


@dataclass(frozen=True)
class Floor:
    """Microseconds in which the bytes of a call can be moved, by either kind of stores."""

    plain_us: float
    streaming_us: float
    seconds: Callable[[int], float] = field(compare=False)
    """Of a pass, over that many: whichever was faster, once more."""

    @property
    def us(self) -> float:
        """The floor: whichever stores are faster."""
        return min(self.plain_us, self.streaming_us)


class Stream(ctypes.Structure):
    """One array, as floor.cc declares it."""

    _fields_ = (("data", ctypes.c_void_p), ("bytes", ctypes.c_int64), ("use", ctypes.c_int32))


def build() -> None:
    """Compiles floor.cc for this machine unless that is done."""
    source = Path(__file__).with_name("floor.cc")
    if LIBRARY.exists() and LIBRARY.stat().st_mtime >= source.stat().st_mtime:
        return
    options = ("-DFUSIBLE_PYTHON=OFF", "-DFUSIBLE_BENCHMARKS=ON")
    configure = ["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(BUILD), *options]
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in (configure, ["cmake", "--build", str(BUILD), "--target", "floor"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=tools)


@lru_cache
def library() -> Any:
    """floor.cc's function."""
    build()
    function = ctypes.CDLL(str(LIBRARY)).floor_seconds
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.POINTER(Stream), *[ctypes.c_int64] * 2, *[ctypes.c_int32] * 2]
    function.argtypes += [ctypes.c_int64]
    return function


def _aligned(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """That many bytes, up to a whole line, at the beginning of one; not constant."""
    lines = max(1, size // LINE)
    room = np.resize(np.arange(251, dtype=np.uint8), (lines + 1) * LINE)
    skipped = -room.ctypes.data % LINE
    return room[skipped : skipped + lines * LINE]


class Walk:
    """The arrays of a call, to be walked side by side."""

    def __init__(self, traffic: Traffic, threads: int) -> None:
        uses = (traffic.read, READ), (traffic.updated, UPDATED), (traffic.written, WRITTEN)
        arrays = [(_aligned(size), use) for sizes, use in uses for size in sizes]
        self._arrays = arrays  # the streams have but their addresses
        self._streams = (Stream * len(arrays))(
            *(Stream(array.ctypes.data, array.size, use) for array, use in arrays)
        )
        self._threads = threads

    def seconds(self, passes: int, blocks: int, streaming: int) -> float:
        """Of a pass, over that many."""
        streams = self._streams
        return float(library()(streams, len(streams), blocks, streaming, self._threads, passes))


def floor(traffic: Traffic, threads: int = 1, rounds: int = 7) -> Floor:
    """The floor of a call: its arrays walked side by side, the best of `rounds` for each store."""
    walk = Walk(traffic, threads)
    blocks = [max(threads, traffic.bytes // block) for block in BLOCKS]
    passes = max(1, SAMPLE // max(traffic.bytes, 1))
    best = {
        (n, streaming): min(walk.seconds(passes, n, streaming) for _ in range(rounds)) * 1e6
        for n in blocks
        for streaming in (0, 1)
    }
    plain, streamed = (min(best[n, streaming] for n in blocks) for streaming in (0, 1))
    chosen = min(best, key=best.__getitem__)
    return Floor(plain, streamed, lambda passes: walk.seconds(passes, *chosen))


def describe() -> str:
    """The machine in a line: its CPUs, instruction sets, and how busy it is."""
    about = fusible.info()
    isa = about["isa"]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} CPUs{load}, {isa['chosen']} of {', '.join(isa['present'])}"
