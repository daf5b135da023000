"""Matrix products of model layers beside what the machine can do, and beside PyTorch.

    python -m benchmarks.bench_matmul --threads 1,2 --json matmul.json --plot matmul.svg
    python -m benchmarks.bench_matmul --filter 'llama*' --rows 1,8,512 --isa avx3

The peaks (FMA, dot products of bf16 and of int8, bytes read) are measured in the same run. Of the
peak: of the format's dot product where that is faster than FMA, else of FMA's. Of the floor: of
the time that reading the weight or the arithmetic takes at least, whichever is longer.
Weights of a case are used one after the other, so many that none stays in caches, as in a model.
Every result is compared with float64 before anything is timed. Ratios are of turns in a process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from itertools import cycle
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import fusible
from benchmarks import peers, roofline
from benchmarks.__main__ import machine, name_of
from benchmarks.compare import Contender, Ratio, ratio, turns
from benchmarks.measure import SETTLE
from benchmarks.peaks import Peaks, peaks
from fusible import _core, ops

Array = np.ndarray[Any, np.dtype[Any]]

SHAPES = {  # K, N
    "smollm2-135m qkv": (576, 960),
    "smollm2-135m gate_up": (576, 3072),
    "smollm2-135m down": (1536, 576),
    "llama-3.1-8b o": (4096, 4096),
    "llama-3.1-8b gate": (4096, 14336),
    "llama-3.1-8b down": (14336, 4096),
    "qwen3-8b gate": (4096, 12288),
    "qwen3-8b down": (12288, 4096),
    "deepseek-v3 gate": (7168, 2048),
    "deepseek-v3 down": (2048, 7168),
}
DEFAULT = "llama-3.1-8b o,smollm2-135m gate_up"
ROWS = (1, 2, 4, 8, 16, 32, 48, 64, 128, 192, 512)
UNCACHED = 1 << 26  # bytes of weights that are used in turn: more than caches have
BF16 = ml_dtypes.bfloat16
OURS, PLAIN, FP8, W8A16, INT8 = "fusible", "not packed", "fp8", "w8a16", "int8"
OF_FUSIBLE = (OURS, PLAIN, FP8, W8A16, INT8)
# What multiplies int8: rows with scales by columns with scales; of torch the exact sums alone, and
# oneDNN's linear with a packed weight and one scale for all rows.
TORCH_INT8 = ("torch int8", "torch qlinear")
BYTES = {FP8: 1, W8A16: 1, INT8: 1, "torch f32": 4} | dict.fromkeys(
    TORCH_INT8, 1
)  # of an element; else 2
# Weights of zentorch: it packs them where they lie and knows them by address, so that nobody else
# may use them, nor their memory while it lives.
PACKED_IN_PLACE: list[Any] = []
# Of the norm: a bf16 result is off by 2^-9 at most, its sums by little. Rows and weights of fp8
# have three bits behind the point; those of int8 are off by half of 1/127 of the largest, some 5
# times what is usual, at most.
TOLERANCES = {FP8: 2**-4, W8A16: 2**-4} | dict.fromkeys((INT8, *TORCH_INT8), 2**-5)  # else 2^-7


@dataclass
class Case:
    """One product on some threads, and what its turns took."""

    shape: str
    rows: int
    depth: int
    cols: int
    threads: int
    peaks: Peaks
    samples_us: dict[str, list[float]]

    @property
    def flops(self) -> int:
        """Of one product."""
        return 2 * self.rows * self.depth * self.cols

    def rate(self, name: str) -> float:
        """GFLOP/s, of the median."""
        return self.flops / statistics.median(self.samples_us[name]) * 1e-3

    def peak(self, name: str) -> float:
        """GFLOP/s that it could reach in registers."""
        if name == INT8 or name in TORCH_INT8:
            return self.peaks.vnni or self.peaks.fma
        return self.peaks.fma if name == "torch f32" else self.peaks.bf16

    def floor_us(self, name: str) -> float:
        """Microseconds that the weight's bytes or the arithmetic take at least."""
        reading = self.depth * self.cols * BYTES.get(name, 2) / self.peaks.read * 1e-3
        return max(reading, self.flops / self.peak(name) * 1e-3)

    def of_floor(self, name: str) -> float:
        """The floor's share of the time."""
        return self.floor_us(name) / statistics.median(self.samples_us[name])

    def over_ours(self, name: str) -> Ratio:
        """Time over that of our product of the same format."""
        return ratio(self.samples_us[name], self.samples_us[INT8 if name in TORCH_INT8 else OURS])

    def record(self) -> dict[str, Any]:
        """All of it for a file, with rates and ratios."""
        others = [name for name in self.samples_us if name != OURS]
        return {
            **asdict(self),
            "gflops": {name: self.rate(name) for name in self.samples_us},
            "of_floor": {name: self.of_floor(name) for name in self.samples_us},
            "ratios": {name: asdict(self.over_ours(name)) for name in others},
        }


