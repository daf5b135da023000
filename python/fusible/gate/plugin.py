"""The pytest fixture `gate`; pytest loads it when it is asked for: `-p fusible.gate.plugin`.

Without `--gate-baseline`, times, values and counts are only recorded; `gate.faster` always decides.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusible.gate import document, earlier
from fusible.gate.gauge import Gate
from fusible.gate.model import GateError, Verdict
from fusible.gate.session import PerformanceRegression, Session, Undecided, sentence

__all__ = ["Gate", "PerformanceRegression", "Undecided"]

_KEY: pytest.StashKey[Session] = pytest.StashKey()
_OPTIONS = (
    ("--gate-baseline", "append", "Compare with this baseline file; may be given again."),
    ("--gate-samples", "store", "Write all samples here, as JSON lines."),
)
_FLAGS = (
    ("--gate-require-decision", "Fail a test where the gate can't decide."),
    ("--gate-allow-inconclusive", "Let gate.faster pass where nothing is shown."),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("fusible gate")
    for name, action, words in _OPTIONS:
        group.addoption(name, action=action, metavar="FILE", default=None, help=words)
    for name, words in _FLAGS:
        group.addoption(name, action="store_true", default=False, help=words)


def pytest_configure(config: pytest.Config) -> None:
    """Makes what the session's tests share; what is wrong with a baseline is said at once."""
    session = config.stash[_KEY] = Session(
        [Path(path) for path in config.getoption("--gate-baseline") or ()],
        bool(config.getoption("--gate-require-decision")),
        bool(config.getoption("--gate-allow-inconclusive")),
        earlier=earlier.load(os.environ),
    )
    try:
        session.loaded()
    except (GateError, OSError) as error:
        raise pytest.UsageError(f"--gate-baseline: {error}") from None
    except ModuleNotFoundError as error:
        words = f"this needs the package {error.name}: pip install 'fusible[gate]'"
        raise pytest.UsageError(f"--gate-baseline: {words}") from None


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> Iterator[Gate]:
    """Measures in this test: `gate.time`, `value`, `count`, `faster`, `with gate.stage(...)`."""
    session = request.config.stash[_KEY]
    known = len(session.findings)
    one = Gate(session, request.node.nodeid)
    try:
        yield one
        one.close()
    finally:
        # Reports, such as JUnit's, have the findings of tests that passed, too.
        for finding in session.findings[known:]:
            request.node.user_properties.append((f"gate {finding.name}", sentence(finding)))


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Notes that not all tests of the files run."""
    if items:
        items[0].config.stash[_KEY].whole = False


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tells what no test has measured, and writes the samples."""
    held = session.config.stash[_KEY]
    if held.baselines and _is_whole(session):
        missing = held.unmeasured({item.nodeid.partition("::")[0] for item in session.items})
        if missing and held.require_decision and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    _write_samples(session)


def _is_whole(session: pytest.Session) -> bool:
    """Whether every test of its files ran here: no -k, no id, no early stop, no other process."""
    config = session.config
    narrowed = any("::" in argument for argument in config.args)
    elsewhere = hasattr(config, "workerinput") or config.pluginmanager.hasplugin("dsession")
    # The plugin of `fusible suite`, which runs partitions and goes on after a crash.
    elsewhere = elsewhere or config.pluginmanager.hasplugin("_fusible_suite.plugin")
    stopped = bool(session.shouldstop or session.shouldfail or config.option.collectonly)
    return config.stash[_KEY].whole and not (narrowed or elsewhere or stopped)


def _write_samples(session: pytest.Session) -> None:
    """Of each worker of pytest-xdist into a file of its own."""
    given = session.config.getoption("--gate-samples")
    if not given:
        return
    path = Path(given)
    worker = getattr(session.config, "workerinput", {}).get("workerid")
    if worker:
        path = path.with_name(f"{path.stem}.{worker}{path.suffix}")
    lines = session.config.stash[_KEY].lines()
    document.write(path, "".join(json.dumps(line) + "\n" for line in lines))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Says how often each verdict was given, and what was not decided."""
    findings = config.stash[_KEY].findings
    if not findings:
        return
    terminalreporter.section("fusible gate")
    for finding in findings:
        if not finding.verdict.passed:
            terminalreporter.write_line(sentence(finding))
    counts = Counter(finding.verdict for finding in findings)
    words = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    terminalreporter.write_line(", ".join(words))
