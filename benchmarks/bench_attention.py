"""Attention beside PyTorch's, the peak and the read bandwidth: prefill, and decoding.

    python -m benchmarks.bench_attention --threads 1,2 --json attention.json --plot attention.svg

The head shapes are those of published models, in bf16. Results are compared with a reference in
float64 before anything is timed. Then ours and PyTorch's `scaled_dot_product_attention` (with
grouped heads as they are, and with keys and values repeated for each query head beforehand) run
turn about in this process on as many threads. The peak is measured before them: of dot products of
bf16 where the CPU has fast ones, else of FMA.

GFLOP/s count what causal attention needs. GB/s are bytes of the keys and values of a call, each
read once; the bandwidth is the best that this run found for reading as many bytes. PyTorch gets its
keys as they lie best for it, [heads, tokens, size]; ours are in pages of a cache, in no order.
`--avx2` keeps fusible to AVX2, and PyTorch as far as it can be told to: its products took as long
as before.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks import peers, roofline
from benchmarks.__main__ import KEEPING, NARROW, machine, name_of, start_again
from benchmarks.compare import Contender, Ratio, Work, quartiles, ratio, turns
from benchmarks.machine import Traffic, floor
from benchmarks.measure import SETTLE
from benchmarks.peaks import peaks
from fusible import _core, ops

Array = np.ndarray[Any, np.dtype[Any]]

PAGE = 32
OURS = "fusible"
# Of a result in bf16: half a unit in the last place, and what sums in f32 lose of the largest.
ROUNDED, LOST = 2.0**-8, 1e-5
PEER_LOST = 2.0**-5  # PyTorch rounds weights to bf16


@dataclass(frozen=True)
class Shape:
    """The heads of one model's attention; `latent`: values are the first columns of the keys."""

    model: str
    heads: int
    kv_heads: int
    size: int
    value_size: int
    latent: bool = False


@dataclass(frozen=True)
class Call:
    """One call: the last `tokens` of `keys` ask."""

    shape: Shape
    tokens: int
    keys: int

    @property
    def flops(self) -> int:
        """Of the products with keys and values that a causal mask leaves."""
        pairs = self.tokens * self.keys - self.tokens * (self.tokens - 1) // 2
        return 2 * self.shape.heads * (self.shape.size + self.shape.value_size) * pairs

    @property
    def what(self) -> str:
        """In words."""
        return f"prefill {self.tokens}" if self.tokens > 1 else f"decode over {self.keys}"

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{self.shape.model}, {self.what}"


SHAPES = (
    Shape("SmolLM2-135M", 9, 3, 64, 64),
    Shape("Llama-3.1-8B, Qwen3-8B", 32, 8, 128, 128),
)
LATENT = Shape("DeepSeek-V3 latent", 128, 1, 576, 512, latent=True)


@dataclass(frozen=True)
class Operands:
    """Queries, keys and values [tokens, heads, size], and the same keys and values in pages."""

    call: Call
    q: Array
    k: Array
    v: Array
    caches: tuple[Array, ...]
    integers: tuple[Array, Array, Array]

    @property
    def scale(self) -> float:
        """Of the scores."""
        return float(self.call.shape.size**-0.5)


