"""The test suites of other projects: the same outcome for every test, however it is run."""

import sys
import tarfile
import xml.etree.ElementTree as ET

import pytest

from fusible.suite.junit import address
from support.small_suites import PACKAGE, captured, environment, pytest_alone, run, run_command

# Pure Python, with their tests in the sdist, and no plugin needed.
PACKAGES = {"boltons==26.2.0": ".", "click==8.5.1": "src", "toolz==1.2.0": "."}
KINDS = {"xfailed": "skipped", "xpassed": "passed", "error": "failed", "flaky": "flaky"}


@pytest.fixture(scope="module", params=PACKAGES)
def package(request, tmp_path_factory):
    """A project's folder, and what a run of its tests needs in the environment."""
    folder = tmp_path_factory.mktemp("sdist")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    done = captured([*pip, request.param], cwd=folder, env=environment())
    (archive,) = folder.glob("*.tar.gz")
    assert done.returncode == 0, done.stderr
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    (project,) = (path for path in folder.iterdir() if path.is_dir())
    return project, {"PYTHONPATH": f"{PACKAGE}:{project / PACKAGES[request.param]}"}


@pytest.fixture(scope="module")
def plain(package):
    """What pytest itself says, by (classname, name)."""
    folder, env = package
    arguments = ("--junitxml=plain.xml", "-q", "-p", "no:cacheprovider")
    done = pytest_alone(folder, *arguments, env=env, timeout=600)
    assert done.returncode in (0, 1), done.stdout
    cases = ET.parse(folder / "plain.xml").getroot().iter("testcase")
    return {(case.get("classname"), case.get("name")): outcome_of(case) for case in cases}


def outcome_of(case):
    tags = {child.tag for child in case}
    if tags & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in tags else "passed"


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_same_outcomes_as_by_pytest_alone(package, plain, parts):
    folder, env = package
    found, ledgers = {}, []
    for part in range(parts):
        ledger = f"ledgers-{parts}/{part}.jsonl"
        where = ("--partition-id", str(part), "--total-partitions", str(parts))
        ran = run(folder, "--continue-on-error", *where, "--ledger", ledger, env=env, timeout=600)
        assert ran.exit in (0, 1), ran.explained()
        for test in ran.tests:
            assert address(test["id"]) not in found, test["id"]
            found[address(test["id"])] = KINDS.get(test["outcome"], test["outcome"])
        ledgers.append(ledger)
    assert found == plain
    assert len(found) > 100
    merged = run_command(folder, "merge", *ledgers, env=env)
    assert merged.returncode == int("failed" in plain.values()), merged.stdout
