"""Pipelines in TOML, for those that are too long for one line of text.

A file holds the key ``pipeline``: the text of a pipeline, or a list of passes. The file of a target
holds it in the same way. A pass is its name, or a table with its options; some passes may be run
again until nothing changes::

    pipeline = [
      {fixpoint = ["canonicalize", "share-common"]},
      {pass = "fuse-ops", range = [1, 512]},
      {pass = "fuse-rows", range = [513]},
      "drop-dead",
    ]

which is ``fixpoint(canonicalize,share-common),fuse-ops@[1,512],fuse-rows@[513,],drop-dead``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from fusible import _core, toml

_KEYS = ("pipeline", "description")


def read(path: Path) -> str:
    """The text of the pipeline in a file.

    Raises:
        ArgumentError: no such file, or one that holds no pipeline; the message names file and key.
    """
    table = toml.read_for("pipeline", path, _core.ArgumentError)
    for key in table:
        if key not in _KEYS:
            _refuse(f"pipeline: {path}: {key}", f"one of {', '.join(_KEYS)}", "an unknown key")
    text = text_of(f"pipeline: {path}: pipeline", table.get("pipeline"))
    try:
        _core.check_pipeline(text)
    except _core.ArgumentError as error:
        raise _core.ArgumentError(f"pipeline: {path}: {error}") from None
    return text


def text_of(where: str, value: Any) -> str:
    """A pipeline as text: that of a text is the text itself.

    Args:
        where: file and key, for messages.
        value: as TOML gives it.

    Raises:
        ArgumentError: it is no pipeline; names of passes are not looked at.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        _refuse(where, "a text or a list of passes", "none" if value is None else repr(value))
    return ",".join(_stage(f"{where}[{number}]", item) for number, item in enumerate(value))


def _stage(where: str, item: Any) -> str:
    if not isinstance(item, dict) or "fixpoint" not in item:
        return _call(where, item)
    calls = item["fixpoint"]
    if len(item) > 1 or not isinstance(calls, list) or not calls:
        _refuse(where, "fixpoint alone, with a list of passes", repr(item))
    inner = (_call(f"{where}.fixpoint[{number}]", call) for number, call in enumerate(calls))
    return f"fixpoint({','.join(inner)})"


def _call(where: str, item: Any) -> str:
    match item:
        case str() as name:
            return _name(where, name)
        case {"pass": str() as name, **rest} if not rest:
            return _name(where, name)
        case {"pass": str() as name, "range": [int() as least, *most], **rest} if not rest:
            sizes = [least, *most]
            if len(sizes) <= 2 and all(type(s) is int and 0 <= s < 2**63 for s in sizes):
                return f"{_name(where, name)}@[{least},{''.join(map(str, most))}]"
    raise _core.ArgumentError(
        f"{where}: expected the name of a pass, or a table with pass and a range [least, greatest]"
        f" or [least], got {item!r}"
    )


def _name(where: str, name: str) -> str:
    """Of a pass; a pipeline written as one is none."""
    if not name or set(name) & set(",()@[] "):
        _refuse(where, "the name of a pass", repr(name))
    return name


def _refuse(where: str, expected: str, got: str) -> NoReturn:
    raise _core.ArgumentError(f"{where}: expected {expected}, got {got}")