def in_turn(call: Callable[[Any], object], weights: list[Any]) -> Callable[[], object]:
    """A call with another weight each time."""
    following = cycle(weights)
    return lambda: call(next(following))


def copies(weight: Array) -> list[Array]:
    """So many that they do not stay in the caches."""
    return [weight.copy() for _ in range(max(1, min(64, UNCACHED // weight.nbytes)))]


class Operands:
    """Rows and weights of a product, and every way to multiply them."""

    def __init__(self, depth: int, cols: int) -> None:
        rng = np.random.default_rng(0)
        self.w = (rng.standard_normal((cols, depth), np.float32) / 32).astype(BF16)
        self.x = rng.standard_normal((max(ROWS), depth), np.float32).astype(BF16)
        self.plain = copies(self.w)
        self.packed = [fusible.pack_weight(w) for w in self.plain]
        self.zentorch: list[Any] = []  # for as many threads as there are
        self.codes: list[Any] = []
        if depth % 128 == 0:
            codes = np.clip(self.w.astype(np.float32) * 1024, -448, 448)
            codes = codes.astype(ml_dtypes.float8_e4m3fn)
            self.codes = [fusible.pack_weight(w) for w in copies(codes)]
            self.scales = np.full((-(-cols // 128), depth // 128), 2.0**-10, np.float32)
        self.int8, scale = ops.per_token_quant_int8(self.w)
        self.plain_int8, self.int8_scale = copies(self.int8), scale[:, 0].copy()
        self.packed_int8 = [fusible.pack_weight(w) for w in self.plain_int8]
        self.row_scale = float(np.abs(self.x).max()) / 127  # for peers that have one for all rows

    def contenders(self, rows: int) -> dict[str, Callable[[], object]]:
        """All of them, the peers that are installed included."""
        x = self.x[:rows].copy()
        found = {
            OURS: in_turn(lambda w: ops.matmul(x, w), self.packed),
            PLAIN: in_turn(lambda w: ops.matmul(x, w), self.plain),
        }
        if self.codes:
            x8, scale = ops.per_token_group_quant_fp8(x, group_size=128)
            found[FP8] = in_turn(
                lambda w: ops.block_scaled_matmul(x8, w, scale, self.scales), self.codes
            )
            found[W8A16] = in_turn(
                lambda w: ops.w8a16_block_fp8_matmul(x, w, self.scales), self.codes
            )
        q, q_scale = ops.per_token_quant_int8(x)
        found[INT8] = in_turn(
            lambda w: ops.int8_scaled_mm(q, w, q_scale, self.int8_scale), self.packed_int8
        )
        return found | self._torch(x)

    def _torch(self, x: Array) -> dict[str, Callable[[], object]]:
        names = [peer.name for peer in peers.installed()[0]]
        if "torch" not in names:
            return {}
        import torch

        linear = torch.nn.functional.linear
        x16, some = peers.to_torch(x), [peers.to_torch(w) for w in self.plain]
        x32, wide = x16.float(), [w.float() for w in some[: max(1, len(some) // 2)]]
        found = {
            "torch": in_turn(lambda w: linear(x16, w), some),
            "torch f32": in_turn(lambda w: linear(x32, w), wide),
        }
        if "zentorch" in names:
            zen = torch.ops.zentorch.zentorch_linear_unary
            if not self.zentorch:
                self.zentorch = [w.clone() for w in some]
                PACKED_IN_PLACE.extend(self.zentorch)
            found["zentorch"] = in_turn(lambda w: zen(x16, w), self.zentorch)
        return found | self._torch_int8(x)

    def _torch_int8(self, x: Array) -> dict[str, Callable[[], object]]:
        import torch

        some, scale = [torch.from_numpy(w) for w in self.plain_int8], self.row_scale
        codes = ops.static_quant_int8(x, np.array([scale], np.float32))
        rows, unsigned = torch.from_numpy(codes), torch.from_numpy(codes.view(np.uint8) ^ 0x80)
        w_scale = torch.from_numpy(self.int8_scale)
        packed = [torch.ops.onednn.qlinear_prepack(w, list(x.shape)) for w in some]
        zeros = torch.zeros(len(w_scale), dtype=torch.int64)
        linear = torch.ops.onednn.qlinear_pointwise
        sums, linear_name = TORCH_INT8
        return {
            sums: in_turn(lambda w: torch._int_mm(rows, w.t()), some),
            linear_name: in_turn(
                lambda w: linear(
                    *(unsigned, scale, 128, w, w_scale, zeros, None, 1.0, 0, torch.bfloat16),
                    *("none", [], ""),
                ),
                packed,
            ),
        }

    def check(self, rows: int, name: str, result: Any) -> None:
        """ValueError where a result is not the product."""
        got = (result if isinstance(result, np.ndarray) else peers.to_numpy(result)).astype(float)
        exact = self.x[:rows].astype(float) @ self.w.astype(float).T
        if name == TORCH_INT8[0]:
            got *= self.row_scale * self.int8_scale
        apart = np.linalg.norm(got - exact) / np.linalg.norm(exact)
        if not apart <= TOLERANCES.get(name, 2**-7):
            raise ValueError(f"{name}: {apart:.2g} of the norm off the product in float64")


def measured(given: argparse.Namespace) -> Iterator[Case]:
    """Every case, printed as soon as it is there.

    Numbers of threads come one after the other: zentorch's results were NaN where they alternate.
    """
    patterns = given.filter.split(",")
    shapes = [name for name in SHAPES if any(fnmatch(name, pattern) for pattern in patterns)]
    for threads in given.threads:
        _core.set_threads(threads)
        peers.set_threads(threads)
        for shape in shapes:
            yield from measured_shape(given, shape, threads)


def measured_shape(given: argparse.Namespace, shape: str, threads: int) -> Iterator[Case]:
    """The cases of one shape."""
    depth, cols = SHAPES[shape]
    operands, found = Operands(depth, cols), peaks(threads)
    print(f"\n{shape}: K {depth}, N {cols}, {threads} threads; {describe(found)}")
    for rows in given.rows:
        works = operands.contenders(rows)
        for name, work in works.items():
            operands.check(rows, name, work())
        contenders = {name: Contender(work) for name, work in works.items()}
        times = turns(contenders, given.budget, settle=SETTLE if threads > 1 else 0)
        samples = {name: [t * 1e6 for t in some] for name, some in times.items()}
        case = Case(shape, rows, depth, cols, threads, found, samples)
        print(line(case), flush=True)
        yield case


def describe(found: Peaks) -> str:
    """The peaks in words."""
    dot = f"bf16 dot products {found.dot:.0f}, " if found.dot else ""
    vnni = f"int8 dot products {found.vnni:.0f}, " if found.vnni else ""
    return f"peaks: FMA {found.fma:.0f} GFLOP/s, {dot}{vnni}read {found.read:.1f} GB/s"


def line(case: Case) -> str:
    """Rate, share of the floor, and each other's time over ours."""
    cells = [
        f"{name} {case.rate(name):6.1f} ({case.of_floor(name):4.0%})"
        for name in OF_FUSIBLE
        if name in case.samples_us
    ]
    cells += [
        f"{name}/ours {case.over_ours(name)}" for name in case.samples_us if name not in OF_FUSIBLE
    ]
    return f"  M {case.rows:4}: " + ", ".join(cells)


def draw(cases: list[Case], path: Path, about: str) -> None:
    """GFLOP/s over rows below the roof of the machine, a panel a shape and number of threads."""
    panels = list(dict.fromkeys((case.shape, case.threads) for case in cases))
    figure, axes = roofline.figure_of(1, len(panels), (3.4, 3))
    colours = roofline.COLOURS | {PLAIN: "#e5989b", FP8: "#2a9d8f", "torch f32": "#5c677d"}
    colours |= {W8A16: "#006d77", INT8: "#8338ec"} | dict(
        zip(TORCH_INT8, ("#ffb703", "#fb8500"), strict=True)
    )
    for (shape, threads), axis in zip(panels, axes.flat, strict=True):
        shown = [case for case in cases if (case.shape, case.threads) == (shape, threads)]
        rows = [case.rows for case in shown]
        roof = [case.flops / case.floor_us(OURS) * 1e-3 for case in shown]
        axis.fill_between(rows, roof, 1, color=roofline.ROOF, linewidth=0)
        for name in shown[0].samples_us:
            rates = [case.rate(name) for case in shown]
            axis.plot(rows, rates, "o-", label=name, color=colours[name], markersize=2, linewidth=1)
        axis.set(
            xscale="log",
            yscale="log",
            xlabel="rows",
            title=f"{shape}, {roofline.of_threads(threads)}",
        )
    axes.flat[0].set_ylabel("GFLOP/s")
    axes.flat[-1].legend(frameon=False)
    roofline.write(figure, f"Products of bf16 below what the machine can do\n{about}", path)


def numbers(text: str) -> list[int]:
    """A list of counts from 1 on, with commas."""
    found = [int(part) for part in text.split(",")]
    if min(found) < 1 or max(found) > max(ROWS):
        raise ValueError(text)
    return found


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--filter", default=DEFAULT, help=f"of {', '.join(SHAPES)}; with * and ,")
    parser.add_argument("--rows", type=numbers, default=list(ROWS))
    parser.add_argument("--threads", type=numbers, default=[1])
    parser.add_argument("--isa", default="", help="the instruction set of fusible: avx3")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds a case")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=roofline.picture)
    return parser.parse_args()


def main() -> int:
    """Measures, prints, writes."""
    given = options()
    _core.force_isa(given.isa)
    about = machine()
    print(name_of(about))
    cases = list(measured(given))
    if not cases:
        print(f"--filter: expected some of {', '.join(SHAPES)}", file=sys.stderr)
        return 2
    if given.json:
        records = [case.record() for case in cases]
        given.json.write_text(json.dumps({"machine": about, "cases": records}, indent=1) + "\n")
    if given.plot:
        draw(cases, given.plot, name_of(about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
