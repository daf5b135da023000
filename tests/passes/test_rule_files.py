"""Rules in TOML files: for the command line, and in reproducers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fusible
from fusible import checks, rules
from fusible.reproducer import read_reproducer
from fusible.rule_files import lines_of, read_rules
from support.faults import plant
from support.given_rules import FILE as BODIES
from support.given_rules import HEAD, ONE

FILE = f"""{BODIES}where = ["C % 128 == 0"]
on_escape = "keep"
"""
GRAPH = fusible.Graph.parse(HEAD + ONE)


def written(text: str, folder: Path) -> Path:
    path = folder / "rules.toml"
    path.write_text(text)
    return path


def contracts(some: list[rules.Rule] | tuple[rules.Rule, ...]) -> list[str]:
    return [native.contract for rule in some for native in rule.native]


def test_a_file_holds_rules(tmp_path: Path) -> None:
    [rule] = read_rules(written(FILE, tmp_path))
    assert fusible.optimize(GRAPH, "cuda-sm90", rules=[rule]).fusions == {"sharp": 1}
    assert (rule.name, rule.where, rule.on_escape) == ("sharp", ("C % 128 == 0",), "keep")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"via": [], "on_escape": "refuse", "where": ["C > 3", "C % 2 == 0"]},
        {"find": "n = softmax(x)\ny = softmax(n)\nreturn y\n", "each": 3},
        {"find": ["y = softmax(x)\nreturn y\n", "y = rms_norm(x, x)\nreturn y\n"]},
    ],
)
def test_what_is_written_is_read_again(options: dict[str, Any], tmp_path: Path) -> None:
    given = {
        "signature": "one(x: F[C]) -> y: F[C]",
        "find": "y = softmax(x)\nreturn y\n",
        "replace": 'y = opaque(x, name="it\'s k")\nreturn y\n',
        **options,
    }
    made = [rules.Rule(**given), read_rules(written(FILE, tmp_path))[0]]
    again = read_rules(written("\n".join(lines_of(made)), tmp_path))
    assert contracts(again) == contracts(made)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rules.toml: expected at least one table .*, got none"),
        ("rules = 3\n", "rules.toml: rules: expected a list of tables, got 3"),
        ("rules = [3]\n", r"rules\[0\]: expected a table, got 3"),
        ("rule = [3]\n", "rules.toml: rule: expected rules and nothing else"),
        ("[[rules]\n", "rules.toml"),
        (FILE.replace("where", "when"), r"rules\[0\].when: expected one of signature, find"),
        (FILE.replace('"keep"', "3"), r"rules\[0\].on_escape: expected str, got int"),
        (FILE.replace("find =", "found ="), r"rules\[0\].found: expected one of signature, find"),
        (FILE + FILE.replace("replace", "via"), r"rules\[1\].via: expected list, got str"),
        (
            FILE.replace("softmax", "soft"),
            r"rules\[0\]: sharp: find: expected an operator, got soft",
        ),
        (FILE + 'predicate = "even, version 1"\n', "predicate: expected a rule that is data alone"),
    ],
)
def test_a_file_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(fusible.ArgumentError, match=message):
        read_rules(written(text, tmp_path))


def test_a_file_without_a_body(tmp_path: Path) -> None:
    text = '[[rules]]\nsignature = "one(x: F[C]) -> y: F[C]"\nfind = "return x"\n'
    with pytest.raises(
        fusible.ArgumentError, match=r"rules\[0\].replace: expected a value, got no"
    ):
        read_rules(written(text, tmp_path))
    with pytest.raises(fusible.ArgumentError, match=r"rules: .*none\.toml: No such file"):
        read_rules(tmp_path / "none.toml")


def test_a_reproducer_holds_the_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = read_rules(written(FILE, tmp_path))
    plant(monkeypatch, 1)
    manager = fusible.PassManager("fuse-ops", "cuda-sm90", rules=given)
    with pytest.raises(fusible.PassError, match="fusible replay") as failed:
        manager.run(GRAPH, reproducer=tmp_path / "out")
    assert failed.value.rule == "sharp"
    [path] = (tmp_path / "out").iterdir()
    read = read_reproducer(path)
    assert contracts(read.rules) == contracts(given)
    assert read.replay() == read.message


def test_a_reproducer_says_that_a_predicate_is_not_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [rule] = read_rules(written(FILE, tmp_path))
    even = rules.Predicate("even", "1", lambda found: True)
    given = rules.Rule(rule.signature, [*rule.find], rule.replace, predicate=even)
    plant(monkeypatch, 1)
    with pytest.raises(fusible.PassError, match="fusible replay"):
        fusible.PassManager("fuse-ops", "cuda-sm90", rules=[given]).run(
            GRAPH, reproducer=tmp_path / "out"
        )
    [path] = (tmp_path / "out").iterdir()
    assert 'predicate = "even, version 1"' in path.read_text()
    with pytest.raises(fusible.ArgumentError, match="got code, which no file can hold"):
        read_reproducer(path)


def test_bisect_finds_the_rule_that_breaks_the_bits() -> None:
    wrong = rules.Rule(
        "wrong(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]",
        "n = rms_norm(x, w, eps=eps)\ny = softmax(n)\nreturn y\n",
        "a = softmax(x)\ny = gemma_rms_norm(a, w, eps=eps)\nreturn y\n",
    )
    body = "n = rms_norm(x, w)\nm = softmax(n)\ns = add(m, x)\ny = rms_norm(s, w)\nreturn y, s\n"
    graph = fusible.Graph.parse("input x: bf16[T, 256]\nconstant w: bf16[256]\n" + body)
    found = fusible.bisect(graph, checks.Bits(graph), "cpu", rules=[wrong])
    assert [(one.rule, one.node) for one in found.suspects] == [("wrong", "m")]
    assert fusible.bisect(graph, checks.Bits(graph), "cpu").suspects == ()


def test_a_dump_has_the_rules(tmp_path: Path) -> None:
    given = read_rules(written(FILE, tmp_path))
    fusible.PassManager(None, "cuda-sm90", rules=given).run(GRAPH, dump=tmp_path / "out")
    text = (tmp_path / "out" / "patterns.txt").read_text()
    assert text.startswith(given[0].describe())
    assert 'opaque(x, w, name="my_sharp"' in (tmp_path / "out" / "03-fuse-ops.ir").read_text()
