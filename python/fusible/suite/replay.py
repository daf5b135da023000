"""A ledger read back: the runs of one partition, as merge, explain and durations see them.

A resumed or requeued partition appends to its ledger, so one file holds several runs, the latest
last. Everything here is judged anew from what the tests' processes wrote; the runner's verdicts
are kept beside it, so that the two can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fusible.suite import document, ledger
from fusible.suite.ledger import Event
from fusible.suite.model import Attempt, Item, Outcome, SuiteError
from fusible.suite.plan import collection_hash
from fusible.suite.record import Record

Key = tuple[str, int]


@dataclass(frozen=True)
class Planned:
    """The runner's event "plan": the items of this partition, and whose part they are."""

    items: tuple[Item, ...]
    hash: str
    whole: int
    origin: str
    files: Mapping[str, str] = field(default_factory=dict)  # digests of what stood in them


@dataclass(frozen=True)
class Said:
    """The runner's verdict on an item or, with `index` None, on a file."""

    item: Item
    index: int | None
    outcome: Outcome
    reason: str
    quarantined: str


@dataclass
class Process:
    """One process of tests; `closed` once the runner wrote how it ended."""

    record: Record
    purpose: str
    why: str = ""  # the runner's reason to start it, where it is no plain one
    killed: str = ""
    closed: bool = False
    imports: dict[str, float] = field(default_factory=dict)


@dataclass
class Run:
    """From one start of the runner to its end, or to its death."""

    suite: str
    part: int
    parts: int
    commit: str
    machine: str
    time: float
    paths: tuple[str, ...] = ()
    k: str = ""
    markers: str = ""
    changes: str = ""
    told: Planned | None = None
    processes: list[Process] = field(default_factory=list)
    said: dict[Key, Said] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    exit: int | None = None
    seconds: float = 0.0

    @property
    def planned(self) -> Planned | None:
        """The plan; not the empty one of a run that was cut off before it had collected."""
        cut_off = self.exit not in (0, 1, 5)
        return None if self.told and not self.told.whole and cut_off else self.told

    @property
    def items(self) -> tuple[Item, ...]:
        """What indices in this run mean; a runner killed early leaves only the tests' word."""
        if self.planned is not None:
            return self.planned.items
        collections = (process.record.collection for process in self.processes)
        return next((found.items for found in collections if found is not None), ())


