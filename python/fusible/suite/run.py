"""The scheduler of one partition: plan, run, go on after a death, retry, stop, say what it was.

One thread, one loop. A worker is a lane with a queue of tests, and has at most one process, which
is given all that is left of the queue. When a process is gone, however it went, its record says
what it has done. Bad attempts are retried in processes of their own or become final; the rest
goes on in the next process. What a second process in a row leaves untouched is lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fusible.suite import collect, place, plan
from fusible.suite.book import Book, loss
from fusible.suite.crew import GONE, Crew, Signals, hired
from fusible.suite.ledger import Event
from fusible.suite.model import Collection, Item, SuiteError, Summary, Verdict
from fusible.suite.record import Record
from fusible.suite.request import Choice, Given, Observer, Request, plan_event
from fusible.suite.retry import Policy
from fusible.suite.session import Session
from fusible.suite.verdict import Ending, exit_status

__all__ = ["Observer", "Request", "Signals", "run"]

_BARREN = 2  # processes in a row that start nothing: the rest is lost then


def run(request: Request, observer: Observer, signals: Signals | None = None) -> Summary:
    """Runs a partition of a suite; raises SuiteError where it can't begin.

    Args:
        request: what to run.
        observer: hears of everything.
        signals: entered by the caller, who still has them while reports are written.
    """
    with hired(request, signals) as crew:
        return _Run(request, observer, crew).go()


@dataclass
class _Retry:
    """An item that runs once more, in a process of its own."""

    index: int
    why: str
    ready: float  # by the monotonic clock


@dataclass
class _Lane:
    """What is left to one worker."""

    worker: int
    queue: list[int] = field(default_factory=list)
    retries: list[_Retry] = field(default_factory=list)
    barren: int = 0

    @property
    def empty(self) -> bool:
        return not self.queue and not self.retries

    def next_retry(self) -> _Retry | None:
        """One whose back-off is over."""
        now = time.monotonic()
        found = next((retry for retry in self.retries if retry.ready <= now), None)
        if found is not None:
            self.retries.remove(found)
        return found


class _Run:
    def __init__(self, request: Request, observer: Observer, crew: Crew) -> None:
        self.request = request
        self.observer = observer
        self.crew = crew
        self.write = crew.ledger.write
        self.policy = Policy(request.config.retry)
        self.book = Book(request, observer, crew.ledger.write)
        self.lanes: list[_Lane] = []
        self.known: dict[str, list[str]] | None = None  # file -> ids of all its tests
        self.whole = 0
        self.hash = ""
        self.deselected = 0
        self.halt = ""  # why nothing new starts

    def go(self) -> Summary:
        """The whole run."""
        try:
            self._plan()
            self._work()
        except SuiteError:
            self.write({"e": "done", "exit": 2, "seconds": self._seconds()})
            raise
        return self._close()

    # What is planned.

    def _plan(self) -> None:
        given = self.request.given
        if given is None:
            self._collect_and_choose()
            return
        if given.broken:
            self._collect_broken(given)
        for problem in given.problems:
            self.book.problem(problem)
        for file, tries in given.files.items():
            self._stop_after(self.book.file(file, tries))
        self._planned(given.items, given)
        for index, attempts in given.attempts.items():
            self.book.add(index, attempts)
            self._judge(index)

    def _collect_and_choose(self) -> None:
        gathered = self._collector(self.request, self.request.collects_and_runs_at_once).gather()
        self._broken(gathered)
        if gathered.collection is None and self.crew.over:
            return  # interrupted before there was a plan: none must be written
        collection = gathered.collection or Collection(())
        choice = self._choose(collection)
        for problem in choice.problems:
            self.book.problem(problem)
        self.deselected = collection.deselected
        digest = plan.collection_hash(collection.items)
        known = None if self.request.config.narrowed else collection.items
        given = Given(choice.items, len(collection.items), digest, "collected", known)
        self._planned(choice.items, given, gathered.session)

    def _collector(self, request: Request, at_once: bool = False) -> collect.Collector:
        return collect.Collector(request, self.crew, self.policy, self._hear, at_once)

    def _choose(self, collection: Collection) -> Choice:
        request = self.request
        if request.choose is not None:
            return request.choose(collection)
        if request.parts == 1:
            return Choice(collection.items)
        made = plan.make(collection, request.durations, request.weigh_as, request.parts)
        return Choice(tuple(made.part(request.part)))

    def _collect_broken(self, given: Given) -> None:
        """Files that could not be collected when the plan was made: are they still broken?"""
        config = replace(self.request.config, paths=given.broken, k="", markers="")
        gathered = self._collector(replace(self.request, config=config)).gather()
        self._broken(gathered)
        known = set(given.items)
        for item in gathered.collection.items if gathered.collection else ():
            if item not in known:
                self.book.problem(f"{item} is not in the plan, which could not collect its file")

    def _broken(self, gathered: collect.Gathered) -> None:
        for problem in gathered.problems:
            self.book.problem(problem)
        for file, attempts in gathered.files.items():
            self._stop_after(self.book.file(file, attempts))

    def _planned(self, items: Sequence[Item], given: Given, session: Session | None = None) -> None:
        """The plan is known; `session` already runs all of it."""
        files = place.digests(self.request.base, dict.fromkeys(item.file for item in items))
        self.write(plan_event(items, given.hash, given.whole, given.origin, files))
        self.book.plan(items)
        self.whole, self.hash = given.whole, given.hash
        if given.known is not None:
            self.known = {}
            for item in given.known:
                self.known.setdefault(item.file, []).append(item.id)
            self.book.check_quarantine(self.known)
        left = [i for i in range(len(items)) if not given.attempts.get(i)]
        workers = self.request.config.workers
        self.lanes = [_Lane(worker) for worker in range(workers)]
        for index, worker in zip(left, self._workers(left), strict=True):
            self.lanes[worker].queue.append(index)
        self.observer.planned(items, min(workers, max(len(left), 1)))
        if session is not None:
            self.lanes[0].queue = []  # the process has it
            for index in session.record.attempts:
                self.book.finished(index, session.record)
            if session.done:  # it was so quick that the crew has dismissed it already
                self._settle(session.record)

    def _workers(self, left: Sequence[int]) -> Sequence[int]:
        """The worker of each index."""
        workers = self.request.config.workers
        if workers == 1 or not left:
            return [0] * len(left)
        items = [self.book.items[index] for index in left]
        weights = plan.weights(items, self.request.durations, self.request.weigh_as)
        return plan.assign(items, weights, workers).partition

    # What runs now.

    def _work(self) -> None:
        while True:
            if not self.halt and not self.crew.over:
                for lane in self.lanes:
                    if not self.crew.working(lane.worker):
                        self._start(lane)
            if not self.crew.busy and (self._stopped or all(lane.empty for lane in self.lanes)):
                return
            for session in self.crew.turn(self._hear):
                self._settle(session.record)

    @property
    def _stopped(self) -> bool:
        return bool(self.halt or self.crew.over)

    def _start(self, lane: _Lane) -> None:
        """The lane's next process. A retry goes first where its result decides whether to go on."""
        retry = None
        if not (self.request.continue_on_error and lane.queue):
            retry = lane.next_retry()
        if retry is not None:
            self._launch(lane, [retry.index], "retry", retry.why)
        elif lane.queue and (self.request.continue_on_error or not lane.retries):
            indices, lane.queue = lane.queue, []
            self._launch(lane, indices, "run")

    def _launch(self, lane: _Lane, indices: Sequence[int], purpose: str, why: str = "") -> None:
        items = [(index, self.book.items[index]) for index in indices]
        self.crew.start(
            purpose,
            collect.files_only(self.request.config.paths),
            items=items,
            known=self._known(dict.fromkeys(item.file for _, item in items)),
            worker=lane.worker,
            stop_on_failure=not self.request.continue_on_error,
            why=why,
            measured=self._measured(indices) if purpose == "retry" else (),
        )

    def _measured(self, indices: Sequence[int]) -> Sequence[str]:
        """The samples of earlier attempts that a re-measurement adds its own to."""
        attempts = [one for index in indices for one in self.book.attempts[index]]
        return [text for one in attempts for text in one.measured]

    def _known(self, files: dict[str, None]) -> list[str] | None:
        """The ids that these files are known to have."""
        if self.known is None or "" in files:  # the file of a foreign plan's items is not known
            return None
        return [name for file in files for name in self.known.get(file, ())]

    def _hear(self, session: Session, event: Event) -> None:
        """Live news of a process; what is bad is judged when the process is gone."""
        index = event.get("i")
        if index is None or index < 0 or "pid" in event or not self.book.items:
            return
        if event["e"] == "started":
            self.observer.started(index, self.book.items[index], session.record.worker)
        elif event["e"] == "finished":
            self.book.finished(index, session.record)

    # What is left after a process, what is retried, when to stop.

    def _settle(self, record: Record) -> None:
        collect.refuse_usage(record)
        lane = self.lanes[record.worker]
        for problem in record.problems:
            self.book.problem(problem)
        for file, attempt in record.broken.items():
            self._stop_after(self.book.file(file, [attempt]))
        fresh = {*self.book.take(record), *self.book.take_missing(record)}
        for index in sorted(fresh):
            self._judge(index)
        left = [i for i in record.left() if i not in fresh and i not in self.book.verdicts]
        lane.barren = 0 if fresh else lane.barren + 1
        if left and lane.barren >= _BARREN and not self._stopped:
            self._lose(left, record)
        else:
            lane.queue = left + lane.queue
        if left and not self._stopped and not record.ended:
            self.observer.note(f"{len(left)} tests go on in a fresh process")

    def _lose(self, left: Sequence[int], record: Record) -> None:
        why = f"{_BARREN} processes ended without starting it"
        if record.why or record.status is not None:
            why += f": {record.why or f'exit status {record.status}'}"
        for index in left:
            self.book.add(index, [loss(record, why)])
            self._judge(index)

    def _judge(self, index: int) -> None:
        """Retries an item or makes its verdict final."""
        if index in self.book.verdicts:
            return
        decision = self.book.decide(index, self.policy, self.crew.remaining())
        if decision.again and self._stopped:
            return  # the end says why there was no retry
        if decision.again:
            ready = time.monotonic() + decision.wait
            lane = self.lanes[self.book.attempts[index][-1].worker % len(self.lanes)]
            lane.retries.append(_Retry(index, decision.why, ready))
            if decision.why:  # a test that is repeated on purpose has none
                self.observer.note(f"retry of {self.book.items[index]}: {decision.why}")
        else:
            self._stop_after(self.book.close(index, decision.why))

    def _stop_after(self, verdict: Verdict) -> None:
        """Starts nothing new after the first final failure, unless told to go on."""
        bad = not verdict.outcome.good and not verdict.quarantined
        if bad and not self.request.continue_on_error and not self.halt:
            self.halt = f"not started after {verdict.item}: {verdict.outcome.value}"
            self.crew.start_nothing_more()

    # The end.

    def _seconds(self) -> float:
        return round(time.monotonic() - self.crew.began, 3)

    def _close(self) -> Summary:
        over = self.crew.over
        limit = self.request.config.timeout.suite
        if over == "suite limit":
            self.book.problem(f"the suite's limit of {limit:g} s was reached")
        if over == GONE:
            self.book.problem(f"{over}: {self.request.ledger} was removed or replaced by a test")
        self.book.close_rest("" if over == GONE else over or self.halt)
        verdicts = self.book.all_verdicts()
        ending = Ending(
            self.whole,
            self.request.config.allow_empty,
            self.request.fail_on_flaky,
            self.crew.signals.number,
        )
        status = exit_status(verdicts, self.book.problems, ending)
        seconds = self._seconds()
        for event in self.book.events():
            self.write(event)
        self.write({"e": "done", "exit": status, "seconds": seconds})
        config, request = self.request.config, self.request
        summary = Summary(
            verdicts,
            tuple(self.book.problems),
            status,
            seconds,
            config.name,
            request.part,
            request.parts,
            self.hash,
            self.deselected,
        )
        self.observer.closed(summary)
        return summary
