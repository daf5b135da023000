"""`--rules FILE`: rules beside those of operators, in every command that fuses a graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fusible import _core
from support.command import refused, run
from support.given_rules import FILE, FIND, SHARP

RULES = f'{FILE}where = ["C <= 512"]\n'
TEXT = (
    "input x: bf16[T, {0}]\nconstant w: bf16[{0}]\nn = rms_norm(x, w)\ny = softmax(n)\nreturn y\n"
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """A graph where the rule applies, one where it nearly does, and the rule."""
    texts = {"small.ir": TEXT.format(256), "large.ir": TEXT.format(1024), "rules.toml": RULES}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    small, large, rules = (str(tmp_path / name) for name in texts)
    return small, large, rules


def test_explain_says_what_a_rule_did_and_nearly_did(files: tuple[str, str, str]) -> None:
    small, large, rules = files
    options = ("--target", "cuda-sm90", "--rules", rules, "--json")
    assert json.loads(run("explain", small, *options).stdout)["fusions"] == {"sharp": 1}
    (miss,) = json.loads(run("explain", large, *options).stdout)["misses"]
    assert (miss["rule"], miss["reason"]) == ("sharp", "condition")
    assert miss["hint"] == "expected C <= 512, got C = 1024"


def test_explain_compares_targets_with_rules(files: tuple[str, str, str]) -> None:
    small, _, rules = files
    diff = ("--diff", "cuda-sm90", "rocm-gfx950", "--rules", rules, "--json")
    found = json.loads(run("explain", small, *diff).stdout)
    assert [(one["name"], one["a"], one["b"]) for one in found["fusions"]] == [("sharp", 1, 1)]


def test_check_counts_rules(files: tuple[str, str, str], tmp_path: Path) -> None:
    small, large, rules = files
    options = ("--rules", rules, "--expect", str(tmp_path / "expect.toml"))
    run("check", small, *options, "--update")
    assert "sharp = 1" in (tmp_path / "expect.toml").read_text()
    run("check", small, *options)
    assert "expected C <= 512" in run("check", large, *options, code=1).stderr


def test_the_page_shows_what_a_rule_made(files: tuple[str, str, str], tmp_path: Path) -> None:
    small, _, rules = files
    page = tmp_path / "page.html"
    run("graph", small, "--target", "cuda-sm90", "--rules", rules, "--html", str(page))
    assert "my_sharp" in page.read_text()


def test_bisect_takes_rules(files: tuple[str, str, str]) -> None:
    small, _, rules = files
    check = "grep -q rms_norm"
    found = run("bisect", small, "--check", check, "--rules", rules, "--json", code=1)
    assert [one["rule"] for one in json.loads(found.stdout)["suspects"]] == ["sharp"]


def test_keys_hold_rules(files: tuple[str, str, str], tmp_path: Path) -> None:
    small, _, rules = files
    other = tmp_path / "other.toml"
    other.write_text(RULES.replace("C <= 512", "C <= 256"))
    options = ("key", small, "--target", "cuda-sm90", "--json")
    found = [
        json.loads(run(*options, *given).stdout)
        for given in ((), ("--rules", rules), ("--rules", rules), ("--rules", str(other)))
    ]
    plain, same, again, another = (each["key"] for each in found)
    assert same == again
    assert len({plain, same, another}) == 3
    assert [list(each["parts"]).count("rules") for each in found] == [0, 1, 1, 1]
    assert "key: --rules: expected --target beside it, got none" in refused(
        "key", small, "--rules", rules
    )


def test_keys_of_two_graphs_with_rules_are_compared(files: tuple[str, str, str]) -> None:
    small, large, rules = files
    options = ("--diff", "--target", "cuda-sm90", "--rules", rules, "--json")
    assert json.loads(run("key", small, small, *options).stdout)["equal"]
    assert not json.loads(run("key", small, large, *options, code=1).stdout)["equal"]


def test_patterns_of_rules_stand_behind_those_of_operators(files: tuple[str, str, str]) -> None:
    _, _, rules = files
    found = json.loads(run("patterns", "--rules", rules, "--json").stdout)["patterns"]
    assert [one["name"] for one in found] == [*(rule.name for rule in _core.rules()), "sharp"]
    shown = run("patterns", "sharp", "--rules", rules).stdout
    assert shown.startswith(SHARP)
    assert "softmax() -> y" in shown
    assert "rms_norm(eps)" in shown


@pytest.mark.parametrize(
    ("target", "by"), [("cuda-sm90", "fuse-ops"), ("cpu", "fuse-rows"), ("rocm-gfx950", "fuse-ops")]
)
def test_patterns_say_which_pass_applies_a_rule(
    files: tuple[str, str, str], target: str, by: str
) -> None:
    options = ("--rules", files[2], "--target", target)
    (found,) = json.loads(run("patterns", "sharp", *options, "--json").stdout)["patterns"]
    assert (found["target"]["by"], found["target"]["reason"]) == (by, "")


def test_a_rule_has_a_pattern_for_each_text_that_it_finds(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    other = FIND.replace("softmax", "rms_norm").replace("(n)", "(n, w, eps=eps)")
    path.write_text(
        RULES.replace("find = '''", f"find = ['''\n{other}''', '''").replace(
            "'''\nreplace", "''']\nreplace"
        )
    )
    found = json.loads(run("patterns", "sharp", "--rules", str(path), "--json").stdout)["patterns"]
    assert [one["calls"][-1]["op"] for one in found] == ["rms_norm", "softmax"]


def test_near_names_of_rules_are_named(files: tuple[str, str, str]) -> None:
    assert "near it: sharp" in refused("patterns", "sharpe", "--rules", files[2])


def test_what_cannot_apply_is_refused(files: tuple[str, str, str], tmp_path: Path) -> None:
    small, _, rules = files
    assert "expected a pass in the pipeline that applies them" in refused(
        "explain", small, "--rules", rules, "--pipeline", "drop-dead"
    )
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(RULES.replace("softmax", "soft"))
    message = refused("explain", small, "--rules", str(wrong))
    assert f"rules: {wrong}: rules[0]: sharp: find: expected an operator, got soft" in message
