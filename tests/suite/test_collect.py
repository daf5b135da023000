"""Which arguments a process gets that runs items of a plan."""

import pytest

from fusible.suite.collect import files_only


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ((), []),
        (("a.py", "b"), ["a.py", "b"]),
        (("a.py", "a.py", "."), ["a.py", "a.py", "."]),
        (("a.py::x", "a.py::y[::]", "b.py::x"), ["a.py", "b.py"]),
        (("a.py::x", "a.py::y", "a.py::x"), ["a.py", "a.py"]),
        (("a.py", "a.py::x", "a.py"), ["a.py", "a.py", "a.py"]),
    ],
)
def test_files_stay_as_often_as_pytest_collects_them(given, arguments):
    assert files_only(given) == arguments
