"""How a report reads on a terminal: a line a metric, then what counts: the last line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from fusible.gate import names
from fusible.gate.model import Finding, Report, Verdict

_ORDER = (
    *(Verdict.REGRESSED, Verdict.MISSING, Verdict.INCONCLUSIVE, Verdict.ADVISORY),
    *(Verdict.IMPROVED, Verdict.UNCHANGED),
)


def lines(report: Report, code: int | None = None) -> list[str]:
    """A report as text.

    Args:
        report: what was found.
        code: the exit status, where options changed it.
    """
    rows = [*_table(report.findings, report.geometric_mean)]
    notes = [f"note: {names.visible(note)}" for note in report.notes]
    return [*rows, *notes, last_line(report, report.exit if code is None else code)]


def _table(findings: Sequence[Finding], mean: Finding | None) -> Iterable[str]:
    """Worst first, so that what matters stands above what doesn't."""
    shown = sorted(findings, key=lambda finding: _ORDER.index(finding.verdict))
    shown += [] if mean is None else [mean]
    named = [(names.visible(finding.name), finding) for finding in shown]
    width = max((len(name) for name, _ in named), default=0)
    for name, finding in named:
        row = f"{_word(finding):12}  {name:{width}}  {_change(finding)}"
        yield f"{row}  {names.visible(finding.reason)}".rstrip()


def _word(finding: Finding) -> str:
    return f"({finding.verdict.value})" if finding.control else finding.verdict.value


def _change(finding: Finding) -> str:
    """The change of the slowness with its interval: +3.0 % is 3 % worse."""
    if not math.isfinite(finding.ratio):
        return f"{'-':>7}  {'':22}"
    interval = f"[{_percent(finding.low)}, {_percent(finding.high)}]"
    return f"{_percent(finding.ratio):>7}  {interval:22}  n={finding.n}{_p(finding.p)}"


def _percent(ratio: float) -> str:
    if not math.isfinite(ratio) or ratio <= 0:
        return "?"
    return f"{ratio - 1:+.1%}"


def _p(p: float) -> str:
    return "" if math.isnan(p) else f" p={p:.2g}"


def last_line(report: Report, code: int) -> str:
    """How many of each verdict, what it comes to, and the exit status."""
    counted = Counter(f.verdict for f in report.findings if not f.control)
    told = [f"{counted[verdict]} {verdict.value}" for verdict in _ORDER if counted[verdict]]
    return f"{', '.join(told) or 'nothing was compared'}: {report.verdict.value} (exit {code})"
