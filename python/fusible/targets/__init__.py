"""Targets: what a graph is fused for, one TOML file each; a user's own file works the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fusible import _core, pipelines, toml
from fusible.targets.schema import check

Target = _core.Target

_HERE = Path(__file__).parent


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
        table = toml.read(path)
    except (OSError, ValueError) as error:
        raise _core.ArgumentError(f"target: {error}") from error
    return target_of(path, table)


def target_of(path: Path, table: dict[str, Any]) -> Target:
    """The target that a file's table describes.

    Raises:
        ArgumentError: it describes none; the message names file and key.
    """
    if isinstance(table.get("pipeline"), list):
        text = pipelines.text_of(f"target: {path}: pipeline", table["pipeline"])
        table = {**table, "pipeline": text}
    check(path, table)
    fields = {key: value for key, value in table.items() if key != "description"}
    try:
        return Target(**{**fields, "operators": set(table.get("operators", []))})
    except (_core.Error, TypeError) as error:
        raise _core.ArgumentError(f"{path}: {error}") from error
