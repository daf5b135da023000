"""What an earlier ledger leaves to do: the rest after an interruption, or what failed elsewhere."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fusible.suite import ledger, place
from fusible.suite.config import SuiteConfig
from fusible.suite.model import Attempt, Collection, Item, Outcome, SuiteError
from fusible.suite.plan import few
from fusible.suite.replay import Process, Replay, Said
from fusible.suite.request import Choice, Given, Request


def resumed(request: Request) -> Request:
    """The request for what its ledger does not say the end of; all of it if that has no plan yet.

    The ledger is appended to. A test that was running when the runner or the machine died is run
    again; one that ended in any way is not. That says something of this run only where the run
    before was asked for the same tests, of the same files: SuiteError where it was not.
    """
    replay = Replay(request.ledger)
    if not replay.runs:
        return request
    request = replace(request, config=_selecting(replay, request.config))
    _check_same(replay, request)
    _check_files(replay, request)
    sessions = [process.record.number for process in replay.processes()]
    request = replace(request, first_session=max(sessions, default=-1) + 1)
    planned = replay.planned
    if planned is None:
        return request
    found = list(_files(replay))
    given = Given(
        planned.items,
        planned.whole,
        planned.hash,
        "resumed",
        _whole(replay, request),
        files={file: attempts for file, attempts in found if attempts},
        attempts=_attempts(replay, planned.items),
        problems=tuple(_problems(replay)),
    )
    return replace(request, given=given, choose=None)


def _whole(replay: Replay, request: Request) -> tuple[Item, ...] | None:
    """The whole collection: of the plan that the command names, or as a process has seen it."""
    digest = replay.planned.hash if replay.planned else ""
    given = request.given
    if given is not None:
        return given.known if given.hash == digest else None
    found = (process.record.collection for process in replay.processes())
    items = next((one.items for one in found if one and one.hash == digest), None)
    return None if request.config.narrowed else items


def _selecting(replay: Replay, config: SuiteConfig) -> SuiteConfig:
    """The suite, with what the run before was asked for where this one says nothing of it."""
    if config.paths or config.k or config.markers:
        return config
    last = replay.last
    return replace(config, paths=last.paths, k=last.k, markers=last.markers)


def _check_same(replay: Replay, request: Request) -> None:
    last, config = replay.last, request.config
    pairs = {
        "suite": (last.suite, config.name),
        "partition": (last.part, request.part),
        "number of partitions": (last.parts, request.parts),
        "commit": (last.commit, request.commit or ""),
        "digest of changed files": (last.changes, request.changes),
        "paths": (shlex.join(last.paths), shlex.join(config.paths)),
        "-k": (last.k, config.k),
        "-m": (last.markers, config.markers),
    }
    for name, (old, new) in pairs.items():
        if old != new:
            raise SuiteError(f"{replay.path}: {name}: expected {new!r} to resume, got {old!r}")


def _check_files(replay: Replay, request: Request) -> None:
    """Raises SuiteError where a file of tests is not what it was when they were planned."""
    then = replay.planned.files if replay.planned else {}
    now = place.digests(request.base, then)
    changed = [file for file, digest in then.items() if now.get(file) != digest]
    if changed:
        raise SuiteError(f"{replay.path}: changed since this run began: {few(changed)}")


def _attempts(replay: Replay, items: tuple[Item, ...]) -> dict[int, tuple[Attempt, ...]]:
    """Attempts by plan index; a loss that the runner has named stays one."""
    index = {item.key: number for number, item in enumerate(items)}
    found: dict[int, list[Attempt]] = {}
    for item, attempt, _ in replay.attempts():
        if item.key in index:
            found.setdefault(index[item.key], []).append(attempt)
    for key, said in replay.said().items():
        if said.outcome is Outcome.LOST and key in index:
            found.setdefault(index[key], []).append(Attempt(Outcome.LOST, reason=said.reason))
    return {number: tuple(attempts) for number, attempts in found.items()}


def _files(replay: Replay) -> Iterator[tuple[str, tuple[Attempt, ...]]]:
    """Files that gave no tests, with all their attempts."""
    found: dict[str, list[Attempt]] = {}
    for process in replay.processes():
        for file, attempt in process.record.broken.items():
            found.setdefault(file, []).append(attempt)
    told = {said.item.id: said for said in replay.said().values() if said.index is None}
    for file, attempts in found.items():
        if file in told and told[file].outcome is Outcome.FLAKY:
            attempts.append(Attempt(Outcome.PASSED))
        yield file, tuple(attempts)


def _problems(replay: Replay) -> Iterator[str]:
    for run in replay.runs:
        yield from run.problems
    for process in replay.processes():
        yield from process.record.problems if _counted(process) else ()


def _counted(process: Process) -> bool:
    """Whether how this process ended says something of the tests, not of the interruption."""
    return process.closed and not process.killed.startswith(("suite limit", "interrupted"))


def failed_from(request: Request, source: Path) -> Request:
    """The request for what failed according to a ledger, most often one of the CI."""
    replay = Replay(source)
    if not replay.runs:
        raise SuiteError(f"{source}: expected a ledger with a run, got an empty one")
    config = request.config
    if not config.paths:
        config = replace(config, paths=_paths(source))
    chosen, files = _failed(replay)
    request = replace(request, config=replace(config, k="", markers=""))
    if files:
        # What is in a broken file is known only once it is collected again.
        return replace(request, choose=lambda collection: _among(collection, chosen, files))
    planned = replay.planned
    whole, digest = (planned.whole, planned.hash) if planned else (0, "")
    origin = f"failed in {source}"
    return replace(request, given=Given(tuple(chosen), whole, digest, origin))


def _paths(source: Path) -> tuple[str, ...]:
    """The arguments with which the ledger's run collected, so that rootdir comes out the same."""
    start = next(event for event in ledger.read(source) if event["e"] == "run")
    return tuple(str(path) for path in start.get("paths", ()))


def _failed(replay: Replay) -> tuple[list[Item], set[str]]:
    """Items and files that ended badly, in the order of the plan."""
    said = replay.said()
    last = {item.key: attempt for item, attempt, _ in replay.attempts()}
    items = [
        item
        for item in (replay.planned.items if replay.planned else ())
        if _bad(said.get(item.key), last.get(item.key))
    ]
    files = {one.item.id for one in said.values() if one.index is None and _bad(one, None)}
    return items, files


def _bad(said: Said | None, last: Attempt | None) -> bool:
    """By the runner's verdict; by the last attempt where it died before it had one."""
    if said is not None:
        return not said.outcome.good and said.outcome is not Outcome.NOT_RUN
    return last is not None and not last.outcome.good


def _among(collection: Collection, chosen: list[Item], files: set[str]) -> Choice:
    """The chosen items, those that are gone included, and all of some files."""
    keys = {item.key for item in chosen}
    new = [i for i in collection.items if i.file in files and i.key not in keys]
    return Choice((*chosen, *new))
