"""What one process of pytest did: a pure reducer of its events in the ledger.

The runner feeds it live; merge and explain feed it again from files, and see the same. It needs the
runner's event "killed" too, in its place: what the process writes after it does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fusible.suite.model import Attempt, Collection, Failure, Item, Outcome
from fusible.suite.plan import collection_hash, few
from fusible.suite.running import Event, Running, failure_of
from fusible.suite.writer import first_line

# An attempt that was not good says which tests ran before it in its process, up to so many.
BEFORE = 200

_LIMITS = ("test limit", "file limit", "suite limit")
_CLEAN, _FAILURES, _INTERRUPTED, _USAGE, _EMPTY = 0, 1, 2, 4, 5  # pytest's exit statuses


class Record:
    """One process's items, attempts and end, as far as its events tell.

    Attributes:
        collection: once it is known: all of this process's items.
        running: index of the test in progress.
        filing: the file (or conftest) being collected.
        attempts: index -> attempts, those that a death ended included.
        broken: file -> how its collection failed, or that it was skipped as a whole.
        missing: planned here, not collected here.
        unplanned: ids that were collected or ran, and that nothing had planned.
        forked: ids of which a forked child has reported.
        ended: whether pytest has come to its end.
        status: pytest's own exit status; None until the end.
        why: the reason of an early stop.
        problems: what no single test can be charged with, a sentence each.
    """

    def __init__(
        self,
        number: int,
        worker: int = 0,
        planned: Sequence[int] | None = None,
        output: str = "",
    ) -> None:
        self.number = number
        self.worker = worker
        self.output = output
        self.collection: Collection | None = None
        self.attempts: dict[int, list[Attempt]] = {}
        self.broken: dict[str, Attempt] = {}
        self.missing: tuple[int, ...] = ()
        self.unplanned: list[str] = []
        self.forked: list[str] = []
        self.problems: list[str] = []
        self.refused = ""
        self.begun = self.ended = self.closed = False
        self.status: int | None = None
        self.why = ""
        self._planned = planned
        self._items: dict[int, Item] = {}
        self._order: list[str] = []
        self._files: list[str] = []
        self._test: Running | None = None
        self._condemned = self._late = False

    @property
    def running(self) -> int | None:
        """Index of the test in progress; None too while an unplanned one runs."""
        return self._test.index if self._test and self._test.index >= 0 else None

    @property
    def filing(self) -> str | None:
        """The file, or conftest, being collected."""
        return self._files[-1] if self._files else None

    def item(self, index: int) -> Item | None:
        """An item of this process by its index in the plan."""
        return self._items.get(index)

    def left(self) -> list[int]:
        """Planned, not finished, not charged."""
        return [index for index in self._planned or () if index not in self.attempts]

    def feed(self, event: Event) -> None:
        """Takes the next event of this process."""
        if self._condemned:
            return
        if "pid" in event and event["e"] != "begin":
            self._add_forked(event)
        elif handler := _HANDLERS.get(event["e"]):
            handler(self, event)

    def close(self, status: int | None, signal: str | None, killed: str, tail: str) -> None:
        """Once the process is gone: charges what was in progress, finds contradictions.

        Args:
            status: its exit status; None where nobody knows it.
            signal: the signal that ended it, maybe with an explanation: "SIGKILL (…)".
            killed: why the runner has killed it: "test limit of 5 s", "no exit", …; or "".
            tail: the end of its output.
        """
        if self.closed:
            return
        self.closed = True
        if not self.ended:
            self.status = status
        interrupted = self._is_interruption(killed)
        charged = not interrupted and self._charge(status, signal, killed, tail)
        if not interrupted and not charged:
            self._judge_end(status, signal, killed, tail)
        if self.ended and not self.why and self.left():
            self.why = "pytest ended without starting it"
        self._test = None
        self._files.clear()

    def _begin(self, event: Event) -> None:
        self.begun = True

    def _refuse(self, event: Event) -> None:
        self.refused = event["why"]
        self.problems.append(event["why"])

    def _open_file(self, event: Event) -> None:
        self._files.append(event["f"])

    def _close_file(self, event: Event) -> None:
        if event["f"] in self._files:
            self._files.remove(event["f"])

    def _break(self, event: Event) -> None:
        file, skipped = event["f"], event["o"] == "skipped"
        if file in self.broken and (skipped or self.broken[file].outcome is not Outcome.SKIPPED):
            return  # the first error counts, and no skipped class hides it
        message = event.get("message", "")
        self.broken[file] = self._attempt(
            Outcome.SKIPPED if skipped else Outcome.ERROR,
            message,
            () if skipped else (failure_of(event, "collect"),),
            event.get("d", 0.0),
        )

    def _collect(self, event: Event) -> None:
        names, occurrences = event["files"], event["occ"]
        items = tuple(
            Item(name, occurrences.get(str(position), 0), names[file])
            for position, (name, file) in enumerate(zip(event["ids"], event["of"], strict=True))
        )
        self.missing = tuple(event["missing"])
        if new := event.get("unplanned"):
            self.unplanned += new
            self.problems.append(f"collected, but in no plan: {few(new)}")
        index = range(len(items)) if event["index"] is None else event["index"]
        self._items = {i: item for i, item in zip(index, items, strict=True) if i >= 0}
        if self._planned is None:
            self._planned = (*self._items, *self.missing)
        digest = collection_hash(items)
        places = (tuple(event.get(key, ())) for key in ("roots", "patterns"))
        self.collection = Collection(items, self.broken, event["deselected"], digest, *places)

    def _start(self, event: Event) -> None:
        index = event["i"]
        name = event.get("id") or str(self._items.get(index, f"test {index}"))
        if index < 0:
            self.unplanned.append(name)
            self.problems.append(f"{name} ran though it was not planned")
        elif index in self.attempts:
            self.problems.append(f"{name} ran twice in one process")
        self._test = Running(index, name)

    def _phase(self, event: Event) -> None:
        test = self._test
        if test is None or test.index != event["i"]:
            # A report out of turn can't make a test pass, but it must not be overlooked either.
            self.problems.append(f"a report came while its test was not running: {dict(event)}")
            return
        test.report(event)
        if hidden := event.get("hidden"):
            self.problems.append(f"{test.item}: raised {hidden}, of which a plugin has made a pass")
        if event["o"] == "rerun":
            test.attempts.append(self._end_attempt(test, test.seconds))
            test.clear()

    def _finish(self, event: Event) -> None:
        test = self._test
        if test is None or test.index != event["i"]:
            return
        earlier = sum(attempt.seconds for attempt in test.attempts)
        test.attempts.append(self._end_attempt(test, max(0.0, event["d"] - earlier)))
        if test.index >= 0:
            self.attempts.setdefault(test.index, []).extend(test.attempts)
        self._order.append(test.item)
        self._test = None

    def _exit(self, event: Event) -> None:
        self.why = self.why or event["why"]

    def _end(self, event: Event) -> None:
        self.ended = True
        self.status = event["status"]
        self.why = self.why or event["stopped"] or ""

    def _condemn(self, event: Event) -> None:
        self._condemned = True
        # What exceeded a limit may have ended just before this was written: it got away, and
        # what was in progress instead must not pay for it.
        meant = event.get("i"), event.get("f")
        self._late = meant not in ((None, None), (self.running, self.filing))

    def _is_interruption(self, killed: str) -> bool:
        """Whether the kill says nothing of what was in progress when the process died."""
        if not killed or killed.startswith("no exit"):
            return False
        return self._late or not killed.startswith(_LIMITS)

    def _tear(self, event: Event) -> None:
        self.problems.append(f"an event was torn: {event['of'] or 'of unknown kind'}")

    def _add_forked(self, event: Event) -> None:
        index = event.get("i", -1)
        running = self._test.item if self._test else "pytest itself"
        name = event.get("id") or str(self._items.get(index, running))
        if name not in self.forked:
            self.forked.append(name)
            self.problems.append(f"a forked child of {name} came back into pytest")

    def _end_attempt(self, test: Running, seconds: float) -> Attempt:
        outcome, reason = test.conclude()
        return self._attempt(outcome, reason, test.failures, seconds)

    def _attempt(
        self, outcome: Outcome, reason: str, failures: tuple[Failure, ...], seconds: float = 0.0
    ) -> Attempt:
        return Attempt(
            outcome,
            seconds,
            failures,
            self.number,
            self.worker,
            () if outcome.good else tuple(self._order[-BEFORE:]),
            self.output,
            reason,
        )

    def _charge(self, status: int | None, signal: str | None, killed: str, tail: str) -> bool:
        """Charges the death to the test or file in progress; False if there is none."""
        outcome, reason = self._death(status, signal, killed)
        name = "" if killed else (signal or "").partition(" ")[0]
        failure = Failure(message=reason, text=tail, signal=name)
        if self._test is not None:
            test = self._test
            death = self._attempt(outcome, reason, (*test.failures, failure), test.seconds)
            if test.index < 0:
                self.problems.append(f"{test.item}: {reason}")
            else:
                self.attempts.setdefault(test.index, []).extend([*test.attempts, death])
        elif self.filing is not None:
            self.broken[self.filing] = self._attempt(outcome, reason, (failure,))
        return self._test is not None or self.filing is not None

    def _death(self, status: int | None, signal: str | None, killed: str) -> tuple[Outcome, str]:
        if killed.startswith(_LIMITS):
            return Outcome.TIMEOUT, killed
        if signal:
            return Outcome.CRASHED, signal
        if self.why:
            return Outcome.CRASHED, self.why
        if status is None:
            return Outcome.CRASHED, "its process was killed together with its guard"
        return Outcome.CRASHED, f"left pytest with exit status {status}"

    def _judge_end(self, status: int | None, signal: str | None, killed: str, tail: str) -> None:
        """Names an end that is not clean where neither a test nor a file is charged with it."""
        if self.refused:
            return
        place = "after pytest's end" if self.ended else "between tests"
        if not self.begun:
            place = "before pytest began"
        last = first_line("\n".join(reversed(tail.splitlines())))
        told = f": {last}" if last else ""
        if killed.startswith("no exit"):
            self.problems.append(f"the process did not exit after pytest's end ({killed})")
        elif killed:
            self.problems.append(f"nothing was reported {place}: {killed}")
        elif signal:
            self.problems.append(f"the process died {place}: {signal}")
        elif not self.ended:
            self.problems.append(f"the process exited {place} with status {status}{told}")
        else:
            self._judge_status(status)

    def _judge_status(self, status: int | None) -> None:
        if status != self.status:
            self.problems.append(
                f"pytest ended with status {self.status}, its process exited with {status}"
            )
        elif contradiction := self._contradiction():
            self.problems.append(f"pytest ended with status {self.status}: {contradiction}")

    def _contradiction(self) -> str:
        """What in the ledger speaks against pytest's exit status; the ledger is right."""
        ends = [attempts[-1].outcome for attempts in self.attempts.values()]
        ends += [attempt.outcome for attempt in self.broken.values()]
        failures = sum(not outcome.good for outcome in ends)
        if self.status == _CLEAN and (failures or self.why):
            return self.why or f"but {failures} failed"
        if self.status == _FAILURES and not failures:
            return "but nothing failed"
        if self.status == _INTERRUPTED and not (self.why or self.broken):
            return "but nothing has interrupted it"
        if self.status == _EMPTY and self.attempts:
            return f"but {len(self.attempts)} tests ran"
        known = (_CLEAN, _FAILURES, _INTERRUPTED, _EMPTY, *([_USAGE] if self.broken else []))
        if self.status not in known:
            return self.why or "and no test accounts for it"
        return ""


_HANDLERS: Mapping[str, Callable[[Record, Event], None]] = {
    "begin": Record._begin,
    "refused": Record._refuse,
    "file": Record._open_file,
    "filed": Record._close_file,
    "broken": Record._break,
    "collected": Record._collect,
    "started": Record._start,
    "phase": Record._phase,
    "finished": Record._finish,
    "exit": Record._exit,
    "end": Record._end,
    "killed": Record._condemn,
    "torn": Record._tear,
}
