"""What a machine can do at most a second: FMAs and dot products in registers, bytes read."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from fusible import _core

CHAINS = 12  # hide the latency of two FMAs a cycle, and leave registers for the factors
STEPS = 1 << 20
READ = 1 << 28  # bytes, far more than caches have
ROUNDS = 5  # at least
LEAST = 0.25  # seconds of rounds, likewise: threads that begin on one core take a while to part

SOURCE = """
typedef float Vector __attribute__((vector_size(BYTES)));
typedef unsigned long long Words __attribute__((vector_size(BYTES)));
#define CHAINS 12
static float sum(Vector *sums) {
#pragma GCC unroll 12
  for (int c = 1; c < CHAINS; ++c) sums[0] += sums[c];
  return sums[0][0];
}
float fma_peak(long steps) {
  Vector sums[CHAINS] = {0}, factor = {0}, other = {0};
  __asm__ volatile("" : "+v"(factor), "+v"(other));
#pragma GCC unroll 12
  for (int c = 0; c < CHAINS; ++c) __asm__ volatile("" : "+v"(sums[c]));  // all different
  for (long i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; ++c) sums[c] = sums[c] * factor + other;
  return sum(sums);
}
#ifdef DOT
float dot_peak(long steps) {
  Vector sums[CHAINS] = {0}, factor = {0}, other = {0};
#pragma GCC unroll 12
  for (int c = 0; c < CHAINS; ++c) __asm__ volatile("" : "+v"(sums[c]));
  for (long i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; ++c)
      __asm__("vdpbf16ps %2, %1, %0" : "+v"(sums[c]) : "v"(factor), "v"(other));
  return sum(sums);
}
#endif
#ifdef VNNI
int vnni_peak(long steps) {
  Words sums[CHAINS] = {0}, factor = {0}, other = {0};
#pragma GCC unroll 12
  for (int c = 0; c < CHAINS; ++c) __asm__ volatile("" : "+v"(sums[c]));
  for (long i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; ++c)
      __asm__("vpdpbusd %2, %1, %0" : "+v"(sums[c]) : "v"(factor), "v"(other));
#pragma GCC unroll 12
  for (int c = 1; c < CHAINS; ++c) sums[0] += sums[c];
  return (int)sums[0][0];
}
#endif
unsigned long long read_all(const Words *from, long vectors) {
  Words found[4] = {0};
  for (long i = 0; i < vectors; i += 4)
    for (int j = 0; j < 4; ++j) found[j] ^= from[i + j];
  found[0] ^= found[1] ^ found[2] ^ found[3];
  return found[0][0];
}
"""


@dataclass(frozen=True)
class Peaks:
    """Of one instruction set on some threads: GFLOP/s of three kinds, and GB/s read."""

    fma: float
    dot: float | None  # of bf16
    vnni: float | None  # of int8
    read: float

    @property
    def bf16(self) -> float:
        """Of bf16, by what is faster: Intel's dot products are slower than FMA."""
        return max(self.dot or 0.0, self.fma)


@lru_cache
def library(vector: int, dot: bool, vnni: bool) -> Any:
    """The loops, compiled for this machine with vectors of so many bytes."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "peaks.c"), Path(folder, "peaks.so")
        source.write_text(SOURCE)
        flags = ["-O3", "-march=native", "-ffp-contract=fast", "-funroll-loops", "-shared", "-fPIC"]
        defined = [f"-DBYTES={vector}", *(["-DDOT"] if dot else []), *(["-DVNNI"] if vnni else [])]
        subprocess.run(["cc", *flags, *defined, "-o", made, source], check=True)
        found = ctypes.CDLL(str(made))
    present = {"fma_peak": True, "dot_peak": dot, "vnni_peak": vnni}
    for name in (name for name, there in present.items() if there):
        getattr(found, name).restype = ctypes.c_int if name == "vnni_peak" else ctypes.c_float
        getattr(found, name).argtypes = [ctypes.c_long]
    found.read_all.restype = ctypes.c_ulonglong
    found.read_all.argtypes = [ctypes.c_void_p, ctypes.c_long]
    return found


def best(work: Any, threads: int) -> float:
    """Seconds of the fastest of some rounds in which every thread calls work(its number)."""
    with ThreadPoolExecutor(threads) as pool:
        times: list[float] = []
        while len(times) < ROUNDS or sum(times) < LEAST:
            start = perf_counter()
            list(pool.map(work, range(threads)))
            times.append(perf_counter() - start)
    return min(times)


def peaks(threads: int) -> Peaks:
    """Those of the instruction set that calls run on."""
    isa = _core.chosen_isa()
    vector = 64 if isa.startswith("avx3") else 32
    has_dot, has_vnni = isa == "avx3_bf16", isa in {"avx3_bf16", "avx3_vnni"}
    code = library(vector, has_dot, has_vnni)
    flops = 2 * CHAINS * (vector // 4) * STEPS * threads

    def rate(loop: str, a_lane: int) -> float:
        work = getattr(code, loop)
        return a_lane * flops / best(lambda _: work(STEPS), threads) * 1e-9

    memory = np.ones(READ // 8 + 8, np.uint64)
    begin, part = memory.ctypes.data + -memory.ctypes.data % 64, READ // threads // 256 * 256
    return Peaks(
        fma=rate("fma_peak", 1),
        dot=rate("dot_peak", 2) if has_dot else None,
        vnni=rate("vnni_peak", 4) if has_vnni else None,
        read=threads
        * part
        / best(lambda i: code.read_all(begin + i * part, part // vector), threads)
        * 1e-9,
    )
