"""What became of one test: where it ran, why there, what came before it, why it was retried."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from fusible.suite import wording
from fusible.suite.model import Attempt, Item, SuiteError
from fusible.suite.replay import Process, Replay

_BEFORE = 3  # of the tests that ran before it in its process; the ledger has more


def explain(ledgers: Sequence[Path], name: str) -> list[str]:
    """Lines about every test of this id; raises SuiteError if no ledger knows it."""
    replays = [replay for replay in map(Replay, ledgers) if replay.runs]
    lines: list[str] = []
    for replay in replays:
        for item in _planned(replay):
            if item.id == name:
                lines += _partition(replay, item)
        lines += _unplanned(replay, name)
    if not lines:
        raise SuiteError(_unknown(replays, name))
    return [wording.printable(line) for line in lines]


def _planned(replay: Replay) -> tuple[Item, ...]:
    return replay.planned.items if replay.planned else ()


def _unknown(replays: Sequence[Replay], name: str) -> str:
    ids = {item.id for replay in replays for item in _planned(replay)}
    near = difflib.get_close_matches(name, ids, n=3)
    hint = f"; near it: {', '.join(near)}" if near else ""
    return f"{name}: expected a test of {len(replays)} ledgers with {len(ids)} tests{hint}"


def _partition(replay: Replay, item: Item) -> Iterator[str]:
    yield f"{item}"
    yield f"  partition {replay.last.part} of {replay.last.parts}: {_why_there(replay, item)}"
    yield f"  ledger {replay.path}" + _runs(replay)
    own = [found for found in replay.attempts() if found[0].key == item.key]
    for number, (_, attempt, process) in enumerate(own, 1):
        yield from _attempt(number, attempt, process)
    yield f"  verdict: {_verdict(replay, item, bool(own))}"


def _why_there(replay: Replay, item: Item) -> str:
    # The first run chose; a resumed one takes what stands in its ledger.
    planned = next((run.planned for run in replay.runs if run.planned), None)
    if planned is None:
        return "no plan was written"
    together = sum(other.file == item.file for other in planned.items)
    count = f"with {together} of {item.file}, whose tests stay together where that balances"
    origin = "its own collection" if planned.origin == "collected" else planned.origin
    return f"{count}; assigned from {origin}"


def _runs(replay: Replay) -> str:
    return f", {len(replay.runs)} runs of it (resumed)" if len(replay.runs) > 1 else ""


def _attempt(number: int, attempt: Attempt, process: Process) -> Iterator[str]:
    where = f"process {attempt.session} ({process.purpose}), worker {attempt.worker}"
    said = f": {wording.line(attempt.reason)}" if attempt.reason else ""
    how = f"{attempt.outcome.value} after {attempt.seconds:.3f} s"
    yield f"  attempt {number}: {how}, {where}{said}"
    if process.why:
        yield f"    this process was started because: {process.why}"
    for failure in attempt.failures:
        yield f"    {_failure(failure.phase, failure.types, failure.signal)}"
    if attempt.before:
        yield f"    ran before it there: {', '.join(attempt.before[-_BEFORE:])}"


def _failure(phase: str, types: Sequence[str], signal: str) -> str:
    kind = signal or (types[0] if types else "no exception")
    return f"failed in {phase}: {kind}" if phase else f"died: {kind}"


def _verdict(replay: Replay, item: Item, attempted: bool) -> str:
    said = replay.said().get(item.key)
    if said is None:
        return "none: the runner died before it" if attempted else "lost: it was never finished"
    reason = f": {wording.line(said.reason)}" if said.reason else ""
    excused = f" (quarantined: {said.quarantined})" if said.quarantined else ""
    return f"{said.outcome.value}{reason}{excused}"


def _unplanned(replay: Replay, name: str) -> Iterator[str]:
    for process in replay.processes():
        number = process.record.number
        if name in process.record.unplanned:
            yield f"{name} ran unplanned in process {number} of {replay.path}"
        if name in process.record.forked:
            yield f"{name} was reported by a forked child of process {number} of {replay.path}"
