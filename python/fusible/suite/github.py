"""GitHub Actions: annotations and the step's summary.

GitHub reads commands out of a step's output, so whatever a test says is written between
`::stop-commands::` and its token, and what we say ourselves is escaped. It shows ten errors and
ten warnings a step and takes 1 MiB of summary; we keep to both and say what was left out.
"""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TextIO

from fusible.suite import wording
from fusible.suite.model import Outcome, Summary, Verdict
from fusible.suite.report import Reporter

SHOWN = 10  # of each level a step
SUMMARY_BYTES = 1024 * 1024
_TEXT = 4000  # characters of an annotation


def active(environment: Mapping[str, str]) -> bool:
    """Whether a step of GitHub Actions runs us."""
    return environment.get("GITHUB_ACTIONS") == "true"


class GithubReporter(Reporter):
    """Plain lines that can't be commands, then annotations and the step's summary."""

    def __init__(
        self, stream: TextIO, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        super().__init__(stream, command)
        self.environment = environment
        self.token = secrets.token_hex(16)  # tests can't know what ends the quotation
        self.quoting = True
        self.stream.write(f"::stop-commands::{self.token}\n")

    def closed(self, summary: Summary) -> None:
        """Writes the closing table, then what GitHub shows beside the code."""
        super().closed(summary)
        self._end_quotation()
        for command in commands(summary, _prefix(self.environment)):
            self.write("", command)
        path = self.environment.get("GITHUB_STEP_SUMMARY")
        if path:
            _append(Path(path), summary, self.command)
        self.stream.flush()

    def refused(self, why: str) -> None:
        """Annotates the step, after which commands are heard again."""
        self._end_quotation()
        self.write("", f"::error title=fusible suite::{_text(why)}")
        self.stream.flush()

    def _end_quotation(self) -> None:
        if self.quoting:
            self.quoting = False
            self.stream.write(f"::{self.token}::\n")


def escape(text: str) -> str:
    """For the message of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """For a property of a command: the comma and the colon end one."""
    return escape(text).replace(":", "%3A").replace(",", "%2C")


def commands(summary: Summary, prefix: str = "") -> list[str]:
    """Commands for what failed and for what is flaky, worst first.

    Args:
        summary: the end of the run.
        prefix: pytest's rootdir relative to the repository, for GitHub to find the files.
    """
    red = wording.worst_first(filter(wording.bad, summary.verdicts))
    odd = [v for v in summary.verdicts if v.quarantined or v.outcome is Outcome.FLAKY]
    errors = [_command("error", verdict, prefix) for verdict in red]
    problems = [f"::error title=fusible suite::{_text(p)}" for p in summary.problems]
    warnings = [_command("warning", verdict, prefix) for verdict in odd]
    return _capped("error", [*problems, *errors]) + _capped("warning", warnings)


def _command(level: str, verdict: Verdict, prefix: str) -> str:
    item = verdict.item
    place = {"title": f"{verdict.outcome.value}: {wording.line(str(item))}"}
    if item.file:
        place["file"] = str(PurePosixPath(prefix, item.file))
        number = _line_number(verdict)
        if number:
            place["line"] = number
    properties = ",".join(f"{key}={escape_property(value)}" for key, value in place.items())
    return f"::{level} {properties}::{_text(verdict.reason or verdict.outcome.value)}"


def _text(text: str) -> str:
    return escape(wording.printable(text)[:_TEXT])


def _line_number(verdict: Verdict) -> str:
    """Where in its own file a test failed last, as its text says; empty if it does not."""
    texts = [f.text for attempt in wording.failing(verdict) for f in attempt.failures]
    place = re.compile(rf"^(?:\S*/)?{re.escape(verdict.item.file)}:(\d+):", re.MULTILINE)
    found: list[str] = place.findall("\n".join(texts))
    return found[-1] if found else ""


def _capped(level: str, found: Sequence[str]) -> list[str]:
    if len(found) <= SHOWN:
        return list(found)
    more = len(found) - SHOWN + 1
    return [*found[: SHOWN - 1], f"::{level} title=fusible suite::and {more} more: see the log"]


def step_summary(summary: Summary, command: Sequence[str], size: int = SUMMARY_BYTES) -> str:
    """Markdown of at most `size` bytes: the counts, then a row for each test worth one."""
    mark = "✅" if summary.exit == 0 else "❌"
    about = html.escape(wording.printable(wording.closing_sentence(summary)))
    title = f"### {mark} {html.escape(wording.line(summary.suite))}\n\n{about}\n\n"
    problems = [f"- {_cell(problem)}\n" for problem in summary.problems]
    chosen = [v for v in summary.verdicts if not v.outcome.good or v.outcome is Outcome.FLAKY]
    chosen = wording.worst_first(chosen)
    head = "\n| outcome | test | reason | again |\n|---|---|---|---|\n" if chosen else ""
    rows = [_row(verdict, command) for verdict in chosen]
    return _fitting([title, *problems, head, *rows], size)


def _row(verdict: Verdict, command: Sequence[str]) -> str:
    again = wording.rerun(verdict, command) if wording.bad(verdict) else ""
    reason = verdict.quarantined or verdict.reason
    outcome = "quarantined" if verdict.quarantined else verdict.outcome.value
    cells = (outcome, _cell(str(verdict.item)), _cell(wording.line(reason)), _cell(again))
    return f"| {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    """Text as code, by HTML: Markdown's own marks have no escape that holds in a table."""
    shown = html.escape(wording.printable(text).replace("\n", " "))
    # Characters that Markdown would still see inside an element.
    shown = re.sub(r"[|`*_\[\]\\~@#:!$]", lambda match: f"&#{ord(match[0])};", shown)
    return f"<code>{shown}</code>" if shown else ""


def _fitting(parts: Sequence[str], size: int) -> str:
    """As many whole parts as fit, and how many did not."""
    note = "\n{} more did not fit: see the log.\n"
    room = size - len(note.format(len(parts)).encode())
    kept: list[str] = []
    for part in parts:
        room -= len(part.encode())
        if room < 0:
            return "".join(kept) + note.format(len(parts) - len(kept))
        kept.append(part)
    return "".join(kept)


def _prefix(environment: Mapping[str, str]) -> str:
    """The working directory relative to the repository's checkout."""
    workspace = environment.get("GITHUB_WORKSPACE")
    here = Path.cwd()
    if not workspace or not here.is_relative_to(workspace):
        return ""
    relative = here.relative_to(workspace).as_posix()
    return "" if relative == "." else relative


def _append(path: Path, summary: Summary, command: Sequence[str]) -> None:
    room = SUMMARY_BYTES - (path.stat().st_size if path.exists() else 0)
    text = step_summary(summary, command, room) if room > 0 else ""
    if len(text.encode()) <= room:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
