"""This project's own CI: its suites, its stages and its workflow name the same."""

import json
import re
import subprocess

import pytest

from fusible.suite.config import load_config
from support.sources import ROOT

SUITES = load_config(ROOT / "ci/suites.toml")
WORKFLOW = (ROOT / ".github/workflows/tests.yml").read_text()
RUN = (ROOT / ".ci/run").read_text()


def stages(stage, everything, base=""):
    """What ci/stages says, by key."""
    command = [ROOT / "ci/stages", stage, everything, base]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert list(lines) == ["unit", "others"]
    return {key: json.loads(value) for key, value in lines.items()}


def test_suites_name_what_is_there():
    paths = [path for suite in SUITES.values() for path in suite.paths]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_workflow_offers_every_suite():
    (options,) = re.findall(r"options: \[(.*)\]", WORKFLOW)
    assert options.split(", ") == ["all", *SUITES]


def test_every_stage_is_a_suite_and_every_suite_one():
    found = stages("all", "true")
    assert (found["unit"], ["unit", *found["others"]]) == (True, list(SUITES))


@pytest.mark.parametrize("name", SUITES)
def test_a_stage_alone_is_that_suite(name):
    found = stages(name, "false")
    assert found == {"unit": name == "unit", "others": [] if name == "unit" else [name]}


def test_without_a_commit_before_everything_has_changed():
    assert stages("all", "false", "0" * 40) == stages("all", "true")


def test_where_nothing_changed_only_the_unit_tests_run():
    assert stages("all", "false", "HEAD") == {"unit": True, "others": []}


def test_an_unknown_stage_is_refused():
    done = subprocess.run([ROOT / "ci/stages", "x", "true", ""], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")


def test_the_own_ci_runs_every_suite():
    named = set(re.findall(r"--suite (\w+)", RUN))
    assert named | {"sanitizers"} == set(SUITES) - {"contract"}
    assert "suite sanitizers ci/sanitize" in RUN
    # The tests of `contract` are among those of `unit`.
    inside = SUITES["unit"].paths
    assert [p for p in SUITES["contract"].paths if not p.startswith(tuple(inside))] == []
    assert SUITES["unit"].k == SUITES["unit"].markers == ""


def test_the_sweeps_end_within_twenty_minutes():
    assert SUITES["soak"].timeout.suite == 1200


def test_jobs_check_out_the_commit_that_was_chosen():
    refs = re.findall(r"ref: (\$.*)", WORKFLOW)
    assert refs.count("${{ inputs.ref }}") == 1
    assert set(refs) == {"${{ inputs.ref }}", "${{ needs.choose.outputs.commit }}"}
    assert WORKFLOW.count("uses: actions/checkout@") == len(refs)
