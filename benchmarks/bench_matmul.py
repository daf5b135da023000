"""Matrix products in one thread beside the FMA peak, for every instruction set with FMA.

    python -m benchmarks.bench_matmul

The peak is that of chains of vector FMAs that stay in registers, compiled here with `cc` and run
turn about with the products. GFLOP/s are medians with quartiles; of the peak it is the best call.
"""

from __future__ import annotations

import ctypes
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import ml_dtypes
import numpy as np

from fusible import _core, ops

Work = Callable[[], object]

TURNS = 15
CHAINS = 12  # hide the latency of two FMAs a cycle, and leave registers for the factors
VECTOR_BYTES = {"avx3": 64, "avx2": 32}
SIZES = ((1, 4096, 4096), (64, 576, 1536), (64, 4096, 4096), (512, 576, 1536))  # rows, K, N

PEAK = f"""
typedef float Vector __attribute__((vector_size(BYTES)));
float peak(long steps) {{
  Vector sums[{CHAINS}] = {{0}}, factor = {{0}}, other = {{0}};
  __asm__ volatile("" : "+v"(factor), "+v"(other));
  for (int c = 0; c < {CHAINS}; ++c) __asm__ volatile("" : "+v"(sums[c]));  // all different
  for (long i = 0; i < steps; ++i) {{
    for (int c = 0; c < {CHAINS}; ++c) sums[c] = sums[c] * factor + other;
  }}
  for (int c = 1; c < {CHAINS}; ++c) sums[0] += sums[c];
  return sums[0][0];
}}
"""
PEAK_STEPS = 1 << 20


def peak_of(isa: str, folder: Path) -> tuple[Work, float]:
    """A call that does nothing but FMAs of this instruction set, and how many flops it makes."""
    source, library = folder / f"{isa}.c", folder / f"{isa}.so"
    source.write_text(PEAK.replace("BYTES", str(VECTOR_BYTES[isa])))
    flags = ["-O3", "-march=native", "-ffp-contract=fast", "-funroll-loops", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", library, source], check=True)
    native = ctypes.CDLL(str(library)).peak
    native.restype, native.argtypes = ctypes.c_float, [ctypes.c_long]
    flops = 2 * CHAINS * (VECTOR_BYTES[isa] // 4) * PEAK_STEPS
    return lambda: native(PEAK_STEPS), flops


def products(rows: int, depth: int, cols: int) -> dict[str, Work]:
    """The product of one size in each format."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((n, depth), dtype=np.float32) for n in (rows, cols))

    def plain(dtype: Any) -> Work:
        a, b = x.astype(dtype), w.astype(dtype)
        return lambda: ops.matmul(a, b)

    made = {name: plain(getattr(ml_dtypes, name, name)) for name in ("float32", "bfloat16")}
    if depth % 128 == 0:
        codes, scales = ops.per_token_group_quant_fp8(x)
        weights = ops.per_token_group_quant_fp8(w)[0]
        blocks = np.ones((-(-cols // 128), depth // 128), np.float32)
        made["fp8"] = lambda: ops.block_scaled_matmul(codes, weights, scales, blocks)
    return made


def seconds(work: Work) -> float:
    """Seconds of one call."""
    start = perf_counter()
    work()
    return perf_counter() - start


def bench(work: Work, flops: float, peak: Work, peak_flops: float) -> str:
    """The cells of one product: its rate with quartiles, the peak's, and the share of it."""
    work(), peak()
    times = [(seconds(work), seconds(peak)) for _ in range(TURNS)]
    rates = [flops / ours * 1e-9 for ours, _ in times]
    low, middle, high = statistics.quantiles(rates, n=4, method="inclusive")
    best = max(peak_flops / theirs * 1e-9 for _, theirs in times)
    return f"{middle:7.1f} ({low:6.1f} to {high:6.1f})  {best:7.1f}  {middle / best:4.0%}"


def main() -> None:
    """Prints the table."""
    _core.set_threads(1)
    print(f"{'set':5} {'format':9} {'rows x K x N':>15}  GFLOP/s a thread         FMA peak  share")
    with tempfile.TemporaryDirectory() as folder:
        for isa in (isa for isa in _core.present_isas() if isa in VECTOR_BYTES):
            _core.force_isa(isa)
            peak, peak_flops = peak_of(isa, Path(folder))
            for rows, depth, cols in SIZES:
                for name, work in products(rows, depth, cols).items():
                    cells = bench(work, 2.0 * rows * depth * cols, peak, peak_flops)
                    size = f"{rows}x{depth}x{cols}"
                    print(f"{isa:5} {name:9} {size:>15}  {cells}", flush=True)


if __name__ == "__main__":
    main()
