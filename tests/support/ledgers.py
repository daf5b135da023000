"""Ledgers written as the runner and the plugin write them, without either."""

from fusible.suite.ledger import Ledger
from fusible.suite.model import Item
from fusible.suite.plan import collection_hash

IDS = [f"test_{file}.py::test[{i}]" for file in "ab" for i in range(3)]
WHOLE = [Item(name, 0, name.partition("::")[0]) for name in IDS]


class Partition:
    """Writes the ledger of a partition as the runner and the plugin do, step by step."""

    def __init__(self, path, part, parts=2, **facts):
        self.path, self.part, self.parts = path, part, parts
        self.items = [item for item in WHOLE if parts == 1 or item.file == f"test_{'ab'[part]}.py"]
        self.facts = {"suite": "unit", "commit": "c0ffee", "machine": "big", **facts}
        self.sessions = 0
        self.ledger = Ledger(path)

    def write(self, kind, **fields):
        self.ledger.write({"e": kind, **fields})
        return self

    def begin(self, plan=True, **changes):
        place = {"part": self.part, "parts": self.parts, "dirty": False, "time": 1.0}
        self.write("run", version=1, **place, **self.facts)
        rows = [[item.id, item.occurrence, item.file] for item in self.items]
        whole = {"hash": collection_hash(WHOLE), "whole": len(WHOLE), "origin": "collected"}
        return self.write("plan", **{"items": rows, **whole, **changes}) if plan else self

    def collect(self):
        """The session in which every partition collects the whole suite."""
        number = self.start("collect")
        self.collected(number, WHOLE)
        return self.stop(number)

    def start(self, purpose="run"):
        number, self.sessions = self.sessions, self.sessions + 1
        self.write("session", s=number, purpose=purpose, worker=0, count=None)
        self.write("begin", s=number, pid=1)
        return number

    def collected(self, number, items, index=None):
        files = list(dict.fromkeys(item.file for item in items))
        ids, of = [item.id for item in items], [files.index(item.file) for item in items]
        fields = {"ids": ids, "files": files, "of": of, "occ": {}, "deselected": 0}
        for file in files:
            self.write("file", s=number, f=file).write("filed", s=number, f=file, d=0.25)
        self.write("collected", s=number, **fields, index=index, missing=[])

    def test(self, number, index, outcome="passed", **failure):
        self.write("started", s=number, i=index)
        for phase in ("setup", "call", "teardown"):
            fields = {"o": outcome, **failure} if phase == "call" else {"o": "passed"}
            self.write("phase", s=number, i=index, w=phase, d=0.1, **fields)
        return self.write("finished", s=number, i=index, d=0.5)

    def stop(self, number, status=0):
        self.write("end", s=number, status=status, stopped=None)
        return self.write("exited", s=number, status=status, signal=None, seconds=1.0)

    def run(self, indices, outcome="passed", purpose="run", **failure):
        """One process that runs these tests to its end."""
        number = self.start(purpose)
        self.collected(number, [self.items[i] for i in indices], list(indices))
        for index in indices:
            self.test(number, index, outcome, **failure)
        return self.stop(number, 1 if outcome == "failed" else 0)

    def say(self, outcome, indices=None, reason="", **more):
        for i in range(len(self.items)) if indices is None else indices:
            named = {"i": i, "id": self.items[i].id, "occurrence": 0}
            told = {"outcome": outcome, "attempts": 1, "reason": reason, "seconds": 0.5}
            self.write("verdict", **named, **told, **{"quarantined": "", **more})
        return self

    def end(self, status=0):
        return self.write("done", exit=status, seconds=2.0)

    def passes(self):
        """A partition in which all is well."""
        return self.begin().collect().run(range(len(self.items))).say("passed").end()


def partitions(folder):
    """Both partitions of a suite, their ledgers not yet written."""
    return [Partition(folder / f"part-{part}.jsonl", part) for part in range(2)]
