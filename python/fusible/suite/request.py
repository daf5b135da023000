"""What a run is asked to do, and who hears of it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fusible.suite.config import SuiteConfig
from fusible.suite.durations import Durations
from fusible.suite.ledger import Event
from fusible.suite.model import Attempt, Collection, Item, Summary, Verdict


class Observer(Protocol):
    """Hears of a run while it goes on. What it raises ends the run."""

    def planned(self, items: Sequence[Item], sessions: int) -> None:
        """What will run, and in how many processes at a time."""

    def started(self, index: int, item: Item, worker: int) -> None:
        """A test begins; `index` is its place in the plan."""

    def finished(self, verdict: Verdict) -> None:
        """The last word on a test or on a broken file; once each."""

    def note(self, text: str) -> None:
        """Something a reader of the log should know: a retry, a process that died."""

    def closed(self, summary: Summary) -> None:
        """The end."""


@dataclass(frozen=True)
class Given:
    """A plan that is known without collecting: of a plan file, or of an earlier ledger.

    Attributes:
        items: what this partition runs.
        whole: number of items in the whole suite.
        hash: of the whole collection.
        origin: where it comes from, for the ledger.
        known: the whole collection, if it has every test of its files: what is collected beside
            it is new, and must not be passed over in silence. None where nobody knows.
        broken: files that could not be collected when it was made; they are tried again.
        attempts: plan index -> what earlier runs of the same ledger have found.
        files: file that gave no tests -> what those runs have found of it.
        problems: of those runs.
    """

    items: tuple[Item, ...]
    whole: int
    hash: str
    origin: str
    known: tuple[Item, ...] | None = None
    broken: tuple[str, ...] = ()
    attempts: Mapping[int, Sequence[Attempt]] = field(default_factory=dict)
    files: Mapping[str, Sequence[Attempt]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What of a collection this run takes.

    Attributes:
        items: in the order of the collection; one that was not collected is lost.
        problems: a sentence for each wish that nothing fulfils.
    """

    items: tuple[Item, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """One run of one partition.

    Attributes:
        config: the suite, with the command line's options in place of its own values.
        base: the folder in which pytest runs.
        folder: where the files of this run go.
        ledger: the ledger's path; appended to where `given` comes from it.
        part, parts: which partition of how many.
        python: the tests' interpreter.
        continue_on_error: go on after a final failure.
        fail_on_flaky: exit 4 where tests are only flaky.
        repeat: runs of each item, a process each; for hunting a flake.
        given: the plan, if it is known.
        first_session: how many sessions the ledger has already.
        choose: what to take of the collection; None takes the partition that durations give.
        durations: for weights; given explicitly, never found.
        machine: the class of this machine, for recorded durations.
        weigh_as: the class whose durations weigh; None takes all together.
        commit: of the checkout; None where there is none.
        changes: a digest of how its files differ from it; empty where none does.
        today: for the ends of quarantines.
    """

    config: SuiteConfig
    base: Path
    folder: Path
    ledger: Path
    part: int = 0
    parts: int = 1
    python: str = "python3"
    continue_on_error: bool = False
    fail_on_flaky: bool = False
    repeat: int = 0
    given: Given | None = None
    first_session: int = 0
    choose: Callable[[Collection], Choice] | None = None
    durations: Durations | None = None
    machine: str = ""
    weigh_as: str | None = None
    commit: str | None = None
    changes: str = ""
    today: datetime.date = field(default_factory=datetime.date.today)

    @property
    def collects_and_runs_at_once(self) -> bool:
        """Whether one process can do both: it alone runs everything that it collects.

        A file that fails to be collected may be tried again only before other files' tests run,
        which a process that goes on in spite of errors does not wait for.
        """
        alone = self.parts == 1 and self.config.workers == 1
        simple = self.given is None and self.choose is None and not self.repeat
        return alone and simple and not (self.continue_on_error and self.config.retry.has_files)


def opening(request: Request) -> Event:
    """The first event of a run."""
    config = request.config
    settings = {
        "k": config.k,
        "markers": config.markers,
        "workers": config.workers,
        "retries": config.retry.times,
        "continue_on_error": request.continue_on_error,
        "python": request.python,
    }
    start: Event = {"e": "run", "version": 1, "suite": config.name}
    start |= {"part": request.part, "parts": request.parts}
    start |= {"commit": request.commit, "changes": request.changes, "machine": request.machine}
    start |= {"paths": list(config.paths), "settings": settings}
    return {**start, "base": str(request.base), "time": time.time()}


def plan_event(
    items: Sequence[Item], digest: str, whole: int, origin: str, files: Mapping[str, str]
) -> Event:
    """Says what indices mean from now on; `files`: digests of what stands in the items' files."""
    rows = [[item.id, item.occurrence, item.file] for item in items]
    event: Event = {"e": "plan", "items": rows, "hash": digest, "whole": whole}
    return {**event, "origin": origin, "files": files}
