"""What every test shares: Hypothesis without deadlines or luck, and the settings restored."""

import pytest
from hypothesis import settings

import fusible

settings.register_profile("steady", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("steady")


def pytest_report_header():
    about = fusible.info()
    isa, threads = about["isa"], about["threads"]
    return f"fusible {about['version']}, {isa['chosen']} of {isa['present']}, {threads} threads"


@pytest.fixture(autouse=True)
def _settings_restored():
    """A test may force an instruction set or a number of threads; the next one starts afresh."""
    from fusible import _core

    isa, threads = _core.chosen_isa(), _core.thread_count()
    yield
    if _core.chosen_isa() != isa:
        _core.force_isa(isa)
    if _core.thread_count() != threads:
        _core.set_threads(threads)
