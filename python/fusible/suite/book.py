"""What is known of every planned item and every broken file: attempts, then one verdict each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from fusible.suite.ledger import Event
from fusible.suite.model import Attempt, Item, Outcome, Verdict
from fusible.suite.record import Record
from fusible.suite.request import Observer, Request
from fusible.suite.retry import Decision, Policy
from fusible.suite.verdict import judge, judge_repeated, not_run


class Book:
    """The state of a run, without any process.

    Attributes:
        items: the plan of this partition.
        attempts: plan index -> attempts of all processes so far.
        verdicts: plan index -> the last word, once it is said.
        files: file -> the last word on its collection, of those that gave no tests.
        problems: what nothing can be charged with.
    """

    def __init__(
        self, request: Request, observer: Observer, write: Callable[[Event], None]
    ) -> None:
        self.request = request
        self.observer = observer
        self.write = write
        self.items: tuple[Item, ...] = ()
        self.attempts: dict[int, list[Attempt]] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.files: dict[str, Verdict] = {}
        self.problems: list[str] = []
        self._quarantine = self._active_quarantine()
        self._taken: set[tuple[int, int]] = set()  # (session, index) that attempts has

    def _active_quarantine(self) -> dict[str, str]:
        rows = self.request.config.quarantine
        for row in rows:
            if not row.active(self.request.today):
                self.observer.note(f"the quarantine of {row.id} ended with {row.until}: it counts")
        return {row.id: row.reason for row in rows if row.active(self.request.today)}

    def check_quarantine(self, known: Mapping[str, Collection[str]]) -> None:
        """Notes ids that name no test any more; `known` has all ids of each file."""
        for name in self._quarantine:
            file = name.partition("::")[0]
            there = file in known or (self.request.base / file).exists()
            if not there or (name != file and name not in known.get(file, (name,))):
                self.observer.note(f"quarantine: no test has the id {name!r}")

    def plan(self, items: Sequence[Item]) -> None:
        """From now on indices mean these items."""
        self.items = tuple(items)

    def problem(self, text: str) -> None:
        """Notes a problem, once."""
        if text not in self.problems:
            self.problems.append(text)
            self.write({"e": "problem", "text": text})
            self.observer.note(f"problem: {text}")

    def finished(self, index: int, record: Record) -> None:
        """A test has ended in a live process: what is good is final at once.

        What is bad waits for the end of the process, which may explain it.
        """
        attempts = record.attempts.get(index, ())
        if attempts and attempts[-1].outcome.good and not self.request.repeat:
            self._take(index, record)
            if index not in self.verdicts:
                self.close(index)

    def take(self, record: Record) -> list[int]:
        """The attempts of a process that is gone; indices of those that are news."""
        fresh = [i for i in record.attempts if (record.number, i) not in self._taken]
        for index in fresh:
            self._take(index, record)
        return fresh

    def _take(self, index: int, record: Record) -> None:
        self._taken.add((record.number, index))
        self.add(index, record.attempts[index])

    def take_missing(self, record: Record) -> list[int]:
        """What a process was to run and did not collect is lost."""
        missing = [index for index in record.missing if index not in record.attempts]
        for index in missing:
            broken = record.broken.get(self.items[index].file)
            why = "its file could not be collected" if broken else "it was not collected"
            self.add(index, [loss(record, f"planned, but {why} in session {record.number}")])
        return missing

    def add(self, index: int, attempts: Sequence[Attempt]) -> None:
        """More attempts of an item."""
        self.attempts.setdefault(index, []).extend(attempts)

    def decide(self, index: int, policy: Policy, remaining: float | None) -> Decision:
        """Whether an item runs once more."""
        attempts = self.attempts[index]
        if self.request.repeat:
            more = len(attempts) < self.request.repeat
            going = attempts[-1].outcome.good or self.request.continue_on_error
            return Decision(more and going, "")
        if attempts[-1].outcome.good or self.items[index].id in self._quarantine:
            return Decision(False, "")
        return policy.decide(attempts, remaining)

    def close(self, index: int, note: str = "") -> Verdict:
        """Says the last word on an item."""
        item, attempts = self.items[index], self.attempts.get(index, ())
        rule = judge_repeated if self.request.repeat else judge
        verdict = rule(item, attempts, self._quarantine.get(item.id, ""), note)
        return self._say(index, verdict)

    def _say(self, index: int, verdict: Verdict) -> Verdict:
        self.verdicts[index] = verdict
        self.observer.finished(verdict)
        return verdict

    def file(self, file: str, attempts: Sequence[Attempt]) -> Verdict:
        """Says the last word on a file that gave no tests; a bad one stays bad."""
        known = self.files.get(file)
        if known is not None and (attempts[-1].outcome.good or not known.outcome.good):
            return known
        reason = self._quarantine.get(file, "")
        self.files[file] = verdict = judge(Item(file, 0, file), attempts, reason)
        self.observer.finished(verdict)
        return verdict

    def close_rest(self, why: str) -> None:
        """The end: what never ran is not-run for a reason, and lost if there is none."""
        for index, item in enumerate(self.items):
            if index in self.verdicts:
                continue
            if self.attempts.get(index):
                self.close(index, f"no retry: {why}" if why else "")
            elif why:
                self._say(index, not_run(item, why))
            else:
                self.close(index)

    def all_verdicts(self) -> tuple[Verdict, ...]:
        """In the order of the plan, then files."""
        return (*(self.verdicts[index] for index in range(len(self.items))), *self.files.values())

    def events(self) -> Iterator[Event]:
        """All verdicts as the ledger has them."""
        for number, verdict in enumerate(self.all_verdicts()):
            event: Event = {"e": "verdict", "i": number if number < len(self.items) else None}
            event |= {"id": verdict.item.id, "occurrence": verdict.item.occurrence}
            event |= {"outcome": verdict.outcome.value, "attempts": len(verdict.attempts)}
            event |= {"reason": verdict.reason, "seconds": round(verdict.seconds, 6)}
            yield {**event, "quarantined": verdict.quarantined}


def loss(record: Record, why: str) -> Attempt:
    """An attempt of which nobody can say how it ended."""
    session, worker = record.number, record.worker
    return Attempt(Outcome.LOST, session=session, worker=worker, output=record.output, reason=why)
