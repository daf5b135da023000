"""A pass that failed, as one text file from which it can be run again.

The file is TOML: the message, the pipeline, the fuel, the build, the graph as text, and the target
as a target's own file holds it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from fusible import _core
from fusible.files import write_whole
from fusible.passes import PassManager
from fusible.targets import Target, target_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 64 << 20
_KEYS = {"fusible": str, "build": str, "message": str, "pipeline": str, "graph": str}
_ALL_KEYS = {**_KEYS, "fuel": int, "target": dict}
_HEADING = "# A pass failed. `fusible replay FILE` runs it again and says whether it still does.\n"


@dataclass(frozen=True)
class Reproducer:
    """All that a run of a pipeline depends on, and how it failed.

    Attributes:
        graph: text of the graph that the pipeline was given.
        pipeline: names of passes.
        target: what for.
        fuel: how many rewrites were allowed; None for any number.
        message: how it failed.
        build: id of the build that failed.
        version: of fusible.
    """

    graph: str
    pipeline: str
    target: Target
    fuel: int | None
    message: str
    build: str = _core.build_id
    version: str = _core.version

    def text(self) -> str:
        """The file."""
        lines = [
            f"fusible = {_string(self.version)}",
            f"build = {_string(self.build)}",
            f"message = {_string(self.message)}",
            f"pipeline = {_string(self.pipeline)}",
            *([] if self.fuel is None else [f"fuel = {self.fuel}"]),
            f"graph = {_lines(self.graph)}",
            "",
            *_table("target", self.target.table()),
        ]
        return _HEADING + "\n".join(lines) + "\n"

    def write(self, folder: str | Path) -> Path:
        """Writes the file into a folder, which is made if it is not there; returns its path.

        The name follows from what is in it, so that the same failure is one file.
        """
        text = self.text()
        path = Path(folder) / f"reproducer-{sha256(text.encode()).hexdigest()[:16]}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
        return path

    def parsed(self) -> tuple[PassManager, _core.Graph]:
        """What is run.

        Raises:
            GraphError: the graph's text is not legal for this build.
            ArgumentError: this build does not know one of the passes.
        """
        return PassManager(self.pipeline, self.target), _core.Graph.parse(self.graph)

    def replay(self) -> str | None:
        """Runs the pipeline again; how it fails, None where it does not.

        Raises:
            GraphError, ArgumentError: as `parsed`.
        """
        manager, graph = self.parsed()
        try:
            manager.run(graph, fuel=self.fuel)
        except _core.PassError as error:
            return str(error)
        return None


def read_reproducer(path: str | Path) -> Reproducer:
    """Reads a file that `Reproducer.write` made.

    Raises:
        ArgumentError: no such file, or not one of these; the message names file and line or key,
            and for the graph the line in it.
    """
    path = Path(path)
    table = _read_table(path)
    for key, kind in _ALL_KEYS.items():
        if key in table and type(table[key]) is not kind:
            _refuse(path, key, kind.__name__, type(table[key]).__name__)
        if key not in table and key != "fuel":
            _refuse(path, key, "a value", "none")
    for key in table.keys() - _ALL_KEYS.keys():
        _refuse(path, key, f"one of {', '.join(_ALL_KEYS)}", "an unknown key")
    if not 0 <= table.get("fuel", 0) < 2**63:
        _refuse(path, "fuel", "a whole number from 0", str(table["fuel"]))
    made = Reproducer(
        graph=table["graph"],
        pipeline=table["pipeline"],
        target=target_of(path, table["target"]),
        fuel=table.get("fuel"),
        message=table["message"],
        build=table["build"],
        version=table["fusible"],
    )
    try:
        made.parsed()
    except _core.Error as error:
        raise _core.ArgumentError(f"{path}: {error}") from error
    return made


def _read_table(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            _refuse(path, "size", f"at most {MOST_BYTES} bytes", "more")
        table: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise _core.ArgumentError(f"{path}: expected fewer brackets in brackets") from None
    except _core.Error:
        raise
    except (OSError, ValueError) as error:  # no UTF-8, no TOML (with its line), or no path
        raise _core.ArgumentError(f"{path}: {error}") from error
    return table


def _refuse(path: Path, key: str, expected: str, got: str) -> NoReturn:
    raise _core.ArgumentError(f"{path}: {key}: expected {expected}, got {got}")


def _table(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """A TOML table, with the tables in it behind it."""
    yield f"[{name}]"
    for key, value in table.items():
        if not isinstance(value, dict):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _table(f"{name}.{_key(key)}", value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list | set):
        items = sorted(value) if isinstance(value, set) else value
        return f"[{', '.join(_value(item) for item in items)}]"
    return repr(value)  # int, float, inf and nan are written as in Python


def _string(text: str) -> str:
    # JSON's escapes are TOML's as well; only DEL is one more that TOML does not take as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(text: str) -> str:
    """Text to be read by hand: as it is, where TOML can hold it so."""
    if "'''" in text or not all(line.isprintable() for line in text.split("\n")):
        return _string(text)
    return f"'''\n{text}'''"
