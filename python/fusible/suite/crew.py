"""The processes of a run: starts them, hands them their events, ends them when it is time."""

from __future__ import annotations

import contextlib
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any

from fusible.suite.ledger import Event, Ledger, Tail
from fusible.suite.model import Item
from fusible.suite.request import Request, opening
from fusible.suite.session import Launch, Session

TURN = 0.05  # seconds that events may wait in the ledger; an exit is heard of at once
GONE = "the ledger is gone"
ENDING = 30.0  # seconds that killed processes have to be gone before they are given up


class Signals:
    """Remembers the first SIGINT or SIGTERM; a second one has its usual effect.

    The guards end their tests when this process dies, so that the second one leaves no orphan.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Whoever started us to ignore it (`nohup`, a shell's `&`) is obeyed.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)


class Crew:
    """All sessions of one run.

    Attributes:
        over: why everything was ended from outside: "interrupted", "suite limit", GONE; else "".
        deadline: when, on the monotonic clock, the suite's limit is reached.
    """

    def __init__(self, request: Request, ledger: Ledger, signals: Signals) -> None:
        self.request = request
        self.ledger = ledger
        self.signals = signals
        self.over = ""
        self.began = time.monotonic()
        limit = request.config.timeout.suite
        self.deadline = None if limit is None else self.began + limit
        self._tail = Tail(request.ledger)
        self._tail.read()  # what earlier runs wrote is not news
        self._selector = selectors.DefaultSelector()
        self._sessions: dict[int, Session] = {}
        self._number = request.first_session

    @property
    def busy(self) -> bool:
        """Whether a process is alive."""
        return bool(self._sessions)

    def working(self, worker: int) -> bool:
        """Whether a worker has a process."""
        return any(session.record.worker == worker for session in self._sessions.values())

    def remaining(self) -> float | None:
        """Seconds to the suite's limit; None without one."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def start(
        self,
        purpose: str,
        arguments: Sequence[str],
        items: Sequence[tuple[int, Item]] | None = None,
        *,
        known: Sequence[str] | None = None,
        worker: int = 0,
        stop_on_failure: bool = False,
        without: Sequence[str] = (),
        why: str = "",
        measured: Sequence[str] = (),
    ) -> Session:
        """Starts a process; `items` None collects, and runs what it collects unless told not to.

        `Launch` says what the rest means.
        """
        number = self._number
        self._number += 1
        folder = self.request.folder / f"session-{number}"
        event: Event = {"e": "session", "s": number, "purpose": purpose, "worker": worker}
        event |= {"count": None if items is None else len(items), "output": str(folder / "output")}
        self.ledger.write({**event, **({"why": why} if why else {})})
        config = self.request.config
        session = Session(
            Launch(
                python=self.request.python,
                arguments=tuple(arguments),
                directory=self.request.base,
                environment=config.env,
                folder=folder,
                ledger=self.request.ledger,
                number=number,
                worker=worker,
                purpose=purpose,
                items=items,
                stop_on_failure=stop_on_failure,
                limits=config.timeout,
                without=tuple(without),
                measured=tuple(measured),
                known=known,
            )
        )
        self._sessions[number] = session
        self._selector.register(session.fileno(), selectors.EVENT_READ, number)
        return session

    def turn(self, heard: Callable[[Session, Event], None]) -> list[Session]:
        """Waits a moment for news and tells of it; gives the sessions that are gone since."""
        self._selector.select(TURN)
        self._end_in_time()
        self._listen(heard)
        now = time.monotonic()
        for session in self._sessions.values():
            session.tick(now)
        # A process writes before it goes: its last words must be heard before it is counted out.
        return [self._dismiss(s) for s in list(self._sessions.values()) if s.done]

    def _dismiss(self, session: Session) -> Session:
        number = session.record.number
        keys = self._selector.get_map().values()
        self._selector.unregister(next(key.fd for key in keys if key.data == number))
        return self._sessions.pop(number)

    def pause(self, seconds: float, heard: Callable[[Session, Event], None]) -> None:
        """Lets time pass, unless everything is ended meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.over:
            self.turn(heard)

    def _listen(self, heard: Callable[[Session, Event], None]) -> None:
        for event in self._tail.read():
            session = self._sessions.get(event.get("s", -1))
            if session is not None:
                session.feed(event)
                heard(session, event)

    def _end_in_time(self) -> None:
        if self.over:
            return
        if self.signals.number:
            self.over = "interrupted"
        elif self.deadline is not None and time.monotonic() >= self.deadline:
            self.over = "suite limit"
        elif not self.ledger.in_place:
            self.over = GONE
        if self.over:
            for session in self._sessions.values():
                session.kill(self.over)

    def start_nothing_more(self) -> None:
        """Lets each process end its running test, and no more."""
        for session in self._sessions.values():
            session.stop()

    def close(self) -> None:
        """Ends what still lives, however the run ends."""
        for session in self._sessions.values():
            session.kill("stopped")
        until = time.monotonic() + ENDING
        while self._sessions and time.monotonic() < until:
            self.turn(lambda session, event: None)
        self._selector.close()


@contextlib.contextmanager
def hired(request: Request, signals: Signals | None = None) -> Iterator[Crew]:
    """A crew for one run, whose ledger is begun; at the end nothing of it lives."""
    with contextlib.ExitStack() as stack:
        signals = signals or stack.enter_context(Signals())
        ledger = Ledger(request.ledger)
        stack.callback(ledger.close)
        ledger.claim()
        crew = Crew(request, ledger, signals)
        stack.callback(crew.close)
        ledger.write(opening(request))
        yield crew
