"""Runs one process of pytest through `Session`, with a ledger of its own."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fusible.suite import ledger
from fusible.suite.model import Item, Limits
from fusible.suite.session import Launch, Session
from support.small_suites import PYTHON, project

HUNG = 120  # seconds, far above what any of these takes


def start(folder: Path, files: Mapping[str, str], *arguments: str, **options: Any) -> Session:
    """Starts pytest in a project made of the files."""
    values: dict[str, Any] = {
        "python": PYTHON,
        "arguments": ("-p", "no:cacheprovider", *arguments),
        "directory": project(folder / "project", files),
        "environment": {},
        "folder": folder / "session",
        "ledger": folder / "ledger",
        "number": 1,
        "worker": 7,
        "purpose": "run",
        "items": None,
        "stop_on_failure": False,
        "limits": Limits(test=60, grace=30),
    }
    return Session(Launch(**{**values, **options}))


def follow(session: Session, seen: Callable[[Mapping[str, Any]], None] = lambda _: None) -> Session:
    """Feeds a session to its end."""
    tail, until = ledger.Tail(session.launch.ledger), time.monotonic() + HUNG
    while not session.done:
        select.select([session], [], [], 0.05)
        for event in tail.read():
            session.feed(event)
            seen(event)
        session.tick(time.monotonic())
        if time.monotonic() > until:
            session.kill("stopped")
            raise TimeoutError("the session did not end")
    return session


def run(folder: Path, files: Mapping[str, str], *arguments: str, **options: Any) -> Session:
    """Runs pytest in a project to its end."""
    return follow(start(folder, files, *arguments, **options))


def outcomes(session: Session) -> dict[str, str]:
    """The outcomes of each test's attempts, by the part of the id behind the file."""
    found = {}
    for index, attempts in session.record.attempts.items():
        item = session.record.item(index)
        name = item.id.partition("::")[2] if item else str(index)
        found[name] = " ".join(attempt.outcome.value for attempt in attempts)
    return found


def planned(*names: str, file: str = "test_it.py") -> Sequence[tuple[int, Item]]:
    """Items of one file; the same name again is its next occurrence."""
    ids = [f"{file}::{name}" for name in names]
    return [(n, Item(one, ids[:n].count(one), file)) for n, one in enumerate(ids)]
