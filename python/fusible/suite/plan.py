"""Which partition runs which test: a pure function of the collection and given durations."""

from __future__ import annotations

import bisect
import hashlib
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fusible.suite import balance, document
from fusible.suite.durations import Durations
from fusible.suite.model import Collection, Item, SuiteError

VERSION = 1
UNKNOWN_SECONDS = 1.0  # of a test where no test of the suite has a duration: all weigh the same
_NAMED = 5  # how many ids an error names


@dataclass(frozen=True)
class Weights:
    """What each item costs.

    Attributes:
        tests: seconds of each item, in the items' order.
        setup: file -> seconds that each process pays before the file's first test.
        unknown: positions of the items without a recorded duration; they weigh the median.
    """

    tests: tuple[float, ...]
    setup: Mapping[str, float]
    unknown: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Plan:
    """Every item of a collection in exactly one partition.

    Attributes:
        items: the whole collection, in pytest's order.
        partition: the partition of each item.
        hash: `collection_hash` of the items.
        broken: files (or conftests) that could not be collected; partition 0 imports them
            again, so that a run reports what planning saw.
        commit: of the checkout that was collected; "" where there was none.
        narrowed: it leaves out tests of its files, by -k, -m or ids.
        roots, patterns: where and by which names pytest looked for files.
        seen: the names of these files; see `newer`.
    """

    items: tuple[Item, ...]
    weights: Weights
    partition: tuple[int, ...]
    parts: int
    hash: str
    suite: str = "default"
    broken: tuple[str, ...] = ()
    commit: str = ""
    narrowed: bool = False
    roots: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()

    @cached_property
    def _load(self) -> balance.Load:
        return balance.Load(self.items, self.weights.tests, self.weights.setup)

    @cached_property
    def estimates(self) -> tuple[float, ...]:
        """Seconds of each partition."""
        return tuple(balance.estimates(self._load, self.partition, self.parts))

    @property
    def makespan(self) -> float:
        """Seconds of the longest partition."""
        return max(self.estimates)

    @cached_property
    def lower_bound(self) -> float:
        """Seconds that no assignment can beat."""
        return balance.lower_bound(self._load, self.parts)

    @property
    def unknown(self) -> list[Item]:
        """The items that are weighed by the median for want of a recorded duration."""
        return [self.items[position] for position in sorted(self.weights.unknown)]

    def part(self, number: int) -> list[Item]:
        """The items of a partition, in pytest's order."""
        self._check_part(number)
        return [
            item for item, part in zip(self.items, self.partition, strict=True) if part == number
        ]

    def files(self, number: int) -> list[str]:
        """The files that a partition imports, in order."""
        own = dict.fromkeys(item.file for item in self.part(number))
        return [*own, *(file for file in self.broken if number == 0 and file not in own)]

    def _check_part(self, number: int) -> None:
        if not 0 <= number < self.parts:
            raise SuiteError(f"partition: expected 0 to {self.parts - 1}, got {number}")

    def verify(
        self,
        suite: str | None = None,
        parts: int | None = None,
        collection: Sequence[Item] | None = None,
        commit: str | None = None,
    ) -> None:
        """Raises SuiteError unless the plan is of this suite, partitions, collection, commit.

        Whether files differ from the commit is not asked: a build step may change some. What that
        does to the plan's files is seen when they are collected.
        """
        if suite is not None and suite != self.suite:
            raise SuiteError(f"plan: expected suite {suite!r}, got {self.suite!r}")
        if parts is not None and parts != self.parts:
            raise SuiteError(f"plan: expected {parts} partitions, got {self.parts}")
        if collection is not None and collection_hash(collection) != self.hash:
            raise SuiteError("plan: " + _difference(self.items, collection))
        if commit and self.commit and commit != self.commit:
            raise SuiteError(f"plan: expected one of commit {commit}, got one of {self.commit}")

    def lines(self) -> list[str]:
        """What people read of it."""
        bound = self.lower_bound
        ratio = f" ({self.makespan / bound:.3f} times)" if bound else ""
        total = f"{len(self.items)} tests in {self.parts} partitions"
        best = f"longest {self.makespan:.1f} s, lower bound {bound:.1f} s{ratio}"
        lines = [f"{total}: {best}"]
        if self.weights.unknown:
            lines.append(f"{len(self.weights.unknown)} without a recorded duration: median taken")
        lines += [f"not collected: {file}" for file in self.broken]
        return lines

    def to_json(self) -> str:
        """The plan as a file: a test a line, so that two plans can be compared by eye."""
        head = {
            "version": VERSION,
            "suite": self.suite,
            "commit": self.commit,
            "narrowed": self.narrowed,
            "hash": self.hash,
            "parts": self.parts,
            "estimates": [round(seconds, 6) for seconds in self.estimates],
            "makespan": round(self.makespan, 6),
            "lower_bound": round(self.lower_bound, 6),
            "broken": list(self.broken),
            "roots": list(self.roots),
            "patterns": list(self.patterns),
            "seen": list(self.seen),
            "files": dict(sorted(self.weights.setup.items())),
        }
        lines = [f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items()]
        rows = ",\n  ".join(json.dumps(row) for row in self._rows())
        return "{\n" + "".join(lines) + f' "tests": [\n  {rows}\n ]\n}}\n'

    def _rows(self) -> Iterator[dict[str, Any]]:
        rows = zip(self.items, self.partition, self.weights.tests, strict=True)
        for position, (item, part, seconds) in enumerate(rows):
            row: dict[str, Any] = {"id": item.id, "file": item.file, "part": part}
            if item.occurrence:
                row["occurrence"] = item.occurrence
            row["estimate"] = seconds
            if position in self.weights.unknown:
                row["unknown"] = True
            yield row


