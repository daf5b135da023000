"""The plugin inside of pytest: selection, reports, and hostile tests and hooks."""

import os
import subprocess
import sys

import pytest

from fusible.suite import boot, ledger, plugin, writer
from fusible.suite.model import Item
from support.sessions import outcomes, planned, run
from support.small_suites import PYTHON, environment

THREE = "def test_a(): pass\ndef test_b(): pass\ndef test_c(): pass\n"
ALL = {"test_a": "passed", "test_b": "passed", "test_c": "passed"}
SAYS = """
    import __main__, os, sys
    def test_it(request):
        config = request.config
        print(sys.path, sys.argv[0], __main__.__file__, __main__.__spec__.name, config.rootpath,
              config.inipath, config.args, config.getini("addopts"), file=open("said", "w"))
        names = set(os.environ) - {"PYTEST_CURRENT_TEST", "PYTEST_VERSION"}
        print(sorted(names - {"FUSIBLE_SUITE_WORKER"}), file=open("names", "w"))
"""


def ids(session):
    return [item.id.partition("::")[2] for item in session.record.collection.items]


@pytest.mark.parametrize("safe", [{}, {"PYTHONSAFEPATH": "1"}], ids=["usual", "safe-path"])
def test_all_is_as_python_m_pytest_makes_it(tmp_path, monkeypatch, safe):
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    files = {"sub/test_it.py": SAYS, "sub/pytest.ini": "[pytest]\naddopts = -q\n"}
    assert outcomes(run(tmp_path, files, "sub", environment=safe)) == {"test_it": "passed"}
    folder = tmp_path / "project"
    said = [(folder / name).read_text() for name in ("said", "names")]
    command = [PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "sub"]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, **safe}, text=True)
    assert [(folder / name).read_text() for name in ("said", "names")] == said


OUTCOMES = """
import pytest, unittest
@pytest.fixture
def bad(): raise OSError("set-up")
@pytest.fixture
def late():
    yield
    raise OSError("tear-down")
def test_error(bad): pass
def test_late(late): pass
@pytest.mark.skip(reason="why not")
def test_skipped(): pass
def test_skips(): pytest.skip("in the call")
@pytest.mark.xfail(reason="known")
def test_xfailed(): assert False
@pytest.mark.xfail
def test_xpassed(): pass
@pytest.mark.xfail(strict=True)
def test_strict(): pass
@pytest.mark.xfail(run=False)
def test_not_run(): raise KeyboardInterrupt
@pytest.mark.xfail(raises=OSError)
def test_mismatch(): raise ValueError
@pytest.mark.parametrize("x", [])
def test_empty(x): pass
def test_exits(): raise SystemExit(0)
class TestCase(unittest.TestCase):
    def test_unit(self): self.assertTrue(False)
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.skip("no")
    def test_no(self): pass
"""


def test_outcomes_are_those_of_pytest(tmp_path):
    session = run(tmp_path, {"test_it.py": OUTCOMES})
    found = {name.rpartition("::")[2].partition("[")[0]: o for name, o in outcomes(session).items()}
    assert found == {
        **dict.fromkeys(("test_error", "test_late"), "error"),
        **dict.fromkeys(("test_strict", "test_mismatch", "test_exits", "test_unit"), "failed"),
        **dict.fromkeys(("test_skipped", "test_skips", "test_empty", "test_no"), "skipped"),
        **dict.fromkeys(("test_xfailed", "test_not_run", "test_expected"), "xfailed"),
        "test_xpassed": "xpassed",
    }
    assert session.record.problems == []
    reasons = {str(session.record.item(i)): a[0].reason for i, a in session.record.attempts.items()}
    assert reasons["test_it.py::test_skipped"] == "why not"
    assert reasons["test_it.py::test_late"] == "OSError: tear-down"


