"""What a person sees of a run: progress while it goes on, a closing table, and the JSON form."""

from __future__ import annotations

import atexit
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from fusible.suite import wording
from fusible.suite.model import Item, Outcome, Summary, Verdict

SLOWEST = 5  # how many are listed, of those that took at least SLOW seconds
SLOW = 0.5
LISTED = 50  # of a section's tests; --json, JUnit and the ledger have all
TEXT_LINES = 60  # of one failure's text: the end, where the exception stands
COMMAND = ("fusible", "suite", "run")
BEAT = 30.0  # seconds between two lines of progress in a log
REDRAW = 0.1  # seconds between two drawings on a terminal

_STYLES = {
    Outcome.FLAKY: "yellow",
    Outcome.NOT_RUN: "yellow",
    Outcome.SKIPPED: "dim",
    Outcome.PASSED: "green",
}
Line = tuple[str, str]  # style for a terminal, text


def summary_json(summary: Summary) -> dict[str, Any]:
    """The object that `--json` prints. `deselected` and `problems` are there if there are some."""
    verdicts = summary.verdicts
    found: dict[str, Any] = {
        "exit": summary.exit,
        "tests": [_test_json(verdict) for verdict in verdicts],
        "not_run": [str(v.item) for v in verdicts if v.outcome is Outcome.NOT_RUN],
        "lost": [str(v.item) for v in verdicts if v.outcome is Outcome.LOST],
    }
    if summary.deselected:
        found["deselected"] = summary.deselected
    if summary.problems:
        found["problems"] = list(summary.problems)
    return found


def _test_json(verdict: Verdict) -> dict[str, Any]:
    test: dict[str, Any] = {
        "id": verdict.item.id,
        "outcome": verdict.outcome.value,
        "attempts": len(verdict.attempts),
        "reason": verdict.reason,
        "duration": round(verdict.seconds, 6),
    }
    if verdict.item.occurrence:
        test["occurrence"] = verdict.item.occurrence
    if verdict.quarantined:
        test["quarantined"] = verdict.quarantined
    return test


def closing(summary: Summary, command: Sequence[str]) -> Iterator[Line]:
    """The lines after a run: failures with how to rerun them, flaky, skipped, slowest, problems."""
    for verdict in wording.worst_first(filter(wording.bad, summary.verdicts))[:LISTED]:
        yield from _failure(verdict, command)
    yield from _section("quarantined", [v for v in summary.verdicts if v.quarantined])
    for outcome in (Outcome.FLAKY, Outcome.NOT_RUN):
        chosen = [v for v in summary.verdicts if v.outcome is outcome and not v.quarantined]
        yield from _section(outcome.value, chosen)
    yield from _skipped(summary)
    yield from _slowest(summary)
    yield from _table(summary, command)
    for problem in summary.problems:
        yield "red", f"problem: {wording.printable(problem)}"
    style = "bold green" if summary.exit == 0 else "bold red"
    yield style, f"== {wording.closing_sentence(summary)} =="


def _failure(verdict: Verdict, command: Sequence[str]) -> Iterator[Line]:
    """One failure in full: the text of its last failing attempt."""
    yield "bold red", f"-- {verdict.outcome.value}: {wording.printable(str(verdict.item))}"
    attempts = wording.failing(verdict)
    text = wording.details(attempts[-1]) if attempts else verdict.reason
    lines = wording.printable(text).splitlines()
    if len(lines) > TEXT_LINES:
        yield "dim", f"   ({len(lines) - TEXT_LINES} lines before these: see the ledger)"
    for one in lines[-TEXT_LINES:]:
        yield "", f"   {one}"
    yield "cyan", f"   again: {wording.printable(wording.rerun(verdict, command))}"


def _table(summary: Summary, command: Sequence[str]) -> Iterator[Line]:
    """One line for each failure: in a long log this is what is read first."""
    found = wording.worst_first(filter(wording.bad, summary.verdicts))
    for verdict in found[:LISTED]:
        about = f"{verdict.outcome.value:<8} {wording.printable(str(verdict.item))}"
        yield "red", f"{about}: {wording.line(verdict.reason)}"
    if len(found) > LISTED:
        yield "red", f"and {len(found) - LISTED} more (all of them: --json)"


def _section(title: str, verdicts: Sequence[Verdict]) -> Iterator[Line]:
    if not verdicts:
        return
    yield "yellow", f"-- {title}: {len(verdicts)}"
    for verdict in verdicts[:LISTED]:
        about = wording.line(verdict.quarantined or verdict.reason)
        name = wording.printable(str(verdict.item))
        yield "yellow", f"   {name}: {about}" if about else f"   {name}"
    if len(verdicts) > LISTED:
        yield "yellow", f"   and {len(verdicts) - LISTED} more"


