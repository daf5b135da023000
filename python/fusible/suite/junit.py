"""A JUnit file: one testcase a test, named as pytest's xunit2 names them.

Attempts are written in the dialect of Maven Surefire, which CI servers read: `flakyFailure` and
`flakyError` for what failed before a test passed; `rerunFailure` and `rerunError` for what failed
again after the first failure. The file is never greener than the run: if its exit status is not 0
and no test explains that, a testcase of the runner's own does.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from fusible.suite import document, wording
from fusible.suite.model import Attempt, Failure, Outcome, Summary, Verdict

# What XML 1.0 cannot hold even escaped, surrogates included; DEL too, as pytest does.
_ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\x80-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MESSAGE = 500  # characters of a `message`; the text has all
_SKIPS = {
    Outcome.SKIPPED: "pytest.skip",
    Outcome.XFAILED: "pytest.xfail",
    Outcome.NOT_RUN: "fusible.not-run",
}


def legal(text: str) -> str:
    """Text for XML; what that cannot hold stays visible as #xNN."""
    return _ILLEGAL.sub(lambda match: f"#x{ord(match[0]):02X}", text)


def address(node_id: str) -> tuple[str, str]:
    """(classname, name) of a node id.

    Only what precedes the parameters is cut at `::`; the path loses `.py` and its slashes become
    dots. An id without `::` is all name.
    """
    path, separator, rest = node_id.partition("::")
    path = path.replace("/", ".").removesuffix(".py")
    if not separator:
        return "", path
    names, bracket, parameters = rest.partition("[")
    *classes, name = names.split("::")
    return ".".join([path, *classes]), name + bracket + parameters


def write(path: Path, summary: Summary) -> None:
    """Writes the file whole or not at all."""
    suites = ET.Element("testsuites", name="fusible suite")
    suites.append(_suite(summary))
    text = ET.tostring(suites, encoding="unicode")
    document.write(path, f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def _suite(summary: Summary) -> ET.Element:
    cases = [_case(verdict) for verdict in summary.verdicts]
    red = any(case.find("failure") is not None or case.find("error") is not None for case in cases)
    if summary.exit and not red:
        cases.append(_explanation(summary))
    suite = ET.Element("testsuite", name=legal(summary.suite))
    for attribute, tag in (("errors", "error"), ("failures", "failure"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("tests", str(len(cases)))
    suite.set("time", f"{summary.seconds:.3f}")
    suite.extend(cases)
    if summary.problems:
        ET.SubElement(suite, "system-err").text = legal("\n".join(summary.problems))
    return suite


def _explanation(summary: Summary) -> ET.Element:
    case = ET.Element("testcase", classname="fusible.suite", name="run", time="0.000")
    about = f"exit status {summary.exit}: {wording.MEANING.get(summary.exit, 'unknown')}"
    error = ET.SubElement(case, "error", message=about, type="fusible.run")
    error.text = legal("\n".join([about, *summary.problems]))
    return case


def _case(verdict: Verdict) -> ET.Element:
    classname, name = map(legal, address(verdict.item.id))
    case = ET.Element("testcase", classname=classname, name=name, time=f"{verdict.seconds:.3f}")
    properties = ET.SubElement(case, "properties")
    _property(properties, "nodeid", verdict.item.id)
    if verdict.item.occurrence:
        _property(properties, "occurrence", str(verdict.item.occurrence))
    if verdict.quarantined:
        _skip(case, "fusible.quarantined", f"{verdict.quarantined}: {verdict.reason}")
    elif verdict.outcome in _SKIPS:
        _skip(case, _SKIPS[verdict.outcome], verdict.reason)
    elif verdict.outcome is Outcome.FLAKY:
        _attempts(case, "flaky", wording.failing(verdict))
    elif not verdict.outcome.good:
        _failed(case, verdict)
    return case


def _property(properties: ET.Element, name: str, value: str) -> None:
    ET.SubElement(properties, "property", name=name, value=legal(value))


def _skip(case: ET.Element, kind: str, reason: str) -> None:
    skipped = ET.SubElement(case, "skipped", type=kind, message=_message(reason))
    skipped.text = legal(reason)


def _failed(case: ET.Element, verdict: Verdict) -> None:
    """The first failing attempt is the failure, as Surefire has it; later ones are reruns."""
    attempts = wording.failing(verdict)
    tag = "failure" if verdict.outcome is Outcome.FAILED else "error"
    main = ET.SubElement(case, tag, message=_message(verdict.reason), type=verdict.outcome.value)
    main.text = legal(verdict.reason)
    if attempts:
        main.set("type", _type(attempts[0]))
        main.text = legal(wording.details(attempts[0]))
    _attempts(case, "rerun", attempts[1:])


def _attempts(case: ET.Element, prefix: str, attempts: Sequence[Attempt]) -> None:
    for attempt in attempts:
        kind = "Failure" if attempt.outcome is Outcome.FAILED else "Error"
        element = ET.SubElement(case, prefix + kind, message=_message(attempt.reason))
        element.set("type", _type(attempt))
        ET.SubElement(element, "stackTrace").text = legal(wording.details(attempt))


def _type(attempt: Attempt) -> str:
    first = attempt.failures[0] if attempt.failures else Failure()
    return legal(first.types[0] if first.types else first.signal or attempt.outcome.value)


def _message(text: str) -> str:
    shown = legal(text)
    return shown if len(shown) <= _MESSAGE else shown[: _MESSAGE - 1] + "…"