def test_items_of_other_kinds(tmp_path):
    conftest = """
    import pytest
    class Line(pytest.Item):
        def runtest(self): assert self.name != "bad"
        def reportinfo(self): return self.path, 0, self.name
    class Lines(pytest.File):
        def collect(self):
            for name in self.path.read_text().split():
                yield Line.from_parent(self, name=name)
    def pytest_collect_file(file_path, parent):
        if file_path.suffix == ".lines":
            return Lines.from_parent(parent, path=file_path)
    """
    files = {"conftest.py": conftest, "a.lines": "good bad", "doc.py": '">>> 1 + 1\\n3\\n"'}
    session = run(tmp_path, files, "a.lines", "doc.py", "--doctest-modules")
    assert outcomes(session) == {"good": "passed", "bad": "failed", "doc": "failed"}
    assert [item.file for item in session.record.collection.items] == ["a.lines"] * 2 + ["doc.py"]


def test_only_planned_files_are_imported(tmp_path):
    files = {
        "a/__init__.py": "",
        "a/test_it.py": THREE,
        "a/test_other.py": "raise OSError",
        "b/conftest.py": "raise OSError",
        "b/test_it.py": "raise OSError",
    }
    items = planned("test_c", "test_a", file="a/test_it.py")
    session = run(tmp_path, files, items=items)
    assert outcomes(session) == {"test_a": "passed", "test_c": "passed"}
    named = run(tmp_path / "again", files, "a/test_other.py", "a/test_it.py", items=items)
    assert outcomes(named) == outcomes(session)
    assert session.record.problems == named.record.problems == []


def test_files_that_are_left_out_are_not_imported(tmp_path):
    files = {"test_it.py": THREE, "test_bad.py": "raise OSError"}
    session = run(tmp_path, files, "test_bad.py", "test_it.py", without=("test_bad.py",))
    assert outcomes(session) == ALL
    assert session.record.broken == {}


def test_occurrences_of_one_id_are_told_apart(tmp_path):
    conftest = """
    import itertools, pytest
    class Twin(pytest.Item):
        def runtest(self): assert self.number != 1
    class Twins(pytest.File):
        def collect(self):
            for number in range(3):
                twin = Twin.from_parent(self, name="twin")
                twin.number = number
                yield twin
    def pytest_collect_file(file_path, parent):
        if file_path.suffix == ".twins":
            return Twins.from_parent(parent, path=file_path)
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(items): items.reverse()
    """
    files = {"conftest.py": conftest, "a.twins": ""}
    session = run(tmp_path, files)
    found = {
        session.record.item(i).occurrence: a[0].outcome for i, a in session.record.attempts.items()
    }
    assert found == {0: "passed", 1: "failed", 2: "passed"}
    one = run(tmp_path / "one", files, items=[(5, Item("a.twins::twin", 1, "a.twins"))])
    assert {i: a[0].outcome for i, a in one.record.attempts.items()} == {5: "failed"}


@pytest.mark.parametrize(
    ("hook", "order"),
    [
        ("def pytest_collection_modifyitems(items): items.reverse()", "cba"),
        ("def pytest_collection_modifyitems(items): del items[1]", "ac"),
        ("def pytest_collection_finish(session): del session.items[0]", "bc"),
    ],
    ids=["reorder", "drop", "drop-late"],
)
def test_what_other_plugins_select_counts(tmp_path, hook, order):
    session = run(tmp_path, {"conftest.py": hook, "test_it.py": THREE})
    assert ids(session) == [f"test_{letter}" for letter in order]
    assert sorted(outcomes(session)) == sorted(ids(session))
    chosen = run(
        tmp_path / "chosen",
        {"conftest.py": hook, "test_it.py": THREE},
        items=planned("test_a", "test_b", "test_c"),
    )
    assert sorted(outcomes(chosen)) == sorted(ids(session))
    assert len(chosen.record.missing) == 3 - len(order)


def test_what_runs_unplanned_is_named(tmp_path):
    conftest = """
    import copy, pytest
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(session): session.items.append(copy.copy(session.items[0]))
    """
    record = run(tmp_path, {"conftest.py": conftest, "test_it.py": THREE}).record
    assert record.unplanned == ["test_it.py::test_a"]
    assert record.problems == ["test_it.py::test_a ran though it was not planned"]


def test_a_swallowed_protocol_is_no_pass(tmp_path):
    conftest = "def pytest_runtest_protocol(item): return item.name == 'test_b' or None"
    session = run(tmp_path, {"conftest.py": conftest, "test_it.py": THREE})
    assert outcomes(session) == {**ALL, "test_b": "lost"}


