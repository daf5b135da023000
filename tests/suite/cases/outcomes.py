"""What pytest can say of a test, and what retries make of it."""

from support.small_suites import Case

MARKS = """
    import pytest

    @pytest.mark.xfail(reason="known")
    def test_xfail(): assert False
    @pytest.mark.xfail
    def test_xpass(): pass
    @pytest.mark.xfail(strict=True, reason="strict")
    def test_strict(): pass
    @pytest.mark.xfail(run=False, reason="deadly")
    def test_not_even(): import os; os._exit(0)
    @pytest.mark.xfail(raises=ValueError)
    def test_other_error(): raise TypeError("other")
    def test_imperative(): pytest.xfail("no use")
    @pytest.mark.skip(reason="never")
    def test_skip(): pass
    def test_skips_itself(): pytest.skip("not today")
    @pytest.fixture
    def skipping(): pytest.skip("no device")
    def test_skipped_setup(skipping): pass
"""
FIXTURES = """
    import pytest

    @pytest.fixture
    def bad_setup(): raise ValueError("setup")
    def test_setup(bad_setup): pass

    @pytest.fixture
    def bad_teardown():
        yield
        raise ValueError("teardown")
    def test_teardown(bad_teardown): pass
    def test_both(bad_teardown): assert False, "call"

    @pytest.fixture(scope="class")
    def shared(): raise ValueError("shared")
    @pytest.mark.usefixtures("shared")
    class TestFan:
        def test_one(self): pass
        def test_two(self): pass

    @pytest.fixture(scope="session")
    def session_end():
        yield
        raise ValueError("session")
    def test_last(session_end): pass
"""
UNITTEST = """
    import unittest
    class TestSub(unittest.TestCase):
        def test_fails_in_part(self):
            for i in range(3):
                with self.subTest(i=i):
                    self.assertNotEqual(i, 1)
        def test_all_well(self):
            for i in range(3):
                with self.subTest(i=i):
                    pass
        @unittest.expectedFailure
        def test_expected(self): self.fail()
        @unittest.skip("unit")
        def test_skipped(self): pass
"""
COUNTED = """
    from pathlib import Path
    def count(name):
        path = Path(__file__).parent / name
        path.write_text(path.read_text() + "x" if path.exists() else "x")
        return len(path.read_text())
"""
RETRIED = """
    import os, pytest, signal
    from counted import count
    state = []
    def test_second_time(): assert count("a") == 2
    def test_never(): assert count("b") == 9
    def test_poisons(): state.append(1)
    def test_order(): assert not state  # alone, in a fresh process, it passes
    def test_skips_later():
        if count("c") > 1:
            pytest.skip("shows nothing")
        assert False
    def test_crash():
        if count("d") == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
"""
TYPED = """
    import pytest
    from counted import count
    class Slow(TimeoutError): pass
    def test_typed():
        if count("a") == 1: raise Slow("network")
    def test_text():
        if count("b") == 1: raise AssertionError("TimeoutError: network")
    @pytest.mark.network
    def test_marked(): assert count("c") > 1
    @pytest.fixture
    def device():
        if count("d") == 1: raise RuntimeError("busy")
    def test_phase(device): pass
    @pytest.mark.network
    def test_never():
        if count("e") == 1: raise KeyError("never")
"""
POLICY = """
    [default]
    retry = {times = 2, on = ["TimeoutError", "mark.network", "setup"], never = ["KeyError"]}
"""
WARNINGS = """
    import threading
    def test_thread():
        def f(): raise ValueError("in a thread")
        thread = threading.Thread(target=f)
        thread.start()
        thread.join()
    def test_unraisable():
        class Bad:
            def __del__(self): raise ValueError("while it is deleted")
        Bad()
    def test_other(): pass
"""

CASES = [
    Case(
        "marks",
        {"test_a.py": MARKS},
        {
            "test_xfail": "xfailed",
            "test_xpass": "xpassed",
            "test_strict": "failed",
            "test_not_even": "xfailed",
            "test_other_error": "failed",
            "test_imperative": "xfailed",
            "test_skip": "skipped",
            "test_skips_itself": "skipped",
            "test_skipped_setup": "skipped",
        },
        exit=1,
        reasons={
            "test_xfail": "known",
            "test_skip": "never",
            "test_skips_itself": "not today",
            "test_skipped_setup": "no device",
            "test_other_error": "other",
        },
    ),
    Case(
        "fixtures",
        {"test_a.py": FIXTURES},
        {
            "test_setup": "error",
            "test_teardown": "error",
            "test_both": "failed",
            "TestFan::test_one": "error",
            "TestFan::test_two": "error",
            "test_last": "error",
        },
        exit=1,
        reasons={"test_setup": "setup", "test_teardown": "teardown", "test_last": "session"},
    ),
    Case(
        "unittest",
        {"test_a.py": UNITTEST},
        {
            "TestSub::test_fails_in_part": "failed",
            "TestSub::test_all_well": "passed",
            "TestSub::test_expected": "xfailed",
            "TestSub::test_skipped": "skipped",
        },
        exit=1,
    ),
    Case(
        "retries",
        {"counted.py": COUNTED, "test_a.py": RETRIED},
        {
            "test_second_time": "flaky",
            "test_never": "failed",
            "test_poisons": "passed",
            "test_order": "flaky",
            "test_skips_later": "failed",
            "test_crash": "crashed",
        },
        exit=3,
        arguments=("--retries", "2"),
        reasons={"test_second_time": "flaky (1 of 2)", "test_order": "flaky (1 of 2)"},
    ),
    Case(
        "typed retries",
        {
            "pytest.ini": "[pytest]\nmarkers = network\n",
            "suites.toml": POLICY,
            "counted.py": COUNTED,
            "test_a.py": TYPED,
        },
        {
            "test_typed": "flaky",
            "test_text": "failed",
            "test_marked": "flaky",
            "test_phase": "flaky",
            "test_never": "failed",
        },
        exit=1,
    ),
    Case(
        "flaky is not good enough",
        {
            "counted.py": COUNTED,
            "test_a.py": "from counted import count\ndef test_f(): assert count('a') == 2",
        },
        {"test_f": "flaky"},
        exit=4,
        arguments=("--retries", "1", "--fail-on-flaky"),
    ),
    Case(
        "quarantine",
        {
            "suites.toml": """
                [default]
                quarantine = [
                  {id = "test_a.py::test_known", reason = "waits", until = "2999-12-31"},
                ]
            """,
            "test_a.py": "def test_known(): assert False\ndef test_other(): pass",
        },
        {"test_known": "failed", "test_other": "passed"},
    ),
    Case(
        "warnings are errors",
        {"pytest.ini": "[pytest]\nfilterwarnings = error\n", "test_a.py": WARNINGS},
        {"test_thread": "failed", "test_unraisable": "failed", "test_other": "passed"},
        exit=1,
    ),
]