def operands_of(call: Call) -> Operands:
    """Normally distributed ones; pages in no order."""
    rng, shape = np.random.default_rng(0), call.shape

    def normal(*sizes: int) -> Array:
        return rng.standard_normal(sizes, dtype=np.float32).astype(ml_dtypes.bfloat16)

    q = normal(call.tokens, shape.heads, shape.size)
    k = normal(call.keys, shape.kv_heads, shape.size)
    v = k[..., : shape.value_size].copy()
    if not shape.latent:
        v = normal(call.keys, shape.kv_heads, shape.value_size)
    table = rng.permutation(call.keys // PAGE).astype(np.int32)
    caches = []
    for rows in (k,) if shape.latent else (k, v):
        cache = np.empty((len(table), PAGE, *rows.shape[1:]), rows.dtype)
        cache[table] = rows.reshape(cache.shape)
        caches.append(cache)
    starts, lengths = np.array([0, call.tokens], np.int32), np.array([call.keys], np.int32)
    return Operands(call, q, k, v, tuple(caches), (table[None], starts, lengths))


def ours(given: Operands) -> Work:
    """Our call."""
    table, starts, lengths = given.integers
    q, cache, scale = given.q, given.caches[0], given.scale
    if given.call.shape.latent:
        rank = given.call.shape.value_size
        return lambda: ops.latent_attention(
            q, cache, table, starts, lengths, rank=rank, scale=scale
        )
    values = given.caches[1]
    return lambda: ops.attention(q, cache, values, table, starts, lengths, scale=scale)


def reference(given: Operands, token: int) -> Array:
    """One token's result in float64."""
    seen = given.call.keys - given.call.tokens + token + 1
    group = given.call.shape.heads // given.call.shape.kv_heads
    k, v = (rows[:seen].astype(np.float64).repeat(group, axis=1) for rows in (given.k, given.v))
    scores = np.einsum("hd,khd->hk", given.q[token].astype(np.float64), k) * given.scale
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.asarray(np.einsum("hk,khe->he", weights, v))


def check(given: Operands, result: Array, lost: float, who: str) -> None:
    """Compares the first, a middle and the last token with the reference; ValueError if apart."""
    for token in {0, given.call.tokens // 2, given.call.tokens - 1}:
        want = reference(given, token)
        apart = np.abs(result[token].astype(np.float64) - want)
        bound = ROUNDED * np.abs(want) + lost * np.abs(want).max(axis=-1, keepdims=True)
        if not (apart <= bound).all():
            raise ValueError(f"{who}: {given.call.name}: {apart.max():.2e} off at token {token}")


def theirs(given: Operands) -> dict[str, Work]:
    """PyTorch's calls, where it is installed."""
    if importlib.util.find_spec("torch") is None:
        return {}
    attend = importlib.import_module("torch.nn.functional").scaled_dot_product_attention

    def heads_first(rows: Array) -> Any:
        return peers.to_torch(np.ascontiguousarray(rows.swapaxes(0, 1)))[None]

    q, k, v = map(heads_first, (given.q, given.k, given.v))
    group = given.call.shape.heads // given.call.shape.kv_heads
    causal, scale = given.call.tokens > 1, given.scale
    repeated = [rows.repeat_interleave(group, 1) for rows in (k, v)]
    return {
        "torch": lambda: attend(q, k, v, is_causal=causal, scale=scale, enable_gqa=True),
        "torch, repeated": lambda: attend(q, *repeated, is_causal=causal, scale=scale),
    }


@dataclass(frozen=True)
class Result:
    """What was measured of one call."""

    call: Call
    threads: int
    peak_gflops: float
    read_gbs: float
    bytes: int
    seconds: dict[str, list[float]]

    @property
    def ours(self) -> float:
        """Our median, in seconds."""
        return statistics.median(self.seconds[OURS])

    @property
    def ratios(self) -> dict[str, Ratio]:
        """Of each peer's time to ours."""
        peers = (name for name in self.seconds if name != OURS)
        return {name: ratio(self.seconds[name], self.seconds[OURS]) for name in peers}

    def bars(self) -> roofline.Bars:
        """For the picture: GFLOP/s of prefill and GB/s of decoding, both bounded by both limits."""
        reads = self.call.tokens == 1
        unit, amount = ("GB/s", self.bytes) if reads else ("GFLOP/s", self.call.flops)
        least = max(self.bytes / self.read_gbs, self.call.flops / self.peak_gflops)
        rates = {n: 1e-9 * amount / statistics.median(some) for n, some in self.seconds.items()}
        threads = roofline.of_threads(self.threads)
        title = f"{self.call.shape.model}\n{self.call.what}, {threads}"
        return roofline.Bars(title, unit, rates, dict.fromkeys(rates, amount / least))

    def row(self) -> str:
        """As the table has it."""
        ms = quartiles([1e3 * seconds for seconds in self.seconds[OURS]])
        gflops, gbs = 1e-9 * self.call.flops / self.ours, 1e-9 * self.bytes / self.ours
        cells = [
            f"{self.call.name:40} {self.threads}  {ms!s:>27}",
            f"{gflops:6.1f} {gflops / self.peak_gflops:5.0%}",
            f"{gbs:6.1f} {gbs / self.read_gbs:5.0%}",
            *(f"{found!s:>22}" for found in self.ratios.values()),
        ]
        return "  ".join(cells)

    def record(self) -> dict[str, Any]:
        """For a file."""
        ratios = {name: asdict(found) for name, found in self.ratios.items()}
        about = {"name": self.call.name, "flops": self.call.flops, "ratios": ratios}
        return {**asdict(self), **about, "seconds_median": self.ours}


def measure(call: Call, threads: int, budget: float, peak_gflops: float) -> Result:
    """One call: compared, then timed with everybody else."""
    _core.set_threads(threads)
    peers.set_threads(threads)
    given = operands_of(call)
    works = {OURS: ours(given), **theirs(given)}
    for name, work in works.items():
        found: Any = work()
        if name != OURS:
            found = peers.to_numpy(found[0].transpose(0, 1))
        check(given, found, LOST if name == OURS else PEER_LOST, name)
    contenders = {name: Contender(work) for name, work in works.items()}
    seconds = turns(contenders, budget, settle=SETTLE if threads > 1 else 0.0)
    sizes = tuple(cache.nbytes for cache in given.caches)
    bandwidth = sum(sizes) / floor(Traffic(sizes, ()), threads).us * 1e-3
    return Result(call, threads, peak_gflops, bandwidth, sum(sizes), seconds)


def calls(prefill: int, decode: int) -> Iterator[Call]:
    """All that are measured."""
    for shape in SHAPES:
        yield Call(shape, prefill, prefill)
        yield Call(shape, 1, decode)
    yield Call(LATENT, 1, decode)


def draw(results: list[Result], path: Path, about: str) -> None:
    """A panel a call, a row of them for each number of threads."""
    panels, different = [result.bars() for result in results], {result.call for result in results}
    title = f"Attention in bf16 below what the machine can do\n{about}"
    roofline.draw_bars(panels, len(different), title, path)


def options() -> argparse.Namespace:
    """What the command line says."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("--threads", default="1,2", help="default 1,2")
    add("--prefill", type=int, default=2048, help="tokens, a multiple of 32; default 2048")
    add("--decode", type=int, default=8192, help="keys, a multiple of 32; default 8192")
    add("--budget", type=float, default=4.0, help="seconds a call, after 5 turns; default 4")
    add("--json", type=Path, help="file for all samples, ratios and the machine")
    add("--plot", type=roofline.picture, help="file for the picture: .svg or .png")
    add("--avx2", action="store_true", help="AVX2 alone; see above of PyTorch")
    return parser.parse_args()


def main() -> None:
    """Prints the table."""
    given = options()
    narrow = NARROW | {"ONEDNN_MAX_CPU_ISA": "AVX2"} if given.avx2 else {}
    start_again(KEEPING | narrow)
    about = machine()
    print(name_of(about))
    heads = f"{'ms (quartiles)':>27}  GFLOP/s of peak   GB/s  of read    torch / ours, grouped;"
    print(f"{'call':40} threads {heads} repeated")
    results = []
    for threads in map(int, given.threads.split(",")):
        found = peaks(threads)
        for call in calls(given.prefill, given.decode):
            results.append(measure(call, threads, given.budget, found.bf16))
            print(results[-1].row(), flush=True)
    if given.json:
        record = {"machine": about, "calls": [result.record() for result in results]}
        given.json.write_text(json.dumps(record, indent=1) + "\n")
    if given.plot:
        draw(results, given.plot, name_of(about))


if __name__ == "__main__":
    main()
