"""A plan as a matrix of GitHub, GitLab and Buildkite."""

import json
import shlex

import pytest

from fusible.suite import plan
from fusible.suite.matrix import render
from fusible.suite.model import Item, SuiteError

NAME = 'odd "suite" $HOME `x`\n#'


def made(parts, suite="unit"):
    items = [Item(f"a.py::t[{i}]", 0, "a.py") for i in range(6)]
    return plan.assign(items, plan.weights(items), parts, suite)


def test_github_is_one_line_of_json():
    text = render(made(3), "github")
    assert "\n" not in text
    assert json.loads(text) == {
        "include": [{"part": part, "parts": 3, "estimate": 2.0} for part in range(3)]
    }


def test_gitlab_has_a_job_a_partition_and_keeps_ledgers_of_failures():
    jobs = json.loads(render(made(2), "gitlab"))
    assert list(jobs) == ["unit 0:2", "unit 1:2"]
    assert jobs["unit 1:2"]["script"] == [
        "fusible suite run --suite unit --plan .fusible/plan.json"
        " --partition-id 1 --total-partitions 2"
    ]
    assert jobs["unit 0:2"]["artifacts"]["when"] == "always"


def test_buildkite_has_a_step_a_partition():
    steps = json.loads(render(made(2), "buildkite", ["python", "-m", "fusible"], "p l.json"))
    assert shlex.split(steps["steps"][1]["command"]) == [
        *("python", "-m", "fusible", "--suite", "unit", "--plan", "p l.json"),
        *("--partition-id", "1", "--total-partitions", "2"),
    ]


@pytest.mark.parametrize("format", ["gitlab", "buildkite"])
def test_names_cannot_change_the_command(format):
    text = json.loads(render(made(1, NAME), format))
    if format == "gitlab":
        command = text[f"{NAME} 0:1"]["script"][0]
    else:
        # Buildkite reads two dollars as one.
        command = text["steps"][0]["command"].replace("$$", "\0").replace("$", "")
        command = command.replace("\0", "$")
    assert NAME in shlex.split(command)


def test_more_jobs_than_the_system_takes_are_refused():
    with pytest.raises(SuiteError, match="github: expected up to 256 partitions, got 257"):
        render(made(257), "github")


def test_an_unknown_format_is_refused():
    with pytest.raises(SuiteError, match="expected github, gitlab, buildkite, got 'jenkins'"):
        render(made(1), "jenkins")
