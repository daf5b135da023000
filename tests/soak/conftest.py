"""Long tests of the runner: run by `.ci/run`, not by the README's test command."""

import os

import pytest

PERCENT = int(os.environ.get("FUSIBLE_SOAK_PERCENT", "100"))


@pytest.fixture(autouse=True)
def _settings_restored():
    """In place of the fixture of all other tests, which asks the extension."""


@pytest.fixture
def rounds():
    """How often a sweep tries: all of a number, or the percentage that is asked for."""
    return lambda number: max(1, number * PERCENT // 100)
