"""What may stand in the file of a target; what is wrong is named with file, key and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from fusible import _core

# Key -> the type it has in a file.
_KEYS: dict[str, type] = {
    "name": str,
    "description": str,
    "pipeline": str,
    "fp8": str,
    "scratch_bytes": int,
    "all_operators": bool,
    "operators": list,
    "variants": dict,
    "capabilities": dict,
    "costs": dict,
    "uncacheable": dict,
}
_REQUIRED = ("name", "pipeline")
_COSTS = ("keep", "recompute")  # what passes ask for: csrc/passes/support.cc
_MOST_BYTES = 2**63 - 1
# Kind of an attribute -> the types of its values in a file, and what they are called.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "whole numbers"),
    "float": ((int, float), "numbers"),
    "bool": ((bool,), "true or false"),
    "str": ((str,), "strings"),
    "dtype": ((str,), "names of dtypes"),
    "ints": ((list,), "lists of whole numbers"),
}


def check(path: Path, table: dict[str, Any]) -> None:
    """ArgumentError, which names file and key, for a table that does not describe a target."""
    for key, value in table.items():
        if key not in _KEYS:
            _refuse(path, key, f"one of {', '.join(_KEYS)}", "an unknown key")
        if type(value) is not _KEYS[key]:
            _refuse(path, key, _KEYS[key].__name__, type(value).__name__)
    for key in _REQUIRED:
        _check_line(path, key, table)
    if not 1 <= table.get("scratch_bytes", 1) <= _MOST_BYTES:
        _refuse(path, "scratch_bytes", f"1 to {_MOST_BYTES}", str(table["scratch_bytes"]))
    _check_operators(path, table)
    for operator, attrs in table.get("variants", {}).items():
        _check_variants(path, operator, attrs)
    for cost, value in table.get("costs", {}).items():
        if cost not in _COSTS:
            _refuse(path, f"costs.{cost}", f"one of {', '.join(_COSTS)}", "an unknown key")
        if type(value) is not bool:
            _refuse(path, f"costs.{cost}", "true or false", repr(value))
    passes = [name for name, _ in _core.pass_names()]
    for name, reason in table.get("uncacheable", {}).items():
        if name not in passes:
            _refuse(path, f"uncacheable.{name}", f"one of {', '.join(passes)}", "an unknown pass")
        if not isinstance(reason, str) or not reason.strip() or not reason.isprintable():
            _refuse(path, f"uncacheable.{name}", "the reason, a line of text", repr(reason))


def _check_line(path: Path, key: str, table: dict[str, Any]) -> None:
    if key not in table:
        _refuse(path, key, "a value", "none")
    if not table[key].strip() or not table[key].isprintable():
        _refuse(path, key, "a line of text", repr(table[key]))


def _check_operators(path: Path, table: dict[str, Any]) -> None:
    if table.get("operators") == []:
        _refuse(path, "operators", "at least one name, or no such key", "an empty list")
    for operator in table.get("operators", []):
        if operator not in _core.op_names():
            _refuse(path, "operators", "names of operators", repr(operator))


def _check_variants(path: Path, operator: str, attrs: Any) -> None:
    key = f"variants.{operator}"
    if operator not in _core.op_names():
        _refuse(path, key, "the name of an operator", repr(operator))
    if not isinstance(attrs, dict):
        _refuse(path, key, "attributes with lists of values", repr(attrs))
    known = {attr["name"]: attr for attr in _core.find_op(operator).describe()["attrs"]}
    for attr, values in attrs.items():
        where = f"{key}.{attr}"
        if attr not in known:
            _refuse(path, where, f"one of {', '.join(known) or 'no attributes'}", repr(attr))
        if not isinstance(values, list) or not values:
            _refuse(path, where, "a list of values", repr(values))
        for value in values:
            _check_value(path, where, known[attr], value)


def _check_value(path: Path, where: str, attr: dict[str, Any], value: Any) -> None:
    choices = attr["choices"]
    types, expected = _KINDS[attr["kind"]]
    fits = type(value) in types and (not choices or value in choices)
    if choices:
        expected = f"some of {', '.join(map(str, choices))}"
    if not fits:
        _refuse(path, where, expected, repr(value))


def _refuse(path: Path, key: str, expected: str, got: str) -> NoReturn:
    raise _core.ArgumentError(f"target: {path}: {key}: expected {expected}, got {got}")
