"""Files that cannot be collected, plugins that interfere, options that hide things."""

from suite.cases.ids import LOGGING
from support.small_suites import Case

BROKEN = {
    "test_import.py": "import no_such_module",
    "test_syntax.py": "def test_x(:",
    "test_signal.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
    "test_zero.py": "import os\nos._exit(0)",
    "test_good.py": "def test_good(): pass",
    "test_noise.py": """
        import warnings
        print("::error::noise")
        print("test_noise.py::test_phantom PASSED")
        warnings.warn("at import")
        def test_noise(): pass
    """,
    "test_where.py": """
        import os
        os.chdir("/")
        open("/dev/null", "w").close()
        def test_elsewhere(): pass
    """,
    "test_no_module.py": "import pytest\npytest.importorskip('no_such_module')",
    "test_skipped.py": "import pytest\npytest.skip('not here', allow_module_level=True)",
}
HANGS = {
    "test_a_hang.py": "import time\ntime.sleep(600)",
    "test_good.py": "def test_good(): pass",
}
# Shuffles after everybody else, differently in every process.
SHUFFLED = {
    "conftest.py": """
        import random, pytest
        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(items):
            random.Random().shuffle(items)
    """,
    "test_a.py": """
        import pytest
        @pytest.mark.parametrize("x", range(8))
        def test_p(x): pass
    """,
    "test_b.py": "def test_b(): assert False",
}
# The process that only collects sees all of them; the one that runs finds one gone, one come.
CHANGING = {
    "conftest.py": """
        import pathlib, pytest
        seen = pathlib.Path(__file__).parent / "seen"
        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(items):
            if seen.exists():
                items[:] = [i for i in items if i.name != "test_gone"]
            else:
                items[:] = [i for i in items if i.name != "test_new"]
            seen.touch()
    """,
    "test_a.py": "def test_gone(): pass\ndef test_new(): assert False\ndef test_stays(): pass",
}
SWALLOWED = {
    "conftest.py": """
        def pytest_runtest_protocol(item, nextitem):
            return True if item.name == "test_swallowed" else None
    """,
    "test_a.py": "def test_swallowed(): assert False\ndef test_other(): pass",
}
STOPPING = {
    "test_a.py": "import no_such_module",
    "test_b.py": "def test_1(): assert False\ndef test_2(): pass",
    "test_c.py": "def test_3(): assert False\ndef test_4(): pass",
}
STOPPED = {"test_1": "failed", "test_2": "passed", "test_3": "failed", "test_4": "passed"}
WARNING = {
    "test_a.py": "import warnings\nwarnings.warn('at import')\ndef test_a(): pass",
    "test_b.py": "import warnings\ndef test_b(): warnings.warn('in the test')\ndef test_c(): pass",
}
EMPTY = {
    "pytest.ini": "[pytest]\nempty_parameter_set_mark = fail_at_collect\n",
    "test_a.py": "import pytest\n@pytest.mark.parametrize('x', [])\ndef test_none(x): pass",
    "test_b.py": "def test_b(): pass",
}
TWICE = """
    import os, pytest
    from logged import log
    def test_first(): log("first")
    def test_crash(): os._exit(0)
    def test_last(): log("last")
"""
TWICE_OUTCOMES = {"test_first": "passed", "test_crash": "crashed", "test_last": "passed"}
KEPT = "[pytest]\naddopts = --keep-duplicates\n"
NO_LOOP = {
    "conftest.py": "def pytest_runtestloop(session): return True",
    "test_a.py": "def test_a(): assert False",
}

CASES = [
    Case(
        "broken files",
        BROKEN,
        {
            "test_import.py": "error",
            "test_syntax.py": "error",
            "test_signal.py": "crashed",
            "test_zero.py": "crashed",
            "test_good": "passed",
            "test_noise": "passed",
            "test_elsewhere": "passed",
            "test_no_module.py": "skipped",
            "test_skipped.py": "skipped",
        },
        exit=3,
        reasons={
            "test_import.py": "No module named 'no_such_module'",
            "test_syntax.py": "SyntaxError",
            "test_signal.py": "SIGSEGV",
            "test_zero.py": "exit status 0",
            "test_skipped.py": "not here",
        },
    ),
    Case(
        "import that hangs",
        HANGS,
        {"test_a_hang.py": "timeout", "test_good": "passed"},
        exit=3,
        arguments=("--timeout-file", "2"),
    ),
    Case(
        "conftest that raises",
        {"conftest.py": "raise ValueError('no set-up')", "test_a.py": "def test_a(): pass"},
        {"conftest.py": "error"},
        exit=1,
        reasons={"conftest.py": "no set-up"},
    ),
    Case(
        "order of its own",
        SHUFFLED,
        {**{f"test_p[{x}]": "passed" for x in range(8)}, "test_b": "failed"},
        exit=1,
        arguments=("--workers", "2"),
    ),
    Case(
        "collection that changes",
        CHANGING,
        {"test_gone": "lost", "test_stays": "passed"},
        exit=3,
        arguments=("--workers", "2"),
        problems=("in no plan: test_a.py::test_new",),
    ),
    *(
        Case(
            f"addopts = {option}",
            {**STOPPING, "pytest.ini": f"[pytest]\naddopts = {option}\n"},
            {"test_a.py": "error", **STOPPED},
            exit=1,
        )
        for option in ("-x", "--maxfail=1")
    ),
    Case(
        "warnings as errors by -W",
        WARNING,
        {"test_a.py": "error", "test_b": "failed", "test_c": "passed"},
        exit=1,
        env={"PYTEST_ADDOPTS": "-W error"},
        reasons={"test_a.py": "at import", "test_b": "in the test"},
    ),
    Case(
        "empty parameters are an error",
        EMPTY,
        {"test_a.py": "error", "test_b": "passed"},
        exit=1,
        reasons={"test_a.py": "test_none"},
    ),
    Case(
        "same file three times",
        {"pytest.ini": KEPT, "logged.py": LOGGING, "test_a.py": TWICE},
        {
            f"{name}{number}": outcome
            for number in ("", " #2", " #3")
            for name, outcome in TWICE_OUTCOMES.items()
        },
        exit=3,
        arguments=("test_a.py", "test_a.py", "."),
        log=("first",) * 3 + ("last",) * 3,
    ),
    Case(
        "testpaths and another ini",
        {
            "tests/test_a.py": "def test_a(): pass",
            "tests/test_b.py": "def test_b(): assert False",
            "other/test_c.py": "raise OSError",
            "my.ini": "[pytest]\ntestpaths = tests\n",
        },
        {"test_a": "passed", "test_b": "failed"},
        exit=1,
        arguments=("--workers", "2"),
        env={"PYTEST_ADDOPTS": "-c my.ini"},
    ),
    Case(
        "swallowed test",
        SWALLOWED,
        {"test_swallowed": "lost", "test_other": "passed"},
        exit=3,
        problems=("status 0",),
    ),
    Case("loop that does nothing", NO_LOOP, {"test_a": "lost"}, exit=3),
    Case(
        "options in the environment",
        {"test_a.py": "def test_a(): assert False"},
        {"test_a": "failed"},
        exit=1,
        env={"PYTEST_ADDOPTS": "-qq --no-summary -p no:cacheprovider"},
    ),
    Case(
        "nothing selected",
        {"test_a.py": "def test_a(): pass"},
        {},
        exit=5,
        arguments=("-k", "no_such_name"),
    ),
    Case(
        "nothing selected, and allowed",
        {"suites.toml": "[default]\nallow_empty = true\n", "test_a.py": "def test_a(): pass"},
        {},
        arguments=("-k", "no_such_name"),
    ),
]
