"""The table and its closing lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from benchmarks.agreement import Difference, widest
from benchmarks.measure import OURS, OURS_GIVEN, PARTS, PARTS_GIVEN, Cell

BAR = 1.25  # times the best peer, in every cell
BARS = {"fused_add_rms_norm in place": 1.15}
LARGE = 4096  # tokens at which the share of the floor is reported
WIDTH = 10


def number(us: float | None) -> str:
    """Microseconds with three digits."""
    if us is None:
        return "-"
    return f"{us:.2f}" if us < 10 else f"{us:.1f}" if us < 100 else f"{us:,.0f}"


def bar(workload: str) -> float:
    """The ratio to the best peer that every cell of an operator should reach."""
    return BARS.get(workload, BAR)


def title(cell: Cell, peers: Sequence[str]) -> list[str]:
    """What stands above the cells of one operator."""
    threads = f"{cell.threads} thread{'s' * (cell.threads > 1)}"
    columns = ["floor", OURS, "out=", "of floor", *peers]
    named = "".join(f"{name:>{WIDTH}}" for name in columns)
    ratios = "best peer / ours" if peers else ""
    parts = "parts / ours (out=; allocating)" if cell.parts_bytes else ""
    return [
        "",
        f"{cell.workload}, {cell.dtype}, {threads}",
        f"{'T x H, us':<12}{named}  {ratios:<34}{parts}".rstrip(),
    ]


def row(cell: Cell, peers: Sequence[str]) -> str:
    """Medians in microseconds, ratios with their quartiles."""
    times = (cell.floor_us, cell.us(OURS), cell.us(OURS_GIVEN))
    columns = [number(us) for us in times] + [f"{cell.share.median:.0%}"]
    columns += [_peer(cell, name) for name in peers]
    best = f"{cell.best_peer} {cell.ratio(cell.best_peer)}" if cell.best_peer else ""
    parts = [str(r) for r in map(cell.parts_ratio, (PARTS_GIVEN, PARTS)) if r]
    padded = "".join(f"{column:>{WIDTH}}" for column in columns)
    return f"{cell.size:<12}{padded}  {best:<34}{'; '.join(parts)}".rstrip()


def _peer(cell: Cell, name: str) -> str:
    """Its time; marked where its results are not those of its family."""
    if name in cell.failures:
        return "failed"
    return number(cell.us(name)) + ("!" if name in cell.disagreeing else "")


def geometric_mean(values: Iterable[float]) -> float:
    """Of at least one value."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def groups(cells: Sequence[Cell]) -> Iterator[tuple[str, list[Cell]]]:
    """The cells of each operator, dtype and number of threads."""

    def key(cell: Cell) -> tuple[str, str, int]:
        return cell.workload, cell.dtype, cell.threads

    for (workload, dtype, threads), some in groupby(sorted(cells, key=key), key):
        yield f"{workload}, {dtype}, {threads} thr", list(some)


def summary(cells: Sequence[Cell]) -> list[str]:
    """One line for each operator and number of threads, then what did not work as it should."""
    heads = f"{'least':>8}{'mean':>8}{'below bar':>22}{'of floor':>10}{'T=1 us':>10}{'out=':>8}"
    lines = ["", f"{'best peer / ours':<52}{heads}  parts / ours: least, mean, bytes saved"]
    lines += [_line(name, some) for name, some in groups(cells)]
    lines += [
        "(bar: 1.25, and 1.15 in place for fused_add_rms_norm; of floor: the least at T=4096;",
        " T=1: the largest; least of the parts: of the upper quartiles, with out=)",
    ]
    return lines + _allocations(cells) + list(_remarks(cells))


def _line(name: str, cells: list[Cell]) -> str:
    medians = [(c.ratio(c.best_peer).median, c) for c in cells if c.best_peer]
    least = mean = below = "-"
    if medians:
        least = f"{min(m for m, _ in medians):.2f}"
        mean = f"{geometric_mean(m for m, _ in medians):.2f}"
        under = [c.size for m, c in medians if m < bar(c.workload)]
        below = f"{len(under)} of {len(medians)}" + (f": {under[0]}.." if under else "")
    floors = [c.share.median for c in cells if c.tokens == LARGE]
    of_floor = f"{min(floors):.0%}" if floors else "-"
    single = [c for c in cells if c.tokens == 1]
    first, second = (_largest(single, ours) for ours in (OURS, OURS_GIVEN))
    columns = f"{least:>8}{mean:>8}{below:>22}{of_floor:>10}{first:>10}{second:>8}"
    return f"{name:<52}{columns}  {_parts(cells)}".rstrip()


def _largest(cells: list[Cell], ours: str) -> str:
    return number(max((us for c in cells if (us := c.us(ours)) is not None), default=None))


def _parts(cells: list[Cell]) -> str:
    """Fused beside its parts: with out= and, behind the semicolon, beside calls that allocate."""
    given = [r for c in cells if (r := c.parts_ratio(PARTS_GIVEN))]
    if not given:
        return ""
    fresh = [r for c in cells if (r := c.parts_ratio(PARTS))]
    saved = 1 - sum(c.bytes for c in cells) / sum(c.parts_bytes or 0 for c in cells)
    means = [geometric_mean(r.median for r in some) for some in (given, fresh)]
    return (
        f"{min(r.high for r in given):.2f}, {means[0]:.2f} ({means[1]:.2f} allocating), {saved:.0%}"
    )


def _allocations(cells: Sequence[Cell]) -> list[str]:
    """What a fresh result costs beside memory that is there."""
    ratios = [a / b for c in cells if (a := c.us(OURS)) and (b := c.us(OURS_GIVEN))]
    if not ratios:
        return []
    faults = max(c.faults for c in cells)
    mean = geometric_mean(ratios)
    costs = f"{mean:.2f}, at most {max(ratios):.2f}; page faults a call: at most {faults:.0f}"
    return [f"allocating / out=: {costs}"]


def _remarks(cells: Sequence[Cell]) -> Iterator[str]:
    """How far each peer's results lie from ours, and what went beyond that, or failed."""
    known: dict[str, list[Difference]] = {}
    found: dict[tuple[str, str], str] = {}
    for cell in cells:
        name = f"{cell.workload}, {cell.dtype}"
        for peer, apart in cell.differences.items():
            if peer in cell.disagreeing:
                found[name, peer] = f"{cell.size}: {apart}: more than is known of its family (!)"
            else:
                known.setdefault(peer, []).append(apart)
        found |= {(name, peer): f"{cell.size}: {error}" for peer, error in cell.failures.items()}
    for peer, differences in known.items():
        yield f"{peer}: agrees as is known of its family, at most: {widest(differences)}"
    for (name, peer), text in found.items():
        yield f"{peer}: {name}, {text}"
