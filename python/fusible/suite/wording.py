"""How the runner's findings are said: shared by terminal, JUnit and GitHub."""

from __future__ import annotations

import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from fusible.suite.model import Attempt, Failure, Outcome, Summary, Verdict

# Worst first: the order of sections, of counts, and of what a cap drops last.
ORDER = (
    Outcome.CRASHED,
    Outcome.TIMEOUT,
    Outcome.LOST,
    Outcome.ERROR,
    Outcome.FAILED,
    Outcome.FLAKY,
    Outcome.NOT_RUN,
    Outcome.XFAILED,
    Outcome.XPASSED,
    Outcome.SKIPPED,
    Outcome.PASSED,
)
MEANING = {
    0: "all is well",
    1: "tests failed",
    2: "wrong input",
    3: "something was lost, crashed or hung",
    4: "flaky tests, and --fail-on-flaky",
    5: "nothing was selected",
    130: "interrupted",
    143: "terminated",
}
_KEPT = "\n\t"


def printable(text: str) -> str:
    r"""Text that cannot steer a terminal or a log: control characters and surrogates as \xNN."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(char: str) -> str:
    # Cc controls, Cf turns the direction of writing, Cs can't be encoded.
    if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs"):
        return char
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def line(text: str, width: int = 200) -> str:
    """The first line of a text, bounded."""
    first = printable(text.strip().partition("\n")[0])
    return first if len(first) <= width else first[: width - 1] + "…"


def bad(verdict: Verdict) -> bool:
    """Whether this verdict is what makes a run red; what never started is no failure."""
    good = verdict.outcome.good or verdict.outcome is Outcome.NOT_RUN
    return not good and not verdict.quarantined


def worst_first(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Sorted by outcome; equal ones stay in the order of the plan."""
    return sorted(verdicts, key=lambda verdict: ORDER.index(verdict.outcome))


def counts(summary: Summary) -> str:
    """For example `1 failed, 2 flaky, 30 passed`; quarantined failures are counted as such."""
    named = Counter(
        "quarantined" if verdict.quarantined else verdict.outcome.value
        for verdict in summary.verdicts
    )
    order = [outcome.value for outcome in ORDER]
    order.insert(order.index("flaky"), "quarantined")
    parts = [f"{named[name]} {name}" for name in order if named[name]]
    parts += [f"{summary.deselected} deselected"] if summary.deselected else []
    return ", ".join(parts) or "no tests"


def closing_sentence(summary: Summary) -> str:
    """The last line of a run."""
    meaning = MEANING.get(summary.exit, "")
    about = f"exit {summary.exit}" + (f": {meaning}" if meaning else "")
    where = f" of partition {summary.part} of {summary.parts}" if summary.parts > 1 else ""
    return f"{counts(summary)}{where} in {summary.seconds:.2f} s ({about})"


def failing(verdict: Verdict) -> list[Attempt]:
    """Attempts that were not good, in order."""
    return [attempt for attempt in verdict.attempts if not attempt.outcome.good]


def details(attempt: Attempt) -> str:
    """Everything that is known of why an attempt was not good, a part for each phase."""
    parts = [_part(failure, len(attempt.failures) > 1) for failure in attempt.failures]
    if not parts:
        parts = [attempt.reason or attempt.outcome.value]
    if attempt.outcome.alarming and attempt.before:
        parts.append("ran before it in that process, the latest last:\n" + _listed(attempt.before))
    if attempt.output:
        parts.append(f"output of its process: {attempt.output}")
    return "\n".join(parts)


def _part(failure: Failure, several: bool) -> str:
    heading = f"[{failure.phase}]\n" if several and failure.phase else ""
    return heading + (failure.text or failure.message)


def _listed(ids: Sequence[str]) -> str:
    return "\n".join(f"  {name}" for name in ids)


def rerun(verdict: Verdict, command: Sequence[str]) -> str:
    """The shell line that runs exactly this again.

    A file that can't be collected is named as a path, a conftest by the folder that it is for. A
    test is named by --repeat, which matches whole ids: as an argument of pytest an id could select
    several tests, or none.
    """
    item = verdict.item
    if item.id == item.file:
        path = PurePosixPath(item.file)
        return shlex.join([*command, str(path.parent if path.name == "conftest.py" else path)])
    return shlex.join([*command, "--repeat", "1", item.id])
