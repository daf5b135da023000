"""SmolLM2-135M beside `transformers` and llama.cpp: 512 tokens read at once, and tokens written.

    python -m benchmarks.bench_decode --threads 1,2 --json decode.json --plot decode.svg

All read the same GGUF file (Q4_1; bf16 and f32 are what it dequantizes to, fp8 is quantized from
bf16) and give logits behind the last token only. What each predicts behind the text is compared
before anything is timed. Then all run turn about in this process, on as many threads. Tokens are
written behind 128 of the text; the text's own next ones, so that all do the same work.

`of read`: the share of the read bandwidth of this run at which a token's weights are read; `of
peak`: the share of the peak of FMA, or of bf16 dot products where those are faster.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import peers, roofline
from benchmarks.__main__ import KEEPING, machine, name_of, start_again
from benchmarks.compare import Contender, Ratio, ratio, turns
from benchmarks.language import Fusible, Program, apart, programs, reading, writing
from benchmarks.measure import SETTLE
from benchmarks.peaks import Peaks, peaks
from fusible import _core
from fusible.demo.subject import HOW_TO_GET, bundled_weights
from fusible.models.text import sample, text_of
from fusible.models.weights import load

PAST = 128  # tokens before those that are written
WRITTEN = 8
# Nats between two predictions: one of a model in 4 bits, in fp8, or with other roundings.
APART = 0.2


@dataclass
class Case:
    """One kind of work on some threads, and what its turns took."""

    work: str
    tokens: int
    threads: int
    peaks: Peaks
    flops: float
    weight_bytes: dict[str, int]
    seconds: dict[str, list[float]]

    def rate(self, name: str) -> float:
        """Tokens a second, of the median."""
        return self.tokens / statistics.median(self.seconds[name])

    def limit(self, name: str) -> float:
        """Tokens a second that reading weights for each of them, or arithmetic, allows."""
        if self.work == "write":
            return self.peaks.read * 1e9 / self.weight_bytes[name]
        peak = self.peaks.fma if "f32" in name else self.peaks.bf16
        return peak * 1e9 * self.tokens / self.flops

    def share(self, name: str) -> str:
        """Of what bounds it."""
        what = "read" if self.work == "write" else "peak"
        return f"{self.rate(name) / self.limit(name):.0%} of {what}"

    def bars(self) -> roofline.Bars:
        """For the picture."""
        title = f"{self.work} {self.tokens}, {roofline.of_threads(self.threads)}"
        rates = {name: self.rate(name) for name in self.seconds}
        return roofline.Bars(title, "tokens/s", rates, {name: self.limit(name) for name in rates})

    @property
    def ours(self) -> list[str]:
        """Our programs."""
        return [name for name in self.seconds if name.startswith("fusible")]

    def ratio(self, name: str, ours: str) -> Ratio:
        """The program's time over that of one of ours."""
        return ratio(self.seconds[name], self.seconds[ours])

    def lines(self) -> list[str]:
        """As the table has them."""
        return [self.line(name) for name in self.seconds]

    def line(self, name: str) -> str:
        """Tokens a second, of what bounds them, and the time over each of ours."""
        ratios = "".join(f"{self.ratio(name, ours)!s:>26}" for ours in self.ours)
        about = f"{self.rate(name):8.1f}  {self.share(name):>13}{ratios}"
        return f"{self.work:6}{self.threads:2}  {name:18}{about}"

    def record(self) -> dict[str, Any]:
        """For a file."""
        rates = {name: self.rate(name) for name in self.seconds}
        ratios = {
            ours: {name: asdict(self.ratio(name, ours)) for name in self.seconds if name != ours}
            for ours in self.ours
        }
        return {**asdict(self), "tokens_per_second": rates, "ratios": ratios}


def check(found: dict[str, float]) -> None:
    """Prints how far apart predictions are; ValueError where one is another model's."""
    print("nats apart: " + ", ".join(f"{name} {nats:.4f}" for name, nats in found.items()))
    for name, nats in found.items():
        if not nats <= APART:
            raise ValueError(f"{name}: prediction: expected at most {APART} nats off, got {nats}")


def measured(path: Path, ids: Sequence[int], threads: int, budget: float) -> list[Case]:
    """Both kinds of work, on so many threads."""
    _core.set_threads(threads)
    peers.set_threads(threads)
    running: dict[str, Program] = dict(programs(path, len(ids) + WRITTEN, threads))
    check(apart(running, ids))
    ours = next(one for one in running.values() if isinstance(one, Fusible))
    found, cases = peaks(threads), []
    behind = ids[PAST : PAST + WRITTEN]
    for work, tokens in (("write", WRITTEN), ("read", len(ids))):
        calls = {
            name: writing(one, ids[:PAST], behind) if work == "write" else reading(one, ids)
            for name, one in running.items()
        }
        contenders = {name: Contender(call) for name, call in calls.items()}
        seconds = turns(contenders, budget, settle=SETTLE if threads > 1 else 0.0)
        flops = WRITTEN * ours.flops(1) if work == "write" else ours.flops(len(ids))
        size = {name: one.weight_bytes for name, one in running.items()}
        cases.append(Case(work, tokens, threads, found, flops, size, seconds))
        print("\n".join(cases[-1].lines()), flush=True)
    return cases


def draw(cases: list[Case], path: Path, about: str) -> None:
    """Tokens a second of every program, a row of panels for each number of threads."""
    panels, works = [case.bars() for case in cases], {case.work for case in cases}
    title = f"SmolLM2-135M: tokens a second, below what the machine can do\n{about}"
    roofline.draw_bars(panels, len(works), title, path)


def options() -> argparse.Namespace:
    """What the command line says."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("--threads", default="1,2", help="default 1,2")
    add("--prompt", type=int, default=512, help="tokens that are read at once; default 512")
    add("--budget", type=float, default=15.0, help="seconds a table, after 5 turns; default 15")
    add("--json", type=Path, help="file for all samples, ratios and the machine")
    add("--plot", type=roofline.picture, help="file for the picture: .svg or .png")
    return parser.parse_args()


def main() -> int:
    """Prints the table."""
    given = options()
    start_again(KEEPING)
    path = bundled_weights()
    if path is None:
        print(f"expected the model's file: {HOW_TO_GET}", file=sys.stderr)
        return 2
    about = machine()
    text = text_of(load(path)).encode(sample())
    ids = (text * -(-given.prompt // len(text)))[: given.prompt]
    print(f"{name_of(about)}\n{'work, threads, program':28}tokens/s{'':31}time over ours")
    cases = [
        case
        for threads in map(int, given.threads.split(","))
        for case in measured(path, ids, threads, given.budget)
    ]
    if given.json:
        record = {"machine": about, "cases": [case.record() for case in cases]}
        given.json.write_text(json.dumps(record, indent=1) + "\n")
    if given.plot:
        draw(cases, given.plot, name_of(about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
