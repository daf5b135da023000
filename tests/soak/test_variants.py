"""All small suites once more, by the oldest pytest and with an extension that cannot be loaded."""

import importlib.machinery
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.small_suites import captured, environment
from support.sources import ROOT

OLDEST = "pytest==7.2.0"
# All that start a pytest of the tests' interpreter, in two parts that take about as long.
SMALL_SUITES = (
    ("hard_cases", "hidden", "holes", "stale"),
    ("exit", "files", "plugin", "run", "session"),
)


@pytest.fixture(scope="module")
def oldest(tmp_path_factory):
    """An interpreter with the oldest pytest, and without fusible."""
    folder = tmp_path_factory.mktemp("oldest") / "venv"
    made = captured([sys.executable, "-m", "venv", str(folder)], env=environment())
    python = folder / "bin/python"
    pip = [str(python), "-m", "pip", "install", "-q", OLDEST, "coverage"]
    installed = captured(pip, env=environment(), timeout=300)
    assert made.returncode == installed.returncode == 0, installed.stderr
    return {"FUSIBLE_SUITE_PYTHON": str(python)}


@pytest.fixture(scope="module")
def truncated(tmp_path_factory):
    """A copy of the package whose extension is cut off."""
    folder = tmp_path_factory.mktemp("truncated")
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python", folder / "python", ignore=ignored)
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (folder / f"python/fusible/_core{suffix}").write_bytes(b"\x7fELF\x02\x01\x01")
    command = [sys.executable, "-c", "import fusible._core"]
    env = {**environment(), "PYTHONPATH": str(folder / "python")}
    assert "ImportError" in captured(command, env=env).stderr
    # Some of the tests use the package themselves.
    return {"FUSIBLE_SUITE_PACKAGE": str(folder / "python"), "PYTHONPATH": str(folder / "python")}


def test_small_suites(oldest, truncated):
    env = {**os.environ, **oldest, **truncated}

    def part(names):
        files = [f"tests/suite/test_{name}.py" for name in names]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
        return captured(command, cwd=ROOT, env=env, timeout=1200)

    with ThreadPoolExecutor(len(SMALL_SUITES)) as pool:
        for done in pool.map(part, SMALL_SUITES):
            assert done.returncode == 0, done.stdout[-20000:]
            assert " passed" in done.stdout