class Replay:
    """All runs of one ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: list[Run] = []
        self._open: dict[int, Process] = {}
        for number, event in enumerate(ledger.read(path), 1):
            try:
                self._feed(event, number)
            except (LookupError, TypeError, AttributeError) as error:
                where, what = self._place(event, number), f"{type(error).__name__} {error}"
                raise SuiteError(f"{where}: expected a whole event, got {what}") from error

    @property
    def last(self) -> Run:
        """The latest run; only of a ledger that has one."""
        return self.runs[-1]

    @property
    def planned(self) -> Planned | None:
        """The plan of the latest run that has one."""
        told = next((run.planned for run in reversed(self.runs) if run.planned), None)
        if told is None and self.last.parts == 1 and self.last.items:
            # The runner died before it wrote the plan; one partition's is what was collected.
            items = self.last.items
            return Planned(items, collection_hash(items), len(items), "collected")
        return told

    def attempts(self) -> Iterator[tuple[Item, Attempt, Process]]:
        """Every finished or charged attempt in order; those of a bisection are experiments."""
        for run in self.runs:
            items = run.items
            for process in run.processes:
                if process.purpose == "bisect":
                    continue
                for index, attempts in process.record.attempts.items():
                    if 0 <= index < len(items):
                        yield from ((items[index], attempt, process) for attempt in attempts)

    def said(self) -> dict[Key, Said]:
        """The latest verdict of the runner on each item and file."""
        return {key: said for run in self.runs for key, said in run.said.items()}

    def processes(self) -> Iterator[Process]:
        """All processes of tests, in order."""
        for run in self.runs:
            yield from run.processes

    def _place(self, event: Event, number: int) -> str:
        return f"{self.path}: event {number} ({event['e']})"

    def _feed(self, event: Event, number: int) -> None:
        kind = event["e"]
        # Most events are of the tests' processes: they take no detour through checked values.
        opened = self._open.get(event.get("s", -1))
        if kind == "run":
            self.runs.append(_run(document.Value(self._place(event, number), event)))
        elif not self.runs:
            if kind != "torn":
                raise SuiteError(f"{self._place(event, number)}: expected a run first")
        elif kind in _RUNNER:
            _RUNNER[kind](self.last, document.Value(self._place(event, number), event))
        elif kind == "session":
            self._begin(document.Value(self._place(event, number), event))
        elif opened is not None:
            _feed_process(opened, event)
        elif kind != "torn" or "s" in event:
            got = event.get("s")
            place = self._place(event, number)
            raise SuiteError(f"{place}: expected a session that was begun, got {got}")

    def _begin(self, event: document.Value) -> None:
        number, value = event["s"].count(), event.value
        record = Record(
            number, int(value.get("worker") or 0), output=str(value.get("output") or "")
        )
        process = Process(record, event["purpose"].text(), str(value.get("why") or ""))
        self._open[number] = process
        self.last.processes.append(process)


def _feed_process(process: Process, event: Event) -> None:
    kind = event["e"]
    if kind == "killed":
        process.killed = event["why"]
        process.record.feed(event)  # what the process writes after it does not count
    elif kind == "exited":
        signal, tail = event.get("signal") or None, event.get("tail") or ""
        process.record.close(event.get("status"), signal, process.killed, tail)
        process.closed = True
    else:
        if kind == "filed":
            process.imports[event["f"]] = max(0.0, float(event["d"]))
        process.record.feed(event)


def _run(event: document.Value) -> Run:
    if event["version"].count() != 1:
        raise SuiteError(f"{event.where}: expected version 1, got {event['version'].value}")
    settings = event.value.get("settings") or {}
    return Run(
        event["suite"].text(),
        event["part"].count(),
        event["parts"].count(least=1),
        str(event.value.get("commit") or ""),
        str(event.value.get("machine") or ""),
        float(event.value.get("time") or 0),
        tuple(map(str, event.value.get("paths") or ())),
        str(settings.get("k") or ""),
        str(settings.get("markers") or ""),
        str(event.value.get("changes") or ""),
    )


def _planned(run: Run, event: document.Value) -> None:
    rows = (list(row.items()) for row in event["items"].items())
    items = tuple(Item(one.text(), two.count(), three.text()) for one, two, three in rows)
    origin = event["origin"].text()
    files = {str(file): str(digest) for file, digest in (event.value.get("files") or {}).items()}
    run.told = Planned(items, event["hash"].text(), event["whole"].count(), origin, files)


def _verdict(run: Run, event: document.Value) -> None:
    index = None if event["i"].value is None else event["i"].count()
    item = Item(event["id"].text(), event["occurrence"].count())
    if index is None:
        item = Item(item.id, file=item.id)
    elif index < len(run.items):
        item = run.items[index]
    try:
        outcome = Outcome(event["outcome"].text())
    except ValueError as error:
        raise SuiteError(f"{event.where}: {error}") from None
    reason, quarantined = (str(event.value.get(key) or "") for key in ("reason", "quarantined"))
    run.said[item.key] = Said(item, index, outcome, reason, quarantined)


def _problem(run: Run, event: document.Value) -> None:
    run.problems.append(event["text"].text())


def _done(run: Run, event: document.Value) -> None:
    run.exit = event["exit"].count()
    run.seconds = event["seconds"].seconds()


_RUNNER = {"plan": _planned, "verdict": _verdict, "problem": _problem, "done": _done}