def test_a_swallowed_loop_leaves_everything(tmp_path):
    conftest = "def pytest_runtestloop(): return True"
    record = run(tmp_path, {"conftest.py": conftest, "test_it.py": THREE}).record
    assert (record.left(), record.why) == ([0, 1, 2], "pytest ended without starting it")


def test_reruns_in_the_process_are_attempts(tmp_path):
    conftest = """
    from _pytest.runner import runtestprotocol
    def pytest_runtest_protocol(item, nextitem):  # as pytest-rerunfailures does it
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if report.failed:
                report.outcome = "rerun"
                item.ihook.pytest_runtest_logreport(report=report)
                break
            item.ihook.pytest_runtest_logreport(report=report)
        else:
            return True
        item._initrequest()
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            item.ihook.pytest_runtest_logreport(report=report)
        return True
    """
    tests = "ran = []\ndef test_it():\n    ran.append(1)\n    assert len(ran) == 2\n"
    session = run(tmp_path, {"conftest.py": conftest, "test_it.py": tests})
    assert outcomes(session) == {"test_it": "failed passed"}
    assert "AssertionError" in session.record.attempts[0][0].failures[0].types


HOSTILE = {
    "forks": "os.fork()",
    "closes": "os.closerange(3, 2000)",
    "reuses": "os.closerange(3, 2000); [os.open('/dev/null', 0) for _ in range(600)]",
    "writes": "os.write = os.open = os.fstat = os.getpid = None",
    "clocks": "time.time = time.monotonic = time.perf_counter = lambda: float('nan')",
    "json": "json.dumps = json.JSONEncoder.encode = json.encoder.encode_basestring_ascii = None",
    "environment": "os.environ.clear()",
    "folder": "os.mkdir('x'); os.chdir('x'); os.rmdir('../x')",
    "stdout": "sys.stdout = sys.stderr = None",
    "collector": "gc.disable(); gc.freeze()",
    "recursion": "sys.setrecursionlimit(80)",
    "limit": "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 4096)); os.closerange(400, 600)",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_tests_do_to_their_process_hides_nothing(tmp_path, name):
    files = {
        "test_it.py": f"""
        import gc, json, os, resource, sys, time
        def test_a(): pass
        def test_b():
            {HOSTILE[name]}
        def test_c(): assert False
        """
    }
    # Without capturing: pytest's own captured output does not survive closed descriptors.
    session = run(tmp_path, files, "-s", "-p", "no:faulthandler")
    assert outcomes(session) == {**ALL, "test_c": "failed"}
    assert session.record.forked == (["test_it.py::test_b"] if name == "forks" else [])


def test_a_pytest_inside_of_a_test_writes_nothing(tmp_path):
    tests = """
    import subprocess, sys, pytest
    def test_it(tmp_path):
        (tmp_path / "test_inner.py").write_text("def test_inner(): assert False")
        for way in ("child", "inside"):
            command = [str(tmp_path), "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
            if way == "inside":
                assert pytest.main(command) == 1
            else:
                assert subprocess.call([sys.executable, "-m", "pytest", *command]) == 1
    """
    session = run(tmp_path, {"test_it.py": tests})
    assert outcomes(session) == {"test_it": "passed"}
    assert "test_inner" not in (tmp_path / "ledger").read_text()


@pytest.mark.parametrize(
    ("option", "environment", "why"),
    [(None, {"PYTHONOPTIMIZE": "1"}, "assert"), ("-n2", {}, "--workers"), ("-n0", {}, "")],
)
def test_what_would_make_the_verdict_meaningless_is_refused(tmp_path, option, environment, why):
    conftest = """
    def pytest_addoption(parser):  # what pytest-xdist adds
        parser.getgroup("xdist")._addoption("-n", dest="numprocesses", type=int)
    """
    files = {"conftest.py": conftest, "test_it.py": THREE}
    files["pytest.ini"] = f"[pytest]\naddopts = {option or ''}\n"
    session = run(tmp_path, files, environment=environment)
    assert why in session.record.refused
    assert session.record.problems == ([session.record.refused] if why else [])
    assert outcomes(session) == ({} if why else ALL)


def test_a_failure_tells_classes_markers_and_measurement(tmp_path):
    tests = """
    import pytest
    class Slow(AssertionError):
        measurement = {"ms": 3.5, "bad": float("nan"), "object": Ellipsis}
    @pytest.mark.slow
    def test_it():
        print("printed")
        raise Slow("first\\nsecond")
    """
    ini = "[pytest]\nmarkers = slow\n"
    record = run(tmp_path, {"test_it.py": tests, "pytest.ini": ini}).record
    (failure,) = record.attempts[0][0].failures
    assert failure.types[:4] == (
        "Slow",
        "test_it.Slow",
        "AssertionError",
        "builtins.AssertionError",
    )
    assert (failure.phase, failure.markers) == ("call", ("slow",))
    assert failure.message.endswith("Slow: first")
    assert "printed" in failure.text
    assert failure.measurement == {"ms": 3.5, "bad": "nan", "object": "Ellipsis"}


def test_a_broken_file_does_not_stop_the_others(tmp_path):
    files = {
        "test_it.py": THREE,
        "test_syntax.py": "def",
        "test_import.py": "import no_such_module",
        "test_skip.py": "import pytest; pytest.skip('not here', allow_module_level=True)",
    }
    session = run(tmp_path, files)
    assert outcomes(session) == ALL
    broken = {file: attempt.outcome for file, attempt in session.record.broken.items()}
    assert broken == {
        "test_syntax.py": "error",
        "test_import.py": "error",
        "test_skip.py": "skipped",
    }
    assert "ModuleNotFoundError" in session.record.broken["test_import.py"].failures[0].types
    assert session.record.broken["test_skip.py"].reason == "not here"
    assert session.record.problems == []


def test_a_broken_file_stops_what_is_told_to_stop(tmp_path):
    record = run(tmp_path, {"test_it.py": THREE, "test_bad.py": "def"}, stop_on_failure=True).record
    assert (record.left(), record.attempts, record.problems) == ([0, 1, 2], {}, [])
    assert "1 error" in record.why


def test_ids_come_through_unchanged(tmp_path):
    names = [" a", "b ", "x::y", "[k]7", "é", "A", "a", "", "'\"$(x)%;\\", "--flag", "or not", "\t"]
    tests = f"import pytest\n@pytest.mark.parametrize('x', {names!r})\ndef test_it(x): pass\n"
    raw = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true"
    files = {"test_it.py": tests, "pytest.ini": f"[pytest]\n{raw}\n"}
    session = run(tmp_path, files)
    assert len(session.record.attempts) == len(names)
    chosen = [(n, item) for n, item in enumerate(session.record.collection.items) if n % 2]
    part = run(tmp_path / "part", files, items=chosen)
    assert sorted(part.record.attempts) == [n for n, _ in chosen]
    assert {part.record.item(n) for n, _ in chosen} == {item for _, item in chosen}


def test_a_process_begins_by_saying_what_it_is(tmp_path):
    run(tmp_path, {"test_it.py": THREE})
    (begin,) = [event for event in ledger.read(tmp_path / "ledger") if event["e"] == "begin"]
    assert begin["rootdir"] == str(tmp_path / "project")
    assert begin["optimize"] == 0
    assert begin["pid"] > 0


def test_texts_are_bounded():
    text = "x" * writer.LONGEST + "y" * writer.LONGEST
    short = writer.shortened(text)
    assert len(short) < writer.LONGEST + 100
    assert short.startswith("x")
    assert short.endswith("y")
    assert f"{writer.LONGEST} characters dropped" in short


@pytest.mark.parametrize("module", [boot, plugin, writer])
def test_the_tests_interpreter_may_be_old_and_without_fusible(module):
    import ast
    from pathlib import Path

    tree = ast.parse(Path(module.__file__).read_text(), feature_version=(3, 8))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {
        node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
    }
    allowed = {*sys.stdlib_module_names, "pytest"}
    assert {name for name in imported if name.partition(".")[0] not in allowed} == set()
