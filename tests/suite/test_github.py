"""GitHub: a test can neither speak to it nor break what we say."""

import io

import pytest

from fusible.suite import github, report
from fusible.suite.model import Attempt, Failure, Item, Outcome, Summary, Verdict
from support.small_suites import project, run

COMMAND = ("fusible", "suite", "run")
HOSTILE = "::error::100% wrong\r\nnext | `x` <b> @someone"


def verdict(name="t.py::test_a", outcome=Outcome.FAILED, reason="boom", text="", **rest):
    attempt = Attempt(outcome, failures=(Failure("call", (), reason, text),))
    return Verdict(Item(name, file=name.partition("::")[0]), outcome, (attempt,), reason, **rest)


def test_annotation_names_file_line_and_reason():
    found = verdict("d/t.py::test_a", text="d/t.py:3: in f\n\nd/t.py:12: ValueError")
    assert github.commands(Summary([found], (), 1), "sub") == [
        "::error title=failed%3A d/t.py%3A%3Atest_a,file=sub/d/t.py,line=12::boom"
    ]


def test_message_and_properties_are_escaped():
    (command,) = github.commands(Summary([verdict("a,b:c.py::t", reason=HOSTILE)], (), 1))
    assert "\n" not in command
    assert "\r" not in command
    assert command.endswith("::::error::100%25 wrong\\r%0Anext | `x` <b> @someone")
    assert ",file=a%2Cb%3Ac.py::" in command


def test_flaky_and_quarantined_are_warnings():
    flaky = verdict("t.py::f", Outcome.FLAKY, "flaky (1 of 2)")
    known = verdict("t.py::q", quarantined="known")
    levels = [c.split(" ")[0] for c in github.commands(Summary([flaky, known], (), 0))]
    assert levels == ["::warning", "::warning"]


def test_at_most_ten_of_each_level_and_the_worst_first():
    failed = [verdict(f"t.py::f{i}") for i in range(30)]
    flaky = [verdict(f"t.py::w{i}", Outcome.FLAKY) for i in range(11)]
    crash = verdict("t.py::crash", Outcome.CRASHED, "SIGSEGV")
    found = github.commands(Summary([*failed, *flaky, crash], ["a problem"], 3))
    errors = [c for c in found if c.startswith("::error")]
    warnings = [c for c in found if c.startswith("::warning")]
    assert (len(errors), len(warnings)) == (10, 10)
    assert errors[0].endswith("a problem")
    assert "SIGSEGV" in errors[1]
    assert "and 23 more" in errors[-1]
    assert "and 2 more" in warnings[-1]


def test_summary_escapes_what_markdown_reads():
    text = github.step_summary(Summary([verdict(f"t.py::a[{HOSTILE}]")], (), 1), COMMAND)
    (row,) = (line for line in text.splitlines() if line.startswith("| failed"))
    assert row.count("|") == 5
    assert "<b>" not in row
    assert "`" not in row
    assert "@" not in row


def test_green_run_has_a_summary_without_a_table():
    text = github.step_summary(Summary([verdict(outcome=Outcome.PASSED)], (), 0), COMMAND)
    assert "1 passed" in text
    assert "| outcome" not in text


def test_summary_keeps_to_its_size_in_bytes():
    many = [verdict(f"t.py::é{i}" * 20) for i in range(9000)]
    text = github.step_summary(Summary(many, (), 1), COMMAND)
    assert len(text.encode()) <= github.SUMMARY_BYTES
    assert len(text.encode()) > github.SUMMARY_BYTES - 3000
    assert text.endswith("more did not fit: see the log.\n")


def run_on_github(tmp_path, *verdicts):
    environment = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    stream = io.StringIO()
    made = report.reporter(stream, environment, COMMAND)
    made.planned([v.item for v in verdicts], 1)
    for one in verdicts:
        made.finished(one)
    made.closed(Summary(verdicts, (), 1))
    return stream.getvalue().splitlines()


def test_nothing_that_a_test_says_is_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = run_on_github(tmp_path, verdict(text="::error::forged\n::set-output name=x::y"))
    token = lines[0].removeprefix("::stop-commands::")
    assert len(token) == 32
    end = lines.index(f"::{token}::")
    inside, outside = lines[1:end], lines[end + 1 :]
    assert any("forged" in line for line in inside)
    assert outside == ["::error title=failed%3A t.py%3A%3Atest_a,file=t.py::boom"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("nope.py",), "file or directory not found%3A nope.py"),
        (("--suite", "nope"), "suites.toml"),
        (("--junit", "test_a.py/j.xml"), "test_a.py"),
    ],
    ids=["pytest", "options", "report"],
)
def test_a_refused_run_lets_commands_be_heard_again(tmp_path, arguments, why):
    folder = project(tmp_path, {"test_a.py": "def test_a(): pass\n"})
    done = run(folder, *arguments, env={"GITHUB_ACTIONS": "true"})
    assert done.exit == 2, done.explained()
    lines = done.stderr.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert lines.count(f"::{token}::") == 1
    commands = [line for line in lines[lines.index(f"::{token}::") :] if line.startswith("::error")]
    assert len(commands) == 1
    assert commands[0].startswith("::error title=fusible suite::")
    assert why.replace("%3A", ":") in commands[0]


def test_summary_is_appended_and_never_too_long(tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    run_on_github(tmp_path, verdict())
    assert path.read_text().startswith("before\n### ❌ default")
    path.write_text("x" * github.SUMMARY_BYTES)
    run_on_github(tmp_path, verdict())
    assert path.stat().st_size == github.SUMMARY_BYTES


def test_elsewhere_there_are_no_commands():
    stream = io.StringIO()
    report.reporter(stream, {}, COMMAND).closed(Summary([verdict()], (), 1))
    assert not any(line.startswith("::") for line in stream.getvalue().splitlines())