def _skipped(summary: Summary) -> Iterator[Line]:
    """Skips by reason: forty tests without a GPU are one line."""
    reasons: dict[str, int] = {}
    for verdict in summary.verdicts:
        if verdict.outcome in (Outcome.SKIPPED, Outcome.XFAILED):
            reason = f"{verdict.outcome.value}: {wording.line(verdict.reason) or 'no reason given'}"
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, number in list(reasons.items())[:LISTED]:
        yield "dim", f"{number:5d} {reason}"


def _slowest(summary: Summary) -> Iterator[Line]:
    slow = sorted(summary.verdicts, key=lambda verdict: -verdict.seconds)[:SLOWEST]
    for verdict in slow:
        if verdict.seconds >= SLOW:
            yield "dim", f"{verdict.seconds:8.2f} s {wording.printable(str(verdict.item))}"


class Reporter:
    """Writes plain lines: a bad outcome at once, a line of progress every half minute."""

    def __init__(self, stream: TextIO, command: Sequence[str] = COMMAND) -> None:
        self.stream = stream
        self.command = tuple(command)
        self.total = 0
        self.done = 0
        self.red = 0
        self.start = self.shown = time.monotonic()
        self.running: dict[int, Item] = {}

    def planned(self, items: Sequence[Item], sessions: int) -> None:
        """The plan is known: what will run, in how many processes."""
        self.total = len(items)
        tests = "1 test" if self.total == 1 else f"{self.total} tests"
        self.write("", tests + (f" in {sessions} processes" if sessions > 1 else ""))

    def started(self, index: int, item: Item, worker: int) -> None:
        """A test begins."""
        self.running[worker] = item
        self.progress()

    def finished(self, verdict: Verdict) -> None:
        """The last word on a test is known."""
        self.done += 1
        if wording.bad(verdict) or verdict.outcome is Outcome.FLAKY or verdict.quarantined:
            self.red += wording.bad(verdict)
            style = _STYLES.get(verdict.outcome, "red")
            name = wording.printable(str(verdict.item))
            self.write(style, f"{verdict.outcome.value} {name}: {wording.line(verdict.reason)}")
        self.progress()

    def note(self, text: str) -> None:
        """What a reader of the log should know: a retry, a process that died."""
        self.write("dim", wording.printable(text))

    def closed(self, summary: Summary) -> None:
        """Writes the closing table."""
        for style, text in closing(summary, self.command):
            self.write(style, text)
        self.stream.flush()

    def refused(self, why: str) -> None:
        """The run could not begin, or could not be told of; the command says why by itself."""

    def progress(self) -> None:
        """Says where it stands, if that was long ago."""
        now = time.monotonic()
        if now - self.shown >= BEAT:
            self.shown = now
            self.write("dim", f"{self.state()}, {now - self.start:.0f} s")

    def state(self) -> str:
        """For example `12 of 40, 1 failed`."""
        return f"{self.done} of {self.total}" + (f", {self.red} failed" if self.red else "")

    def write(self, style: str, text: str) -> None:
        """Writes a line; what the stream's encoding lacks is escaped instead of raising."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


class LiveReporter(Reporter):
    """On a terminal: the same lines in colour above one that shows what runs now.

    Nothing is drawn by a thread: the runner starts processes, and a lock held by another thread
    at that moment would be held in the child for ever.
    """

    def __init__(self, stream: TextIO, command: Sequence[str] = COMMAND) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(stream, command)
        self.console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self.live = Live(
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.live.start()
        atexit.register(self.live.stop)  # the cursor comes back even after an error of our own

    def progress(self) -> None:
        """Draws the line, at most ten times a second."""
        from rich.text import Text

        now = time.monotonic()
        if now - self.shown < REDRAW:
            return
        self.shown = now
        names = "  ".join(wording.printable(item.id) for item in self.running.values())
        text = f"{self.state()}, {now - self.start:.0f} s  {names}"
        self.live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

    def closed(self, summary: Summary) -> None:
        """Ends the live line, then writes the closing table."""
        self.live.stop()
        super().closed(summary)

    def write(self, style: str, text: str) -> None:
        """Writes a line above the live one."""
        self.console.print(text, style=style or None, soft_wrap=True)


def reporter(
    stream: TextIO, environment: Mapping[str, str], command: Sequence[str] = COMMAND
) -> Reporter:
    """The one for this stream: live on a terminal, with annotations on GitHub, else plain lines.

    Args:
        stream: where people read; standard error where standard output is for `--json`.
        environment: the runner's, which says whether GitHub runs it.
        command: what a rerun starts with: the options that choose suite, paths and interpreter.
    """
    from fusible.suite import github

    if github.active(environment):
        return github.GithubReporter(stream, command, environment)
    return LiveReporter(stream, command) if stream.isatty() else Reporter(stream, command)
