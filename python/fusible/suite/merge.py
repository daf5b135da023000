"""The proof over all partitions: what was planned is what was executed, each test exactly once."""

from __future__ import annotations

import importlib
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusible.suite import verdict as verdicts
from fusible.suite.durations import Durations, Machine
from fusible.suite.model import Attempt, Item, Outcome, SuiteError, Summary, Verdict
from fusible.suite.plan import Plan, collection_hash
from fusible.suite.replay import Key, Replay, Said
from fusible.suite.report import summary_json


@dataclass(frozen=True)
class MergeResult:
    """What all partitions together came to.

    Attributes:
        summary: verdicts over all partitions, in the order of partitions; `exit` is 0, 1 (tests
            failed, or something is missing), 4 or 5.
        doubled: ids that were planned or executed more than once.
        unplanned: ids that were collected or ran though no partition had planned them.
        absent: partitions of which no ledger was given.
    """

    summary: Summary
    commit: str = ""
    doubled: tuple[str, ...] = ()
    unplanned: tuple[str, ...] = ()
    absent: tuple[int, ...] = ()

    @property
    def exit(self) -> int:
        """The exit status of the command."""
        return self.summary.exit

    @property
    def problems(self) -> Sequence[str]:
        """A sentence for everything that is wrong beyond failed tests."""
        return self.summary.problems

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """One for each planned item and each broken file."""
        return self.summary.verdicts

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`: that of a run, and what only a merge can know."""
        return {
            **summary_json(self.summary),
            "suite": self.summary.suite,
            "parts": self.summary.parts,
            "hash": self.summary.hash,
            "commit": self.commit,
            "doubled": list(self.doubled),
            "unplanned": list(self.unplanned),
            "absent": list(self.absent),
        }

    def lines(self) -> list[str]:
        """For people: every missing or doubled test by name, then the sentence that counts."""
        lines = list(self.problems)
        for outcome in (Outcome.LOST, Outcome.NOT_RUN):
            lines += [f"{outcome.value}: {one.item}: {one.reason}" for one in self._of(outcome)]
        lines += [f"doubled: {name}" for name in self.doubled]
        lines += [f"unplanned: {name}" for name in self.unplanned]
        return [*lines, self._conclusion()]

    def _of(self, outcome: Outcome) -> list[Verdict]:
        return [one for one in self.verdicts if one.outcome is outcome]

    def _conclusion(self) -> str:
        counts = Counter(one.outcome.value for one in self.verdicts)
        told = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
        missing = self._of(Outcome.LOST) or self._of(Outcome.NOT_RUN) or self.absent
        broken = missing or self.doubled or self.unplanned or self.problems
        proof = "NOT proven: planned == executed" if broken else "proven: planned == executed"
        return f"{proof}, {self.summary.parts} partitions, {told or 'no tests'}"


def merge(paths: Sequence[Path], plan: Plan | None = None) -> MergeResult:
    """Proves what the ledgers of all partitions say; refuses ledgers that don't belong together.

    A ledger that isn't there or is empty (its job never began) is a partition that is missing,
    not an error. `plan` names the tests of missing partitions if no ledger can.
    """
    found = [path for path in paths if path.exists()]
    replays = [replay for replay in map(Replay, found) if replay.runs]
    if not replays:
        raise SuiteError(f"merge: expected a ledger with a run, got {_names(paths) or 'none'}")
    _refuse_mixture(replays, plan)
    return _Merger(paths, replays, plan).result()


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(str(path) for path in paths)


def _refuse_mixture(replays: Sequence[Replay], plan: Plan | None) -> None:
    """All runs must be of one suite, commit, collection and number of partitions."""
    runs = [(str(replay.path), run) for replay in replays for run in replay.runs]
    hashes = [("the plan", plan.hash)] if plan else []
    hashes += [(path, run.planned.hash) for path, run in runs if run.planned]
    _refuse_others("suite", [(path, run.suite) for path, run in runs])
    _refuse_others("number of partitions", [(path, str(run.parts)) for path, run in runs])
    _refuse_others("commit", [(path, run.commit or "none") for path, run in runs])
    if plan and plan.commit:
        known = [(path, run.commit) for path, run in runs if run.commit]
        _refuse_others("commit", [("the plan", plan.commit), *known])
    _refuse_others("hash of the collection", hashes)
    for replay in replays:
        parts = {run.part for run in replay.runs}
        plans = {run.planned.items for run in replay.runs if run.planned}
        if len(parts) > 1 or len(plans) > 1:
            raise SuiteError(f"{replay.path}: expected runs of one partition with one plan")
        if replay.last.part >= replay.last.parts:
            raise SuiteError(f"{replay.path}: expected a partition below {replay.last.parts}")


def _refuse_others(what: str, values: Sequence[tuple[str, str]]) -> None:
    for path, value in values:
        first, wanted = values[0]
        if value != wanted:
            raise SuiteError(f"{path}: {what}: expected {wanted!r} as {first}, got {value!r}")


@dataclass
class _Merger:
    paths: Sequence[Path]
    replays: Sequence[Replay]
    plan: Plan | None
    problems: list[str] = field(default_factory=list)
    unplanned: list[str] = field(default_factory=list)

    def result(self) -> MergeResult:
        self._note_missing_files()
        absent = self._absent()
        judged = [one for replay in self.replays for one in self._partition(replay)]
        judged += self._lost_with(absent)
        judged += _broken(self.replays)
        doubled = self._doubled()
        unplanned = tuple(dict.fromkeys(self.unplanned))
        summary = self._summary(judged, bool(self.problems or absent or doubled or unplanned))
        return MergeResult(summary, self.replays[0].last.commit, doubled, unplanned, absent)

    def _note_missing_files(self) -> None:
        begun = {replay.path for replay in self.replays}
        for path in dict.fromkeys(self.paths):
            if path not in begun:
                self.problems.append(f"{path}: no run has begun there")

    def _absent(self) -> tuple[int, ...]:
        """Partitions without a ledger; two ledgers of one partition are a problem too."""
        count = Counter(replay.last.part for replay in self.replays)
        for part, number in sorted(count.items()):
            if number > 1:
                paths = _names(one.path for one in self.replays if one.last.part == part)
                self.problems.append(f"partition {part} ran {number} times: {paths}")
        absent = tuple(part for part in range(self.replays[0].last.parts) if part not in count)
        self.problems += [f"partition {part}: there is no ledger of it" for part in absent]
        return absent

    def _partition(self, replay: Replay) -> list[Verdict]:
        part = f"partition {replay.last.part}"
        if replay.planned is None:
            self.problems.append(f"{part}: {replay.path} has no plan: it ended too early")
        judged, problems = _judged(replay)
        problems += _ends(replay, judged)
        for process in replay.processes():
            self.unplanned += process.record.unplanned
            problems += [f"a forked child reported {name}" for name in process.record.forked]
        self.problems += [f"{part}: {problem}" for problem in dict.fromkeys(problems)]
        return judged

    def _doubled(self) -> tuple[str, ...]:
        """Planned in several ledgers, or executed by several processes that were no retries."""
        planned = Counter(i for one in self.replays for i in _items(one))
        executed: Counter[Item] = Counter()
        for replay in self.replays:
            runs = {
                (item, attempt.session)
                for item, attempt, process in replay.attempts()
                if process.purpose == "run"
            }
            executed.update(item for item, _ in runs)
        return tuple(str(item) for item in planned if max(planned[item], executed[item]) > 1)

    def _lost_with(self, absent: tuple[int, ...]) -> Iterator[Verdict]:
        """The items that no ledger has planned, by name if anything here knows their names."""
        planned = {item.key for replay in self.replays for item in _items(replay)}
        whole = max((one.planned.whole for one in self.replays if one.planned), default=0)
        if len(planned) >= whole:
            self._check_hash(planned)
            return
        missing = [item for item in self._everything() if item.key not in planned]
        if not missing:
            number = whole - len(planned)
            self.problems.append(f"{number} tests of the collection are in no ledger given")
        for item in missing:
            part = self._part_of(item)
            where = "" if part is None else f" (partition {part})"
            yield Verdict(item, Outcome.LOST, reason=f"planned, but in no ledger given{where}")

    def _part_of(self, item: Item) -> int | None:
        parts = dict(zip(self.plan.items, self.plan.partition, strict=True)) if self.plan else {}
        return parts.get(item)

    def _check_hash(self, planned: set[Key]) -> None:
        hashes = {one.planned.hash for one in self.replays if one.planned}
        digest = collection_hash(Item(name, occurrence) for name, occurrence in planned)
        if hashes and hashes != {digest}:
            self.problems.append(
                f"the partitions together have the hash {digest}, their collection {hashes.pop()}"
            )

    def _everything(self) -> Sequence[Item]:
        """The whole collection: of the plan, or of a process that has collected it all."""
        if self.plan is not None:
            return self.plan.items
        hashes = {one.planned.hash for one in self.replays if one.planned}
        for replay in self.replays:
            for process in replay.processes():
                collection = process.record.collection
                if collection is not None and collection.hash in hashes:
                    return collection.items
        return ()

    def _summary(self, judged: Sequence[Verdict], wrong: bool) -> Summary:
        last = self.replays[0].last
        planned = next((one.planned for one in self.replays if one.planned), None)
        return Summary(
            judged,
            self.problems,
            _exit(judged, wrong, {replay.last.exit for replay in self.replays}),
            max(sum(run.seconds for run in replay.runs) for replay in self.replays),
            last.suite,
            parts=last.parts,
            hash=planned.hash if planned else "",
        )


def _items(replay: Replay) -> tuple[Item, ...]:
    return replay.planned.items if replay.planned else ()


def _judged(replay: Replay) -> tuple[list[Verdict], list[str]]:
    """The verdicts on a partition's items, and where the runner said what its ledger denies."""
    attempts: dict[Key, list[Attempt]] = {}
    for item, attempt, _ in replay.attempts():
        attempts.setdefault(item.key, []).append(attempt)
    said = replay.said()
    judged = [_judge(i, attempts.get(i.key, []), said.get(i.key)) for i in _items(replay)]
    denied = [
        f"{one.item}: the runner said {said[one.item.key].outcome.value}, its ledger does not"
        for one in judged
        if one.item.key in said and said[one.item.key].outcome.good and not one.outcome.good
    ]
    return judged, denied


def _judge(item: Item, attempts: Sequence[Attempt], said: Said | None) -> Verdict:
    """The runner is believed where it says something bad; what is good must stand in attempts."""
    proven = verdicts.judge(item, attempts, said.quarantined if said else "")
    if said is None or said.outcome.good:
        return proven
    if said.outcome is Outcome.NOT_RUN and proven.outcome.good:
        return proven  # said by a run that was interrupted; a later one has run it
    return Verdict(item, said.outcome, tuple(attempts), said.reason, said.quarantined)


def _ends(replay: Replay, judged: Sequence[Verdict]) -> list[str]:
    """What is wrong with how a ledger ends; runs before the last may have been cut off."""
    problems = [problem for run in replay.runs for problem in run.problems]
    status = replay.last.exit
    if status is None:
        # The runner judges how a process ended only after that; it had no time to.
        closed = [process for process in replay.last.processes if process.closed]
        found = [problem for process in closed for problem in process.record.problems]
        return [*problems, *found, f"{replay.path}: its runner died before its end"]
    if status in (130, 143):
        problems.append(f"{replay.path}: it was interrupted (exit status {status})")
    elif status not in (0, 4, 5) and not problems and all(map(_fine, judged)):
        broken = any(said.index is None for said in replay.said().values())
        if not broken:
            problems.append(f"{replay.path}: exit status {status}, but nothing in it says why")
    return problems


def _fine(verdict: Verdict) -> bool:
    return verdict.outcome.good or bool(verdict.quarantined)


def _broken(replays: Sequence[Replay]) -> list[Verdict]:
    """Files that can't be collected: every partition that imports one says so, once is enough."""
    found: dict[Key, Verdict] = {}
    for replay in replays:
        for verdict in _broken_of(replay):
            before = found.get(verdict.item.key)
            if before is None or before.outcome.good:
                found[verdict.item.key] = verdict
    return list(found.values())


def _broken_of(replay: Replay) -> Iterator[Verdict]:
    attempts: dict[str, list[Attempt]] = {}
    for process in replay.processes():
        for file, attempt in process.record.broken.items():
            attempts.setdefault(file, []).append(attempt)
    told = {one.item.id: one for one in replay.said().values() if one.index is None}
    for file, one in told.items():
        tries = tuple(attempts.get(file, ()))
        yield Verdict(one.item, one.outcome, tries, one.reason, one.quarantined)
    if replay.last.exit is None:
        for file in attempts.keys() - told.keys():
            yield verdicts.judge(Item(file, file=file), attempts[file])


def _exit(judged: Sequence[Verdict], wrong: bool, exits: set[int | None]) -> int:
    """That of a run, but 1 for everything that is missing or failed."""
    ending = verdicts.Ending(
        whole=len(judged), allow_empty=5 not in exits, fail_on_flaky=4 in exits
    )
    status = verdicts.exit_status(judged, ["something is wrong"] if wrong else [], ending)
    return 1 if status == 3 else status


def merge_durations(old: Durations, paths: Sequence[Path]) -> Durations:
    """With the times of these ledgers added, oldest first, by their class of machine.

    A failed test ended early or late: only good attempts count, skips too, which are quick on
    every machine of their class. Give each ledger once: every call adds its values.
    """
    replays = [replay for replay in map(Replay, paths) if replay.runs]
    classes: dict[str, list[Replay]] = {}
    for replay in sorted(replays, key=lambda one: (one.last.time, one.last.part)):
        classes.setdefault(replay.last.machine or "unknown", []).append(replay)
    for machine, own in classes.items():
        old = old.add(machine, _measured(own))
    return old


def _measured(replays: Iterable[Replay]) -> Machine:
    tests: dict[str, list[float]] = {}
    files: dict[str, list[float]] = {}
    for replay in replays:
        for item, attempt, _ in replay.attempts():
            if attempt.outcome.good and not item.occurrence:
                tests.setdefault(item.id, []).append(attempt.seconds)
        for process in replay.processes():
            for file, seconds in process.imports.items():
                files.setdefault(file, []).append(seconds)
    # Every partition imports every file to collect it: one value of a run, not one a partition.
    return Machine(tests, {file: [statistics.median(times)] for file, times in files.items()})


def merge_coverage(files: Sequence[Path], into: Path) -> None:
    """Combines coverage.py's data files into one, and keeps them."""
    try:
        coverage = importlib.import_module("coverage")
    except ModuleNotFoundError:
        raise SuiteError("merging coverage data needs the package coverage") from None
    for file in files:
        if not file.exists():
            raise SuiteError(f"{file}: expected a file of coverage data, got none")
    into.parent.mkdir(parents=True, exist_ok=True)
    combined = coverage.Coverage(data_file=str(into))
    try:
        combined.combine([str(file) for file in files], strict=True, keep=True)
    except coverage.CoverageException as error:
        raise SuiteError(f"{_names(files)}: expected coverage data, got: {error}") from None
    combined.save()
