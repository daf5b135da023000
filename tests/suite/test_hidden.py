"""What plugins hide: exceptions of which they make passes, and tests that they take away."""

import pytest

from support.small_suites import project, run, run_command

HIDES = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().outcome = "passed"
"""


def test_an_exception_of_which_a_plugin_makes_a_pass_is_named(tmp_path):
    tests = "def test_a(): pass\ndef test_b(): raise OSError\n"
    ran = run(project(tmp_path, {"conftest.py": HIDES, "test_a.py": tests}))
    assert ran.exit == 3
    problem = "test_a.py::test_b: raised OSError, of which a plugin has made a pass"
    assert ran.report["problems"] == [problem]


TAKEN = (
    "def pytest_collection_modifyitems(items): del items[1:]\n",
    "def pytest_collection_finish(session): del session.items[1:]\n",
)


# Two processes, one of which collects, would name what the first one does not show the runner.
@pytest.mark.parametrize(
    ("hook", "workers"), [(TAKEN[0], "1"), (TAKEN[0], "2"), (TAKEN[1], "1")], ids=range(3)
)
def test_what_a_plugin_takes_away_is_counted(tmp_path, hook, workers):
    tests = "def test_a(): pass\ndef test_b(): assert False\n"
    folder = project(tmp_path, {"conftest.py": hook, "test_a.py": tests})
    ran = run(folder, "--workers", workers)
    assert (ran.exit, ran.outcomes) == (0, {"test_a": "passed"}), ran.explained()
    assert ran.report["deselected"] == 1
    assert "== 1 passed, 1 deselected in " in run_command(folder, "run").stdout


def test_an_expected_failure_after_a_failure_shows_nothing(tmp_path):
    tests = """
        import pathlib, pytest
        def test_a():
            if pathlib.Path("before").exists():
                pytest.xfail("later")
            pathlib.Path("before").touch()
            assert False
    """
    ran = run(project(tmp_path, {"test_a.py": tests}), "--retries", "1")
    assert (ran.exit, ran.outcomes) == (1, {"test_a": "failed"})
