"""The gate never loads the extension, and neither do its tests."""

import pytest


@pytest.fixture(autouse=True)
def _settings_restored():
    """In place of the fixture of all other tests, which asks the extension."""
