"""Targets: what a graph is fused for, one TOML file each; a user's own file works the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

from fusible import _core

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Target = _core.Target

_HERE = Path(__file__).parent

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
}
_REQUIRED = ("name", "pipeline")


def names() -> list[str]:
    """The targets that come with the package."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def load_target(name_or_path: str | Path) -> Target:
    """Reads a target.

    Args:
        name_or_path: the name of a target of the package (``names()``), or the path of a TOML file.

    Raises:
        ArgumentError: no such target or file, or a file that does not describe a target; the
            message names file and key.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and path.name == str(name_or_path):
        path = _HERE / f"{name_or_path}.toml"
        if not path.is_file():
            known = ", ".join(names())
            raise _core.ArgumentError(
                f"target: expected one of {known}, or the path of a TOML file, got {name_or_path!r}"
            )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _core.ArgumentError(f"target: {path}: {error}") from error
    _check(path, table)
    table.pop("description", None)
    try:
        return Target(**{**table, "operators": set(table.get("operators", []))})
    except (_core.Error, TypeError) as error:
        raise _core.ArgumentError(f"{path}: {error}") from error


def _check(path: Path, table: dict[str, Any]) -> None:
    for key, value in table.items():
        if key not in _KEYS:
            _refuse(path, key, f"one of {', '.join(_KEYS)}", "an unknown key")
        if type(value) is not _KEYS[key]:
            _refuse(path, key, _KEYS[key].__name__, type(value).__name__)
    for key in _REQUIRED:
        if key not in table:
            _refuse(path, key, "a value", "none")
    for operator in table.get("operators", []):
        if operator not in _core.op_names():
            _refuse(path, "operators", "names of operators", repr(operator))
    for operator, attrs in table.get("variants", {}).items():
        key = f"variants.{operator}"
        if operator not in _core.op_names():
            _refuse(path, key, "the name of an operator", repr(operator))
        if not isinstance(attrs, dict):
            _refuse(path, key, "attributes with lists of values", repr(attrs))
        for attr, values in attrs.items():
            if not isinstance(values, list):
                _refuse(path, f"{key}.{attr}", "a list of values", repr(values))


def _refuse(path: Path, key: str, expected: str, got: str) -> NoReturn:
    raise _core.ArgumentError(f"target: {path}: {key}: expected {expected}, got {got}")
