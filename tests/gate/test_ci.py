"""The CI's own gates: what stands in ci/ and .ci/run is what is run."""

import runpy
import shutil
import subprocess
from collections import Counter

import pytest

from fusible.gate import baseline, expectation
from fusible.suite import config
from support.gate_commands import git
from support.sources import ROOT

BASELINES = ROOT / "ci" / "baselines"


def test_every_baseline_can_be_read():
    files = sorted(BASELINES.iterdir())
    assert {path.suffix for path in files} == {".json", ".toml"}
    for path in files:
        if path.suffix == ".toml":
            assert expectation.read_fusions(path).fusions is not None
        else:
            assert baseline.load(path).counts()


def test_every_long_test_is_in_a_suite():
    suites = config.load_config(ROOT / "ci" / "suites.toml")
    named = {path for suite in suites.values() for path in suite.paths}
    found = {f"tests/soak/{path.name}" for path in (ROOT / "tests/soak").glob("test_*.py")}
    assert found <= named
    assert "benchmarks/gated" in suites["bench"].paths


@pytest.mark.parametrize(
    ("changed", "suites"),
    [
        ("python/fusible/gate/decide.py", {"soak", "bench"}),
        ("ci/baselines/counts.json", {"bench"}),
        ("README.md", set()),
    ],
)
def test_a_change_asks_for_the_suites_that_look_at_it(tmp_path, changed, suites):
    (tmp_path / "ci").mkdir()
    shutil.copy(ROOT / "ci" / "stages", tmp_path / "ci")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "m")
    (tmp_path / changed).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / changed).write_text("x")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "m")
    words = [str(tmp_path / "ci" / "stages"), "all", "false", "HEAD~1"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    others = done.stdout.splitlines()[1].removeprefix("others=")
    assert {word.strip('[]"') for word in others.split(",")} - {""} == suites


def function_of_ci(name, environment):
    """Runs one of the functions of .ci/run."""
    text = (ROOT / ".ci" / "run").read_text()
    start = text.index(f"{name}() {{")
    body = text[start : text.index("\n}\n", start) + 2]
    return subprocess.run(
        [shutil.which("bash"), "-c", f"{body}\n{name}"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=ROOT,
    )


def test_missing_tools_fail(tmp_path):
    done = function_of_ci("tools", {"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("missing: chromium ")


@pytest.mark.parametrize(
    ("alarms", "changed", "status"),
    [(0, 5, 0), (2, 1, 0), (3, 5, 1), (0, 0, 1)],
)
def test_the_comparison_without_a_change_has_to_find_one_too(alarms, changed, status):
    judged = runpy.run_path(str(ROOT / "benchmarks" / "noop_gate.py"))["status"]
    found = Counter(regressed=changed, inconclusive=5 - changed)
    assert judged(Counter(regressed=alarms), found, 50) == status
