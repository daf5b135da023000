"""Floors of the machine at hand, measured in the run that reports them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from compare import seconds

import fusible

CHUNK = 256 << 10  # bytes: small enough that a copy keeps to plain stores


@dataclass(frozen=True)
class Copies:
    """Bytes moved a second by copies of some size: read and written bytes both count."""

    plain: float
    streaming: float

    @property
    def best(self) -> float:
        """The floor: whichever stores are faster."""
        return max(self.plain, self.streaming)


def copies(size: int, rounds: int = 7) -> Copies:
    """Copies of `size` bytes in one thread.

    A whole copy stores past the caches once it is large (the C library decides), one in chunks
    never does.
    """
    size = max(size, 64)
    source, target = np.ones(size, np.uint8), np.empty(size, np.uint8)
    pieces = [slice(i, i + CHUNK) for i in range(0, size, CHUNK)]

    def whole() -> None:
        np.copyto(target, source)

    def chunked() -> None:
        for piece in pieces:
            target[piece] = source[piece]

    repeats = max(1, (1 << 20) // size)
    plain, streaming = (
        2 * size / min(seconds(work, repeats) for _ in range(rounds)) for work in (chunked, whole)
    )
    return Copies(plain, streaming)


def floor_us(read: int, written: int) -> float:
    """Microseconds in which one thread could copy as many bytes as a call reads and writes."""
    return (read + written) / copies((read + written) // 2).best * 1e6


def describe() -> str:
    """The machine in a line: its CPUs, instruction sets, and how busy it is."""
    about = fusible.info()
    isa = about["isa"]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} CPUs{load}, {isa['chosen']} of {', '.join(isa['present'])}"
