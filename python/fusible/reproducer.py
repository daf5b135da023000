"""A pass that failed, or a process that ended in one, as a text file to run it from again.

The file is TOML: the message, the pipeline, the fuel, the range, the build, the graph as text, the
rules that were given, and the target as a target's own file holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import get_native_id
from typing import NoReturn

from fusible import _core, toml
from fusible.files import write_whole
from fusible.passes import PassManager, check_range
from fusible.rule_files import lines_of, rules_of
from fusible.rules import Rule
from fusible.targets import Target, target_of

MOST_BYTES = 64 << 20
_KEYS = {"fusible": str, "build": str, "message": str, "pipeline": str, "graph": str}
_OPTIONS = {"fuel": int, "range": list, "rules": list}
_ALL_KEYS = {**_KEYS, **_OPTIONS, "target": dict}
_HEADING = "# A pass failed. `fusible replay FILE` runs it again and says whether it still does.\n"


@dataclass(frozen=True)
class Reproducer:
    """All that a run of a pipeline depends on, and how it failed.

    Attributes:
        graph: text of the graph that the pipeline was given.
        pipeline: its text.
        target: what for.
        fuel: how many rewrites were allowed; None for any number.
        message: how it failed.
        build: id of the build that failed.
        version: of fusible.
        range: the sizes that the result was for; None for any.
        rules: rules that were given.
    """

    graph: str
    pipeline: str
    target: Target
    fuel: int | None
    message: str
    build: str = _core.build_id
    version: str = _core.version
    range: tuple[int, int] | None = None
    rules: tuple[Rule, ...] = ()

    def text(self) -> str:
        """The file."""
        lines = [
            f"fusible = {toml.string(self.version)}",
            f"build = {toml.string(self.build)}",
            f"message = {toml.string(self.message)}",
            f"pipeline = {toml.string(self.pipeline)}",
            *([] if self.fuel is None else [f"fuel = {self.fuel}"]),
            *([] if self.range is None else [f"range = {toml.value([*self.range])}"]),
            f"graph = {toml.lines(self.graph)}",
            "",
            *lines_of(self.rules),
            *toml.table("target", self.target.table()),
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
        manager = PassManager(self.pipeline, self.target, rules=self.rules)
        return manager, _core.Graph.parse(self.graph)

    def replay(self) -> str | None:
        """Runs the pipeline again; how it fails, None where it does not.

        Raises:
            GraphError, ArgumentError: as `parsed`.
        """
        manager, graph = self.parsed()
        try:
            manager.run(graph, fuel=self.fuel, range=self.range)
        except _core.PassError as error:
            return str(error)
        return None


def unended() -> str:
    """The message of a run that has not ended, with its thread: no two at once are one file."""
    return f"the process ended before the passes did (thread {get_native_id()})"


@contextmanager
def kept_in_a_crash(made: Reproducer, folder: str | Path) -> Iterator[None]:
    """The file is in the folder while the block runs, and goes however the block is left.

    What ends the process in between (a segmentation fault, an abort, a kill for want of memory)
    leaves it there.

    Raises:
        OSError: it cannot be written.
    """
    fresh = [each for each in (Path(folder), *Path(folder).parents) if not each.exists()]
    path = made.write(folder)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        for each in fresh:
            with suppress(OSError):  # something else is in it by now
                each.rmdir()


def read_reproducer(path: str | Path) -> Reproducer:
    """Reads a file that `Reproducer.write` made.

    Raises:
        ArgumentError: no such file, or not one of these; the message names file and line or key,
            and for the graph the line in it.
    """
    path = Path(path)
    try:
        table = toml.read(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise _core.ArgumentError(str(error)) from error
    for key, kind in _ALL_KEYS.items():
        if key in table and type(table[key]) is not kind:
            _refuse(path, key, kind.__name__, type(table[key]).__name__)
        if key not in table and key not in _OPTIONS:
            _refuse(path, key, "a value", "none")
    for key in table.keys() - _ALL_KEYS.keys():
        _refuse(path, key, f"one of {', '.join(_ALL_KEYS)}", "an unknown key")
    if not 0 <= table.get("fuel", 0) < 2**63:
        _refuse(path, "fuel", "a whole number from 0", str(table["fuel"]))
    sizes = tuple(table["range"]) if "range" in table else None
    made = Reproducer(
        graph=table["graph"],
        pipeline=table["pipeline"],
        target=target_of(path, table["target"]),
        fuel=table.get("fuel"),
        message=table["message"],
        build=table["build"],
        version=table["fusible"],
        range=sizes,
        rules=tuple(rules_of(str(path), table.get("rules", []))),
    )
    try:
        if made.range is not None:
            check_range(made.range)
        made.parsed()
    except _core.Error as error:
        raise _core.ArgumentError(f"{path}: {error}") from error
    return made


def _refuse(path: Path, key: str, expected: str, got: str) -> NoReturn:
    raise _core.ArgumentError(f"{path}: {key}: expected {expected}, got {got}")
