"""Files that cannot be collected, plugins that interfere, options that hide things."""

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
