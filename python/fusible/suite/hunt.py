"""Hunting a flake: one test many times, or the earlier tests that make it fail."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

from fusible.suite import collect
from fusible.suite.crew import Crew, hired
from fusible.suite.ledger import Event
from fusible.suite.model import Collection, Item, SuiteError
from fusible.suite.plan import collection_hash
from fusible.suite.request import Choice, Request, plan_event
from fusible.suite.session import Session

Say = Callable[[str], None]


def repeated(request: Request, ids: Sequence[str], times: int) -> Request:
    """The request to run each of these tests so many times, in a process each time."""
    if not ids:
        raise SuiteError("--repeat: expected the id of a test, got none")
    return replace(
        _narrowed(request, ids),
        repeat=times,
        fail_on_flaky=True,
        choose=lambda collection: Choice(tuple(_named(collection, ids))),
    )


def _narrowed(request: Request, ids: Sequence[str]) -> Request:
    """Collects only the files of these ids, where they can be found from here."""
    files = tuple(dict.fromkeys(one.partition("::")[0] for one in ids))
    config = replace(request.config, k="", markers="")
    if all((request.base / file).exists() for file in files):
        config = replace(config, paths=files)
    return replace(request, config=config)


def _named(collection: Collection, ids: Sequence[str]) -> list[Item]:
    """The items of these ids, each occurrence of them. Raises SuiteError for one without any."""
    known = {item.id for item in collection.items}
    for one in ids:
        if one not in known:
            close = [i for i in sorted(known) if i.endswith(one.rpartition("::")[2])][:3]
            hint = f"; close to it: {', '.join(close)}" if close else ""
            raise SuiteError(f"expected the id of a test, got {one!r}, which is not one{hint}")
    return [item for item in collection.items if item.id in ids]


def bisect(request: Request, name: str, say: Say) -> list[Item] | None:
    """Finds the earlier tests that a test needs to fail.

    Returns:
        They, in their order; none if it fails alone; None if it does not fail after all of them.
    """
    with hired(request) as crew:
        return _Bisection(request, crew, say).find(name)


class _Bisection:
    def __init__(self, request: Request, crew: Crew, say: Say) -> None:
        self.request = request
        self.crew = crew
        self.say = say
        self.items: tuple[Item, ...] = ()
        self.target = 0

    def find(self, name: str) -> list[Item] | None:
        """The search, after collecting."""
        self._collect(name)
        before = range(self.target)
        fails = functools.cache(self._fails)
        if not fails(()) and not fails(tuple(before)):
            return None
        return [self.items[index] for index in culprits(fails, before)]

    def _collect(self, name: str) -> None:
        collection = collect.collected(self.request, self.crew)
        self.items = collection.items
        self.target = self.items.index(_named(collection, [name])[0])
        digest = collection_hash(self.items)
        self.crew.ledger.write(plan_event(self.items, digest, len(self.items), "collected", {}))

    def _fails(self, earlier: tuple[int, ...]) -> bool:
        """Whether the test fails after these in a fresh process."""
        indices = [*earlier, self.target]
        session = self.crew.start(
            "bisect",
            collect.files_only(self.request.config.paths),
            items=[(index, self.items[index]) for index in indices],
        )
        while not session.done:
            self.crew.turn(_ignore)
        if self.crew.over:
            raise SuiteError(f"bisect: {self.crew.over}")
        attempts = session.record.attempts.get(self.target, ())
        if not attempts:
            raise SuiteError(f"bisect: the process of {len(indices)} tests ended before the last")
        outcome = attempts[-1].outcome
        self.say(f"after {len(earlier)} tests: {outcome.value}")
        return not outcome.good


def culprits(fails: Callable[[tuple[int, ...]], bool], before: Sequence[int]) -> list[int]:
    """A smallest set of `before` after which the test fails, if all of `before` makes it fail.

    The shortest failing beginning ends with a test that is needed. With that one kept, the search
    goes on in what stands before it, until the kept ones are enough: k·log n processes.
    """
    kept: list[int] = []
    while not fails(tuple(kept)):
        passing, failing = 0, len(before)
        while failing - passing > 1:
            middle = (passing + failing) // 2
            if fails((*before[:middle], *kept)):
                failing = middle
            else:
                passing = middle
        if failing == 0:
            raise SuiteError("bisect: the test does not fail every time; hunt it with --repeat")
        kept.insert(0, before[failing - 1])
        before = before[: failing - 1]
    return kept


def _ignore(session: Session, event: Event) -> None:
    pass