def collection_hash(items: Iterable[Item]) -> str:
    """SHA-256 of the sorted (id, occurrence) pairs; the order of collection has no part in it."""
    # JSON keeps ids with newlines or lone surrogates apart and is ASCII.
    return hashlib.sha256(json.dumps(sorted(item.key for item in items)).encode()).hexdigest()


def weights(
    items: Sequence[Item], durations: Durations | None = None, machine: str | None = None
) -> Weights:
    """What items cost by the recorded durations; unknown tests and files weigh the median.

    `machine` is a class of machines in the durations; None takes all classes together. It is
    never found out: partitions may run on machines of several classes and must agree.
    """
    known = (durations or Durations({})).estimates(machine)
    files = list(dict.fromkeys(item.file for item in items))
    seconds = [known.tests.get(item.id) for item in items]
    setup = [known.files.get(file) for file in files]
    usual = _median(seconds, UNKNOWN_SECONDS)
    usual_setup = _median(setup, 0.0)
    return Weights(
        tuple(usual if value is None else value for value in seconds),
        {
            file: usual_setup if value is None else value
            for file, value in zip(files, setup, strict=True)
        },
        frozenset(position for position, value in enumerate(seconds) if value is None),
    )


def _median(values: Sequence[float | None], default: float) -> float:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else default


def assign(
    items: Sequence[Item],
    weights: Weights,
    parts: int,
    suite: str = "default",
    broken: Sequence[str] = (),
    **about: Any,
) -> Plan:
    """Spreads items over partitions; see `balance`. Partitions beyond the items stay empty.

    `about` has the plan's fields from `commit` on.
    """
    if parts < 1:
        raise SuiteError(f"partitions: expected 1 or more, got {parts}")
    check_each_once(items, "collection")
    partition = balance.balance(balance.Load(items, weights.tests, weights.setup), parts)
    digest = collection_hash(items)
    whole, broken = tuple(items), tuple(broken)
    return Plan(whole, weights, tuple(partition), parts, digest, suite, broken, **about)


def make(
    collection: Collection,
    durations: Durations | None = None,
    machine: str | None = None,
    parts: int | None = None,
    target_seconds: float | None = None,
    *,
    suite: str = "default",
    **about: Any,
) -> Plan:
    """The plan of a collection in `parts` partitions, or so many that each takes the target.

    `about` as for `assign`.
    """
    items = collection.items
    cost = weights(items, durations, machine)
    if parts is None:
        parts = 1 if target_seconds is None else parts_for(items, cost, target_seconds)
    return assign(items, cost, parts, suite, sorted(collection.broken), **about)


