"""Every operator beside the floor and its peers: one table, closing lines, a picture.

    python -m benchmarks --filter 'rms_norm*' --tokens 1,64 --hidden 4096

All contenders of a cell run turn about in this process with the same number of threads; ratios are
of the same turns, with quartiles. Peers that are not installed are left out (`ci/setup --bench`
installs them). A peer that writes into memory it is given is compared with our call with `out=`,
one that allocates with our call that allocates.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

TOKENS = (1, 8, 64, 512, 4096)
HIDDEN = (576, 2048, 4096, 7168)

# glibc keeps what is freed, so that a fresh array costs no page faults; PyTorch has no pool.
KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": str(8 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(1 << 30),
}
BUSY = 0.5  # processes running, on average of the last minute
NARROW = {"FUSIBLE_ISA": "avx2", "ATEN_CPU_CAPABILITY": "avx2"}


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _numbers(text: str) -> list[int]:
    parts = _list(text)
    if not all(re.fullmatch(r"[1-9][0-9]{0,8}", part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected numbers from 1 on, such as 1,8,64, got {text}")
    return [int(part) for part in parts]


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]*)?|\.[0-9]+", text):
        raise argparse.ArgumentTypeError(f"expected seconds, such as 0.5, got {text}")
    return float(text)


def options() -> argparse.Namespace:
    """What the command line says."""
    from benchmarks.peers import PROVIDERS
    from benchmarks.roofline import picture

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--filter", action="append", default=[], help="operators by name, * and ?; repeatable")
    add("--tokens", type=_numbers, default=TOKENS, help=f"rows; default {_shown(TOKENS)}")
    add("--hidden", type=_numbers, default=HIDDEN, help=f"columns; default {_shown(HIDDEN)}")
    add("--dtype", type=_list, default=["bf16"], help="bf16, f16, f32; default bf16")
    add("--threads", type=_numbers, default=[1, 2], help="default 1,2")
    add(
        "--peers", type=_list, default=list(PROVIDERS), help=f"or none; default {_shown(PROVIDERS)}"
    )
    add(
        "--budget",
        type=_seconds,
        default=1.0,
        help="seconds a cell, after at least 5 turns; default 1",
    )
    add("--json", type=Path, help="file for all samples, medians, quartiles and the machine")
    add("--plot", type=picture, help="file for the picture: .svg or .png")
    add("--avx2", action="store_true", help="keep everybody to AVX2 (zentorch is left out)")
    add("--default-allocator", action="store_true", help="glibc as it is: fresh memory faults")
    given = parser.parse_args()
    for what, names, known in (
        ("--peers", given.peers, (*PROVIDERS, "none")),
        ("--dtype", given.dtype, ("bf16", "f16", "f32")),
    ):
        for name in names:
            if name not in known:
                parser.error(f"{what}: expected of {_shown(known)}, got {name}")
    return given


def _shown(values: Any) -> str:
    return ",".join(map(str, values))


def environment(given: argparse.Namespace) -> dict[str, str]:
    """What must be set before the process starts."""
    return (NARROW if given.avx2 else {}) | ({} if given.default_allocator else KEEPING)


def start_again(variables: Mapping[str, str]) -> None:
    """Runs this command in an environment that has them, unless this one does."""
    if any(os.environ.get(name) != value for name, value in variables.items()):
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **variables})


def cells_of(given: argparse.Namespace) -> Iterator[tuple[Any, Any, int]]:
    """Workload, size and threads of every cell that is asked for; says what this build lacks."""
    from benchmarks.workloads import Size, selected

    for workload in selected(given.filter):
        if workload.missing:
            print(f"{workload.name}: this build of fusible has no such operator")
            continue
        for dtype in given.dtype:
            for threads in given.threads:
                for hidden in given.hidden:
                    for tokens in given.tokens:
                        yield workload, Size(tokens, hidden, dtype), threads


def progress(done: int, of: int, what: str, started: float) -> None:
    """One line that is written over, where somebody looks on."""
    if sys.stderr.isatty():
        left = (monotonic() - started) / done * (of - done) / 60 if done else 0
        text = f"{done} of {of}, {left:.0f} min left: {what}" if done < of else ""
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def measured(given: argparse.Namespace, names: list[str]) -> Iterator[Any]:
    """Every cell, printed as soon as it is there."""
    from benchmarks.measure import Bench
    from benchmarks.report import row, title

    bench, started, above = Bench(given.budget, names), monotonic(), None
    wanted = list(cells_of(given))
    for done, (workload, size, threads) in enumerate(wanted):
        progress(done, len(wanted), f"{workload.name} {size}", started)
        cell = bench.cell(workload, size, threads)
        progress(1, 1, "", started)
        head = title(cell, names)
        if head != above:
            print("\n".join(head))
            above = head
        print(row(cell, names), flush=True)
        yield cell


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    import fusible
    from benchmarks import peers
    from fusible.gate.machine import fingerprint

    about = fingerprint().model_dump(mode="json")
    return {**about, "fusible": fusible.info(), "peers": peers.versions(), "load": os.getloadavg()}


def name_of(about: Mapping[str, Any]) -> str:
    """The machine in a line."""
    isa = about["fusible"]["isa"]["chosen"]
    peers = ", ".join(f"{name} {version}" for name, version in about["peers"].items())
    hard = about["hard"]
    return f"{hard['cpu']}, {hard['cores']} cores, {isa}; {peers or 'no peers'}"


def main() -> int:
    """Measures, prints, writes."""
    given = options()
    start_again(environment(given))
    from benchmarks import peers
    from benchmarks.report import summary
    from benchmarks.roofline import draw

    found, absent = peers.installed()
    names = [peer.name for peer in found if peer.name in given.peers]
    about = machine()
    print(name_of(about))
    print(f"instruction sets: {', '.join(about['hard']['isa'])}")
    if about["load"][0] > BUSY:
        print(f"load {about['load'][0]:.1f}: others use this machine, and threads wait for them")
    for name, why in absent.items():
        if name in given.peers:
            print(f"{name}: {why}")
    cells = list(measured(given, names))
    if not cells:
        print("nothing is selected", file=sys.stderr)
        return 2
    print("\n".join(summary(cells)))
    if given.json:
        records = [cell.record() for cell in cells]
        text = json.dumps({"machine": about, "cells": records}, indent=1)
        given.json.write_text(text + "\n")
    if given.plot:
        draw(cells, given.plot, name_of(about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
