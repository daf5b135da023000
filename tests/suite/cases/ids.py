"""Ids that a shell, a parser or an expression would break."""

from support.small_suites import Case

LOGGING = r"""
    from pathlib import Path
    LOG = Path(__file__).parent / "log"
    def log(text):
        with LOG.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
"""
UNESCAPED = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true"
STRANGE = [
    "a b",
    " leading",
    "x::y",
    "[1]",
    "k]7",
    "\u00e9",
    "e\u0301",
    "new\nline",
    "tab\t",
    "nul\0",
    "'\"",
    "100%",
    "$(x)",
    "back\\slash",
    ";",
    "--flag",
    "",
    "UPPER",
    "upper",
    "x or y and not z",
    "(",
    "@file",
    "a/b.py",
]


def escaped(text: str) -> str:
    """As pytest writes a parameter into an id."""
    return text.encode("unicode_escape").decode("ascii")


def strange(name: str, ini: str, spelled: list[str]) -> Case:
    """The same parameters, with two workers: the second process selects by id."""
    test = f"""
        import pytest
        from logged import log
        @pytest.mark.parametrize("x", {spelled!r})
        def test_p(x): log(ascii(x))
    """
    raw = "disable" in ini
    return Case(
        name,
        {"pytest.ini": f"[pytest]\n{ini}\n", "logged.py": LOGGING, "test_a.py": test},
        {f"test_p[{x if raw else escaped(x)}]": "passed" for x in spelled},
        arguments=("--workers", "2"),
        log=tuple(sorted(map(ascii, spelled))),
    )


CUSTOM = """
    import pytest
    def pytest_collect_file(file_path, parent):
        if file_path.suffix == ".case":
            return Cases.from_parent(parent, path=file_path)
    class Cases(pytest.File):
        def collect(self):
            for name in self.path.read_text().split():
                yield Case.from_parent(self, name=name)
    class Case(pytest.Item):
        def runtest(self):
            assert self.name != "bad"
"""
KINDS = {
    "pytest.ini": "[pytest]\naddopts = --doctest-modules\n",
    "conftest.py": CUSTOM,
    "some.case": "good bad twin twin",
    "test_unit.py": """
        import unittest
        class TestUnit(unittest.TestCase):
            def test_method(self): pass
            def test_sub(self):
                for i in range(3):
                    with self.subTest(i=i):
                        self.assertNotEqual(i, 1)
    """,
    "documented.py": '''
        def f():
            """
            >>> f()
            1
            """
            return 2
    ''',
}

CASES = [
    strange("strange", "", STRANGE),
    strange(
        "unescaped",
        UNESCAPED,
        ["\u00e9", "e\u0301", "\u202etxt", "\U0001f600", "a b", "[::]"],
    ),
    Case(
        "kinds of items",
        KINDS,
        {
            "good": "passed",
            "bad": "failed",
            "twin": "passed",
            "twin #2": "passed",
            "TestUnit::test_method": "passed",
            "TestUnit::test_sub": "failed",
            "documented.f": "failed",
        },
        exit=1,
        arguments=("--workers", "2"),
    ),
    Case(
        "rootdir above",
        {"sub dir/test_a.py": "def test_a(): pass", "sub dir/x/test_b.py": "def test_b(): pass"},
        {"test_a": "passed", "test_b": "passed"},
        folder="sub dir",
        arguments=("--workers", "2"),
    ),
]