def parts_for(items: Sequence[Item], weights: Weights, target_seconds: float) -> int:
    """The fewest partitions that keep each within the target, or within the longest test."""
    if not target_seconds > 0:
        raise SuiteError(f"target seconds: expected more than 0, got {target_seconds}")
    load = balance.Load(items, weights.tests, weights.setup)
    most = max([target_seconds, *(load.alone(i) for i in range(len(items)))]) * (1 + 1e-9)

    def fits(parts: int) -> bool:
        if balance.lower_bound(load, parts) > most:
            return False
        return max(balance.estimates(load, balance.balance(load, parts), parts)) <= most

    # Doubling first: bisecting up to the number of tests would try thousands of partitions.
    high = 1
    while high < len(items) and not fits(high):
        high *= 2
    candidates = range(high // 2 + 1, high)
    return candidates[0] + bisect.bisect_left(candidates, True, key=fits) if candidates else high


def check_each_once(items: Iterable[Item], where: str) -> None:
    """Raises SuiteError if two of the items are the same."""
    seen: set[tuple[str, int]] = set()
    for item in items:
        if item.key in seen:
            raise SuiteError(f"{where}: expected each test once, got {item} twice")
        seen.add(item.key)


def _difference(planned: Sequence[Item], collected: Sequence[Item]) -> str:
    """What a plan and a collection do not share, a few of each by name."""
    plan, now = {item.key: item for item in planned}, {item.key: item for item in collected}
    gone = few([item for key, item in plan.items() if key not in now])
    new = few([item for key, item in now.items() if key not in plan])
    return f"expected the tests of the plan; not collected: {gone}; not in the plan: {new}"


def few(items: Sequence[object]) -> str:
    """Some of them by name, and how many more there are."""
    if not items:
        return "none"
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(str(item) for item in items[:_NAMED]) + more


_KEYS = (
    *(
        "version",
        "suite",
        "commit",
        "narrowed",
        "hash",
        "parts",
        "estimates",
        "makespan",
        "lower_bound",
    ),
    *("broken", "roots", "patterns", "seen", "files", "tests"),
)


def load(source: Path | str) -> Plan:
    """Reads a plan from a file, or from its text (which begins with a brace)."""
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("{"):
        return _plan(document.Value("plan", document.parse(source, "plan")))
    path = Path(source)
    return _plan(document.Value(str(path), document.read(path)))


def _plan(value: document.Value) -> Plan:
    if value["version"].count() != VERSION:
        raise SuiteError(f"{value.where}: expected version {VERSION}, got {value['version'].value}")
    value.only(*_KEYS)
    rows = [_row(row) for row in value["tests"].items()]
    items = tuple(item for item, _, _, _ in rows)
    check_each_once(items, value.where)
    plan = Plan(
        items,
        Weights(
            tuple(seconds for _, _, seconds, _ in rows),
            _setup(value["files"], items),
            frozenset(i for i, (_, _, _, unknown) in enumerate(rows) if unknown),
        ),
        tuple(part for _, part, _, _ in rows),
        value["parts"].count(least=1),
        value["hash"].text(),
        value["suite"].text(),
        tuple(file.text() for file in value["broken"].items()),
        value["commit"].text(),
        value["narrowed"].flag(),
        *(tuple(one.text() for one in value[key].items()) for key in ("roots", "patterns", "seen")),
    )
    _check(plan, value.where)
    return plan


def _row(row: document.Value) -> tuple[Item, int, float, bool]:
    row.only("id", "file", "part", "occurrence", "estimate", "unknown")
    occurrence = row["occurrence"].count() if row.has("occurrence") else 0
    item = Item(row["id"].text(), occurrence, row["file"].text())
    unknown = row.has("unknown") and row["unknown"].flag()
    return item, row["part"].count(), row["estimate"].seconds(), unknown


def _setup(files: document.Value, items: Sequence[Item]) -> dict[str, float]:
    setup = {file: seconds.seconds() for file, seconds in files.table()}
    for item in items:
        if item.file not in setup:
            raise SuiteError(f"{files.where}: expected the file {item.file!r} of {item}, got none")
    return setup


def _check(plan: Plan, where: str) -> None:
    """What no single value shows: the range of the partitions, and the hash."""
    for item, part in zip(plan.items, plan.partition, strict=True):
        if part >= plan.parts:
            raise SuiteError(f"{where}: {item}: expected a part below {plan.parts}, got {part}")
    digest = collection_hash(plan.items)
    if digest != plan.hash:
        raise SuiteError(f"{where}: hash: expected {digest} of these tests, got {plan.hash}")
