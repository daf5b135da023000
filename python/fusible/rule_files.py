"""Rules in TOML: what ``--rules FILE`` reads, and what a reproducer holds.

A rule is a table of what `fusible.rules.Rule` takes, its bodies as text::

    [[rules]]
    signature = "sharp(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]"
    find = '''
      n = rms_norm(x, w, eps=eps)
      y = softmax(n)
      return y
    '''
    replace = '''
      y = opaque(x, w, name="my_sharp", eps=eps)
      return y
    '''
    where = ["C % 128 == 0"]

``find`` may be a list of bodies. A predicate is code, which stands in no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from fusible import _core, toml
from fusible.rules import Rule

_KEYS: dict[str, tuple[type, ...]] = {
    "signature": (str,),
    "find": (str, list),
    "replace": (str,),
    "via": (list,),
    "on_escape": (str,),
    "each": (int,),
    "where": (list,),
}
_REQUIRED = ("signature", "find", "replace")


def read_rules(path: str | Path) -> list[Rule]:
    """The rules of a file.

    Raises:
        ArgumentError: no such file, or not one of these; the message names the file, and the rule
            with its key.
    """
    path = Path(path)
    table = toml.read_for("rules", path, _core.ArgumentError)
    for key in table.keys() - {"rules"}:
        _refuse(f"rules: {path}: {key}", "rules and nothing else", "an unknown key")
    if not table.get("rules"):
        _refuse(f"rules: {path}", "at least one table [[rules]]", "none")
    return rules_of(f"rules: {path}", table["rules"])


def rules_of(where: str, tables: Any) -> list[Rule]:
    """The rules of a list of tables, as TOML gives it.

    Args:
        where: the file, for messages.
        tables: the list.

    Raises:
        ArgumentError: one of them is no rule.
    """
    if not isinstance(tables, list):
        _refuse(f"{where}: rules", "a list of tables", repr(tables))
    return [_rule(f"{where}: rules[{number}]", table) for number, table in enumerate(tables)]


def _rule(where: str, table: Any) -> Rule:
    if not isinstance(table, dict):
        _refuse(where, "a table", repr(table))
    if "predicate" in table:
        _refuse(f"{where}.predicate", "a rule that is data alone", "code, which no file can hold")
    for key, value in table.items():
        if key not in _KEYS:
            _refuse(f"{where}.{key}", f"one of {', '.join(_KEYS)}", "an unknown key")
        if type(value) not in _KEYS[key]:
            kinds = " or ".join(kind.__name__ for kind in _KEYS[key])
            _refuse(f"{where}.{key}", kinds, type(value).__name__)
    for key in _REQUIRED:
        if key not in table:
            _refuse(f"{where}.{key}", "a value", "none")
    try:
        return Rule(**table)
    except _core.Error as error:
        raise _core.ArgumentError(f"{where}: {error}") from error


def lines_of(rules: Sequence[Rule]) -> Iterator[str]:
    """The lines of a file with these rules.

    A predicate's name and version are written; a file with one is read with an error that says
    that its code is not there.
    """
    for rule in rules:
        yield "[[rules]]"
        yield f"signature = {toml.string(rule.signature)}"
        yield f"find = [{', '.join(toml.lines(text) for text in rule.find)}]"
        yield f"replace = {toml.lines(rule.replace)}"
        yield f"via = {toml.value([*rule.via])}"
        if rule.on_escape is not None:
            yield f"on_escape = {toml.string(rule.on_escape)}"
        yield f"each = {rule.each}"
        yield f"where = {toml.value([*rule.where])}"
        if rule.predicate is not None:
            named = f"{rule.predicate.name}, version {rule.predicate.version}"
            yield f"predicate = {toml.string(named)}"
        yield ""


def _refuse(where: str, expected: str, got: str) -> NoReturn:
    raise _core.ArgumentError(f"{where}: expected {expected}, got {got}")
