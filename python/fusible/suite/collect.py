"""From a suite's paths to a collection, in a child process; a file that kills it is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from fusible.suite.config import SuiteConfig
from fusible.suite.crew import Crew, hired
from fusible.suite.ledger import Event
from fusible.suite.model import Attempt, Collection, Outcome, SuiteError
from fusible.suite.record import Record
from fusible.suite.request import Request
from fusible.suite.retry import Policy
from fusible.suite.session import Session

_USAGE = 4  # pytest's exit status for wrong arguments, and for a conftest that raises
_SHOWN = 4096  # bytes at the end of pytest's output, where its complaint stands

Heard = Callable[[Session, Event], None]


@dataclass
class Gathered:
    """What collecting came to.

    Attributes:
        collection: None where there is none to be had: `files` or `problems` say why.
        session: the process that runs what it collected, where one does both; it may have ended.
        files: broken (or skipped) file -> its attempts, the last one passed where a retry helped.
    """

    collection: Collection | None = None
    session: Session | None = None
    files: dict[str, list[Attempt]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def arguments(config: SuiteConfig) -> list[str]:
    """What pytest gets to collect a suite."""
    options = ["-k", config.k] if config.k else []
    options += ["-m", config.markers] if config.markers else []
    return [*config.paths, *options]


def files_only(paths: tuple[str, ...]) -> list[str]:
    """Arguments without the parts behind `::`: which tests run is said by an id file instead.

    What is given twice pytest may collect twice, as occurrences: it stays. Of ids a file comes as
    often as the same one is given.
    """
    arguments: list[str] = []
    counts: Counter[str] = Counter()
    for path in paths:
        file, separator, _ = path.partition("::")
        counts[path] += 1
        if not separator or counts[path] > counts[f"{file}::"]:
            counts[f"{file}::"] += bool(separator)
            arguments.append(file)
    return arguments


class Collector:
    """Collects until it has a collection or knows that there is none.

    Attributes:
        at_once: the process that has collected goes on to run everything.
    """

    def __init__(
        self,
        request: Request,
        crew: Crew,
        policy: Policy,
        heard: Heard,
        at_once: bool = False,
    ) -> None:
        self.request = request
        self.at_once = at_once
        self.crew = crew
        self.policy = policy
        self.heard = heard
        self.gathered = Gathered()
        self._without: list[str] = []  # files that end the process that imports them

    def gather(self) -> Gathered:
        """Raises SuiteError where pytest refuses its arguments."""
        while not self.crew.over and self._again(self._collect()):
            pass
        return self.gathered

    def _collect(self) -> Session:
        """One process, until it has collected or is gone."""
        # After a death without --continue-on-error the rest is collected to be named, not to run.
        stopped = bool(self._without) and not self.request.continue_on_error
        at_once = self.at_once and not stopped
        session = self.crew.start(
            "run" if at_once else "collect",
            arguments(self.request.config),
            stop_on_failure=not self.request.continue_on_error,
            without=self._without,
        )
        # With nothing collected the reason is still to come: it may be a wrong argument.
        while not (session.done or (at_once and _has_items(session.record))):
            self.crew.turn(self.heard)
        return session

    def _again(self, session: Session) -> bool:
        """Takes in what a process has found; whether another one has to try."""
        record = session.record
        if session.done:
            refuse_usage(record)
        if self._note(record):
            self._finish(session)
            return True
        if record.collection is not None:
            self._accept(session)
            return False
        self.gathered.problems += record.problems
        # One that dies again although it is left out is a conftest: nothing can be collected there.
        broken = record.broken.items()
        dead = [file for file, one in broken if one.outcome.alarming and file not in self._without]
        self._without += dead
        if not dead:
            self._explain(record)
        return bool(dead)

    def _accept(self, session: Session) -> None:
        """Takes the collection; a process that runs it too, even if it has ended, is handed on."""
        self.gathered.collection = session.record.collection
        if session.launch.purpose == "run":
            self.gathered.session = session
        else:
            self.gathered.problems += session.record.problems

    def _note(self, record: Record) -> bool:
        """Writes down how files fared; whether one that failed may try once more."""
        waits = []
        for file, attempt in record.broken.items():
            tries = self.gathered.files.setdefault(file, [])
            if tries and tries[-1].outcome.good:
                continue
            tries.append(attempt)
            if not attempt.outcome.good:
                decision = self.policy.decide(tries, self.crew.remaining())
                waits += [decision.wait] if decision.again else []
        if record.collection is not None:
            self._recovered(record)
        if waits:
            self.crew.pause(max(waits), self.heard)
        return bool(waits)

    def _recovered(self, record: Record) -> None:
        for file, tries in self.gathered.files.items():
            mended = file not in record.broken and file not in self._without
            if mended and not tries[-1].outcome.good:
                tries.append(Attempt(Outcome.PASSED, session=record.number))

    def _finish(self, session: Session) -> None:
        """Waits for a process that stops by itself because of a broken file."""
        while not session.done:
            self.crew.turn(self.heard)
        self.gathered.problems += session.record.problems

    def _explain(self, record: Record) -> None:
        """A process that is gone without a collection; a broken conftest is explanation enough."""
        told = record.problems or any(not one.outcome.good for one in record.broken.values())
        if not told and not self.crew.over:
            why = record.why or f"exit status {record.status}"
            self.gathered.problems.append(
                f"session {record.number} ended before it had collected: {why}"
            )


def _has_items(record: Record) -> bool:
    return record.collection is not None and bool(record.collection.items)


def collect(request: Request) -> Collection:
    """The collection of a suite; raises SuiteError if there is none to be had."""
    with hired(request) as crew:
        return collected(request, crew)


def collected(request: Request, crew: Crew) -> Collection:
    """The same by a crew that goes on to other work."""
    policy = Policy(replace(request.config.retry, times=0))
    gathered = Collector(request, crew, policy, lambda session, event: None).gather()
    last = {file: tries[-1] for file, tries in gathered.files.items()}
    broken = {file: attempt for file, attempt in last.items() if not attempt.outcome.good}
    if gathered.collection is None:
        reasons = [f"{file}: {attempt.reason}" for file, attempt in broken.items()]
        found = "; ".join([*gathered.problems, *reasons]) or crew.over or "nothing"
        raise SuiteError(f"expected a collection of tests, got: {found}")
    return replace(gathered.collection, broken=broken)


def refuse_usage(record: Record) -> None:
    """Raises SuiteError where the plugin or pytest, in its own words, refused to begin."""
    if record.refused:
        raise SuiteError(record.refused)
    if record.status != _USAGE or record.broken or record.attempts:
        return
    raise SuiteError(f"pytest: {_complaint(Path(record.output))}")


def _complaint(output: Path) -> str:
    """The lines in which pytest says what is wrong, or else its last line."""
    try:
        text = output.read_bytes()[-_SHOWN:].decode("utf-8", "replace")
    except OSError as error:
        return f"wrong arguments ({error})"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # argparse puts the usage before what is wrong: "python -m pytest: error: …".
    errors = [line for line in lines if ": error: " in line]
    errors = errors or [line for line in lines if line.startswith("ERROR: ")]
    return "; ".join(line.removeprefix("ERROR: ") for line in errors or lines[-1:])
