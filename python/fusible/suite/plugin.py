"""Tells the ledger what pytest does, and runs exactly what was planned. PYTEST_DONT_REWRITE.

`boot` loads it into the tests' interpreter: standard library only, Python 3.8, pytest 7.2.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from .selection import FILE, Files, Selection
from .writer import (
    Writer,
    about,
    described,
    failure,
    first_line,
    import_failure,
    outcome_of,
    reason_of,
)

_PHASES = {when: f'"{when}"' for when in ("setup", "call", "teardown")}  # as JSON
_EARLIER = "selects by what an earlier run left behind: use --failed-from or --resume"
_KEYBOARD = "waits for a keyboard, and hides how a test ends"
# What makes a verdict meaningless: option of pytest -> how it is written, and why.
_REFUSED = {
    "numprocesses": ("pytest-xdist's -n", "starts processes: use --workers, and -n0 in addopts"),
    "tx": ("pytest-xdist's --tx", "starts processes: use --workers"),
    "looponfail": ("pytest-xdist's -f", "never ends"),
    "lf": ("--lf", _EARLIER),
    "stepwise": ("--stepwise", _EARLIER),
    "stepwise_skip": ("--stepwise-skip", _EARLIER),
    "usepdb": ("--pdb", _KEYBOARD),
    "trace": ("--trace", _KEYBOARD),
}


class Plugin:
    """The hooks of one process."""

    def __init__(self, spec: dict[str, Any], writer: Writer, config: pytest.Config) -> None:
        self.spec = spec
        self.writer = writer
        self.selection = Selection(spec)
        self.files = Files(spec, str(config.rootpath))
        self.session: Any = None
        # The running test: its id, its index, its location, and how the lines of its phases begin.
        self.item: pytest.Item | None = None
        self.place: Any = ()
        self.id, self.index, self.phase = "", -1, ""
        self.raised: dict[str, dict[str, Any]] = {}  # phase of the running test -> its exception
        self.failed = self.whole = False
        self.stopped = ""
        with Path(spec["control"]).open("rb") as file:
            self.control = mmap.mmap(file.fileno(), 1, prot=mmap.PROT_READ)

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Refuses what would make the verdict meaningless, before a plugin acts upon it."""
        option = config.option
        for name, (written, why) in _REFUSED.items():
            if getattr(option, name, None):
                self.refuse(f"{written} is in force, in addopts or PYTEST_ADDOPTS: it {why}")
        if sys.flags.optimize:
            self.refuse("PYTHONOPTIMIZE or -O strips assert statements, which then test nothing")
        if self.spec["continue_on_collection_errors"]:
            option.continue_on_collection_errors = True
        option.maxfail = 0  # -x would cut a collection short; when to stop the runner says

    def refuse(self, why: str) -> None:
        """Ends pytest before it begins."""
        self.writer.event("refused", why=why)
        raise pytest.UsageError(why)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keeps the session."""
        self.session = session

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Passes over what this process has no part in."""
        return True if self.files.skips_path(collection_path) else None

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: Any) -> Generator[None, Any, None]:
        """Tells of a file before and after it is imported, and of what can't be collected."""
        name, began = "", self.writer.clock()
        if isinstance(collector, FILE) and not isinstance(collector, pytest.Package):
            if self.files.skips(collector.nodeid):
                collector.collect = list
            else:
                name = collector.nodeid
                self.writer.event("file", f=name)
        outcome: Any = yield
        if outcome.excinfo is not None:
            return  # something ends pytest, and that is this file's fault: it stays open
        self.report_broken(collector.nodeid.partition("::")[0], outcome.get_result())
        if name:
            self.writer.event("filed", f=name, d=self.writer.clock() - began)

    def report_broken(self, file: str, report: Any) -> None:
        """Tells of what can't be collected; of a conftest, `watch_conftests` has told."""
        if report.passed:
            return
        if report.skipped:
            self.writer.event("broken", f=file, o="skipped", message=reason_of(report))
            return
        call = getattr(report, "call", None)
        error = call.excinfo.value if call and call.excinfo else None
        if type(error).__name__ != "ConftestImportFailure":
            cause = error and (error.__cause__ or error)  # pytest wraps an ImportError
            fields = {**failure(report), **(described(cause) if cause else {})}
            self.writer.event("broken", f=file, o="error", **fields)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, Any, None]:
        """Selects, after the other plugins have selected and sorted."""
        self.selection.count(items)
        collected = len(items)
        outcome: Any = yield
        self.whole = outcome.excinfo is None
        self.selection.deselected += max(0, collected - len(items))
        self.selection.apply(items)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None, Any, None]:
        """Tells what will run, and drops what came in since.

        pytest comes here too when something has ended it in the middle of collecting.
        """
        yield
        if not self.whole:
            return
        self.selection.deselected += max(0, len(self.selection.applied) - len(session.items))
        self.selection.apply(session.items)
        config, fields = session.config, self.selection.fields(session.items)
        patterns = list(config.getini("python_files"))
        self.writer.event("collected", **fields, roots=list(config.args), patterns=patterns)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool | None:
        """Keeps the tests from running where only their names are wanted, or others have failed."""
        if self.control[0]:  # as pytest does it between tests
            raise self.session.Interrupted("stopped by the runner")
        return True if self.spec["collect_only"] else None

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> Generator[None, Any, None]:
        """Tells of a test before and after it runs; of the end together with the next beginning."""
        index = self.selection.indices.get(id(item), -1)
        name = "" if index >= 0 else f',"id":{self.writer.quote(item.nodeid)}'
        self.item, self.id, self.index, self.failed = item, item.nodeid, index, False
        self.place = item.location
        self.raised.clear()
        self.phase = f'{{"e":"phase{self.writer.prefix},"i":{index},"w":"'
        self.writer.line("started", f',"i":{index}{name}')
        began = self.writer.clock()
        outcome: Any = yield
        if outcome.excinfo is not None:
            return  # something ends pytest in the middle of the test: it stays started
        took, session = self.writer.clock() - began, self.session
        self.item, self.id, self.place = None, "", ()
        if self.control[0]:
            session.shouldstop = "stopped by the runner"
        elif self.failed and self.spec["stop_on_failure"]:
            session.shouldfail = "stopping after a failure"
        ends = nextitem is None or session.shouldstop or session.shouldfail
        write = self.writer.line if ends else self.writer.later
        write("finished", f',"i":{index},"d":{took:.6f}')

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Keeps what the report will not say: the exception's classes."""
        if call.excinfo is not None:
            self.raised[call.when] = described(call.excinfo.value)
        elif self.raised:
            self.raised.pop(call.when, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        """Tells how a phase or a subtest ended."""
        said = report.__dict__
        # The very place, not an equal one: an id is put together from its parts at each look.
        if said["outcome"] == "passed" and said.get("location") is self.place:
            when, took = said["when"], said["duration"]
            usual = when in _PHASES and "wasxfail" not in said and "context" not in said
            if usual and not self.raised and 0 <= took < 1e7:
                self.writer.pending += f'{self.phase}{when}","o":"passed","d":{took:.6f}}}\n'
                return
        outcome = outcome_of(report)
        index = self.index if report.nodeid == self.id else self.index_of(report)
        took = report.duration if 0 <= report.duration < 1e7 else 0.0  # the clock may be mocked
        when = _PHASES.get(report.when) or self.writer.quote(report.when or "")
        body = f',"i":{index},"w":{when},"o":"{outcome}","d":{took:.6f}'
        if hasattr(report, "context"):
            body += ',"sub":true'
        if outcome == "passed":
            if report.when in self.raised:
                body += self.writer.fields({"hidden": self.raised[report.when]["types"][0]})
            self.writer.later("phase", body)
            return
        self.failed = self.failed or outcome == "failed"
        self.writer.line("phase", body + self.details(report, outcome))

    def index_of(self, report: Any) -> int:
        """The index of a test that is not the running one: some plugins run several at once."""
        items = (item for _, item in self.selection.kept.values())
        found = next((item for item in items if item.nodeid == report.nodeid), None)
        return self.selection.indices.get(id(found), -1)

    def details(self, report: Any, outcome: str) -> str:
        """What else is said of a report that did not pass."""
        fields: dict[str, Any] = {"reason": reason_of(report)}
        if outcome in ("failed", "rerun"):
            fields = {**failure(report), **self.raised.get(report.when, {})}
            if self.item is not None:
                fields["markers"] = sorted({mark.name for mark in self.item.iter_markers()})
        return self.writer.fields(fields)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        """Tells why pytest was left. `Interrupted` is how it stops by itself between tests."""
        if excinfo.type.__name__ == "Interrupted":
            self.stopped = str(excinfo.value)
        elif isinstance(excinfo.value, pytest.exit.Exception):
            self.writer.event("exit", why=f"pytest.exit({first_line(str(excinfo.value.msg))!r})")
        else:
            self.writer.event("exit", why=excinfo.type.__name__)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excinfo: Any) -> None:
        """Tells that pytest, or a hook, has failed."""
        self.writer.event("exit", why=f"INTERNALERROR: {first_line(excinfo.exconly())}")

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Tells that pytest has come to its end."""
        status = getattr(self.session, "exitstatus", None)
        stops = [getattr(self.session, name, None) for name in ("shouldfail", "shouldstop")]
        stopped = self.stopped or next((str(stop) for stop in stops if stop), None)
        end(self.writer, status, stopped)


def end(writer: Writer, status: object, stopped: str | None = None) -> None:
    """Tells with which status pytest ends; a hook may have put anything there."""
    status = int(status) if isinstance(status, int) else None
    writer.event("end", status=status, stopped=stopped)


def watch_conftests(manager: Any, writer: Writer, root: str) -> None:
    """Tells of each conftest before it is imported: a death in it must be charged to it.

    pytest has no hook there. Should its private function go, such a death has no file.
    """
    load: Any = getattr(manager, "_importconftest", None)

    def watched(path: Any, *args: Any, **kwargs: Any) -> Any:
        if manager.get_plugin(str(path)) is not None:
            return load(path, *args, **kwargs)
        file = os.path.relpath(str(path), root).replace(os.sep, "/")
        began = writer.clock()
        writer.event("file", f=file)
        try:
            return load(path, *args, **kwargs)
        except Exception as error:
            writer.event("broken", f=file, o="error", **import_failure(error))
            raise
        finally:
            if not isinstance(sys.exc_info()[1], (SystemExit, KeyboardInterrupt)):
                writer.event("filed", f=file, d=writer.clock() - began)

    if load is not None:
        manager._importconftest = watched


_started: list[Any] = []  # what `start` was told, until pytest asks; and what must stay open


def start(path: str) -> None:
    """Called once, before pytest: reads the spec and opens the ledger that it names."""
    spec = json.loads(Path(path).read_text(encoding="utf-8"))
    stacks = Path(spec["stacks"]).open("ab", buffering=0)  # noqa: SIM115 - to the process's end
    faulthandler.register(spec["stacks_signal"], file=stacks, all_threads=True)
    if not faulthandler.is_enabled():  # pytest will turn it to stderr, but not while it loads
        faulthandler.enable(file=stacks)
    _started[:] = [spec, Writer(spec["ledger"], spec["session"]), stacks]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, None]:
    """The first hook of a process: rootdir and options are known, no conftest is imported."""
    spec, writer, _ = _started
    writer.event("begin", **about(writer, pytest.__version__, early_config))
    manager = early_config.pluginmanager
    watch_conftests(manager, writer, str(early_config.rootpath))
    manager.register(Plugin(spec, writer, early_config), "fusible-suite")
    outcome = yield
    if outcome.excinfo is not None and isinstance(outcome.excinfo[1], Exception):
        end(writer, 4)  # pytest says what is wrong and leaves without having been configured
