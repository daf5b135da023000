"""Partitions, limits and places that the command is given wrongly, or that are odd."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from support.small_suites import Case

TWO = {"test_a.py": "def test_a(): pass", "test_b.py": "def test_b(): pass"}


def part(number: int, parts: int) -> tuple[str, ...]:
    return ("--partition-id", str(number), "--total-partitions", str(parts))


CASES = [
    Case("more partitions than tests", TWO, {}, arguments=part(5, 6)),
    Case(
        "junit and report below a folder that is not there",
        TWO,
        {"test_a": "passed", "test_b": "passed"},
        arguments=("--junit", "out/deep/junit.xml", "--ledger", "other/ledger.jsonl"),
    ),
    Case(
        "tests that remove their folder",
        {"test_a.py": "import shutil\ndef test_a(): shutil.rmtree('gone', ignore_errors=True)"},
        {"test_a": "passed"},
    ),
]


EMPTY_DURATIONS = '{"version": 1, "classes": {}}'
XDIST = """
    def pytest_addoption(parser):
        group = parser.getgroup("as xdist does")
        group._addoption("-n", "--numprocesses", dest="numprocesses", type=int)
        group._addoption("-f", "--looponfail", dest="looponfail", action="store_true")
    def pytest_cmdline_main(config):
        assert not config.option.looponfail, "it would loop from here on"
"""


def ini(options: str) -> dict[str, str]:
    return {"pytest.ini": f"[pytest]\naddopts = {options}\n"}


@dataclass(frozen=True)
class Refused:
    """A command with wrong input: exit status 2 and a sentence that holds these words."""

    name: str
    arguments: tuple[str, ...]
    words: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def durations(name: str, text: str, *words: str) -> Refused:
    arguments = ("--durations", "d.json", *part(0, 2))
    return Refused(name, arguments, ("d.json", *words), {"d.json": text})


REFUSED = [
    Refused("partition behind the last", part(2, 2), ("--partition-id", "0 to 1", "2")),
    Refused("negative partition", part(-1, 2), ("--partition-id", "-1")),
    Refused("no partitions", part(0, 0), ("--total-partitions", "0")),
    durations("empty durations", "", "JSON"),
    durations("merge conflict", '{"version": 1,\n<<<<<<< ours\n', ":2", "merge conflict"),
    durations("key twice", '{"version": 1, "version": 1}', "version"),
    durations("not a number", EMPTY_DURATIONS.replace("{}", '{"m": NaN}'), "NaN"),
    durations("another version", '{"version": 99, "classes": {}}', "99"),
    Refused("durations that are not there", ("--durations", "none.json"), ("none.json",)),
    Refused("plan cut off", ("--plan", "p.json", *part(0, 1)), ("p.json",), {"p.json": '{"ver'}),
    Refused("report that is a folder", ("--junit", "sub"), ("junit", "sub"), {"sub/x": ""}),
    Refused("place for its files taken", (), (".fusible",), {".fusible": ""}),
    Refused("interpreter that is not there", ("--python", "no/python"), ("no/python",)),
    Refused(
        "misspelt key",
        ("--suite", "unit"),
        ("suites.toml:3", "unit.timeout.tset"),
        {"suites.toml": "[unit]\npaths = ['.']\ntimeout = {tset = 3}\n"},
    ),
    Refused("unknown suite", ("--suite", "x"), ("unit", "x"), {"suites.toml": "[unit]\n"}),
    Refused(
        "processes of xdist",
        (),
        ("-n", "--workers"),
        {"conftest.py": XDIST, **ini("-n 2")},
    ),
    *(
        Refused(f"addopts = {options}", (), words, ini(options))
        for options, words in {
            "--lf": ("--lf", "--failed-from"),
            "--sw": ("--stepwise", "--failed-from"),
            "--sw-skip": ("--stepwise", "--failed-from"),
            "--trace": ("--trace", "keyboard"),
            "--pdb": ("--pdb", "keyboard"),
        }.items()
    ),
    Refused("xdist's endless loop", (), ("-f",), {"conftest.py": XDIST, **ini("-f")}),
    Refused("asserts stripped", (), ("PYTHONOPTIMIZE",), env={"PYTHONOPTIMIZE": "1"}),
    Refused("option that pytest lacks", (), ("--no-such",), env={"PYTEST_ADDOPTS": "--no-such"}),
]
