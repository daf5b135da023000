"""The fusion gate: how often each fusion is made for a model, a target and a pipeline.

`fusible explain` is asked, in a process of its own: a fault in the extension ends that process,
and the gate needs no extension to judge.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusible import toml
from fusible.gate import counts, document
from fusible.gate.model import Better, Finding, GateError, Verdict

if TYPE_CHECKING:
    from fusible.gate.expectation import Expectation

_SECONDS = 600.0
_MOST_REASONS = 3  # of a fusion that was lost; `fusible explain` has all
_OPERATORS = "operators"


@dataclass(frozen=True)
class Subject:
    """What `fusible explain` is asked for: its options.

    Attributes:
        model: a published model's name, or a TOML file.
        graph: instead of a model: a file with a graph.
        target: what to fuse for.
        pipeline: passes joined by commas; None is the target's own.
        fp8: whether linear layers are in fp8; None is the model's own.
        fp8_format: the fp8 format in the model's graph.
    """

    model: str = ""
    graph: str = ""
    target: str = "cpu"
    pipeline: str | None = None
    fp8: bool | None = None
    fp8_format: str | None = None


def record(path: Path, subject: Subject, layers: int = 2) -> str:
    """Writes what fuses now as the expectation, in formulas of the number of layers L.

    Args:
        path: of the file, TOML.
        subject: what to fuse; a graph's path is written relative to the file.
        layers: L. The formulas are those that hold for L, 2L and 3L; a count that no line
            through these explains stays a number.

    Returns:
        The file's text.
    """
    if bool(subject.model) == bool(subject.graph):
        raise GateError("record: expected either a model or a graph, got both or none")
    times = (1, 2, 3) if subject.model else (1,)
    found = {layers * factor: _counts(explain(subject, layers * factor)) for factor in times}
    names = sorted(set().union(*found.values()), key=lambda name: (name != _OPERATORS, name))
    formulas = {n: formula({at: one.get(n, 0) for at, one in found.items()}) for n in names}
    text = _text(path, subject, layers, formulas)
    document.write(path, text)
    return text


def check(path: Path) -> tuple[Finding, ...]:
    """Compares what fuses now with an expectation file, exactly.

    Returns:
        A finding a fusion, named "file stem#fusion"; the reason of a loss is `explain`'s. More
        than expected is an improvement that the file doesn't know yet.
    """
    from fusible.gate.expectation import evaluate, read_fusions

    file = read_fusions(path)
    report = explain(_subject(file, path), file.layers)
    wanted = {name: evaluate(formula, file.layers) for name, formula in file.fusions.items()}
    got = _counts(report)
    operators = got.pop(_OPERATORS)
    found = [
        _finding(path.stem, name, got.get(name, 0), wanted.get(name, 0), report)
        for name in {**wanted, **got}
    ]
    if file.operators is not None:
        expected = evaluate(file.operators, file.layers)
        found.append(
            counts.check(f"{path.stem}#{_OPERATORS}", operators, expected, unit="operators")
        )
    return tuple(found)


def explain(subject: Subject, layers: int) -> dict[str, Any]:
    """The object of `fusible explain --json`.

    Raises:
        GateError: it failed, with its last line.
    """
    command = [sys.executable, "-m", "fusible", "explain", "--json", *_options(subject, layers)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GateError(f"fusible explain: expected an end within {_SECONDS:g} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise GateError(f"fusible explain {' '.join(command[5:])}: {last[:500]}")
    report = document.parse(done.stdout, "fusible explain --json")
    if not isinstance(report, dict) or not {"fusions", "misses", "operators"} <= report.keys():
        raise GateError("fusible explain --json: expected fusions, misses and operators")
    return report


def _options(subject: Subject, layers: int) -> list[str]:
    """Options and the graph; the graph stands last, after what ends the options."""
    options = [f"--target={subject.target}"]
    if subject.pipeline is not None:
        options.append(f"--pipeline={subject.pipeline}")
    if subject.fp8 is not None:
        options.append("--fp8" if subject.fp8 else "--no-fp8")
    if subject.fp8_format is not None:
        options.append(f"--fp8-format={subject.fp8_format}")
    if subject.graph:
        return [*options, "--", subject.graph if subject.graph != "-" else "./-"]
    return [*options, f"--model={subject.model}", f"--layers={layers}"]


def _counts(report: Mapping[str, Any]) -> dict[str, int]:
    return {**report["fusions"], _OPERATORS: report["operators"]["after"]}


def formula(counts: Mapping[int, int]) -> str | int:
    """A formula of the number of layers L, from how often something is counted at some of them.

    It is the line through three counts or more, else the first count.
    """
    (first, count), *others = counts.items()
    slope = (others[0][1] - count) // (others[0][0] - first) if len(others) > 1 else 0
    rest = count - slope * first
    if slope < 1 or any(slope * layers + rest != found for layers, found in counts.items()):
        return count
    times = "L" if slope == 1 else f"{slope}*L"
    return f"{times}{rest:+d}" if rest else times


def _text(path: Path, subject: Subject, layers: int, formulas: dict[str, str | int]) -> str:
    """The TOML of an expectation; JSON's strings and numbers are TOML's too."""
    asked = {key: value for key, value in asdict(subject).items() if value not in (None, "")}
    if subject.graph:
        asked["graph"] = _relative(Path(subject.graph), path.parent)
    else:
        asked["layers"] = layers
    asked[_OPERATORS] = formulas.pop(_OPERATORS)
    lines = [
        "# What fuses. Made by `fusible gate record`; L is the number of layers.",
        "version = 1",
    ]
    lines += [f"{key} = {json.dumps(value)}" for key, value in asked.items()]
    lines += ["", "[fusions]"]
    lines += [f"{toml.key(name)} = {toml.value(formula)}" for name, formula in formulas.items()]
    return "\n".join(lines) + "\n"


def _relative(graph: Path, folder: Path) -> str:
    import os

    return Path(os.path.relpath(graph.resolve(), folder.resolve())).as_posix()


def _subject(file: Expectation, path: Path) -> Subject:
    fields = {key: getattr(file, key) for key in Subject.__dataclass_fields__}
    if file.graph:
        fields["graph"] = str(path.parent / file.graph)
    return Subject(**fields)


def _finding(stem: str, name: str, got: int, expected: int, report: dict[str, Any]) -> Finding:
    from dataclasses import replace

    finding = counts.check(f"{stem}#{name}", got, expected, better=Better.HIGHER, unit="fusions")
    if finding.verdict is Verdict.IMPROVED:
        return replace(finding, reason=f"{finding.reason}: record it, so that it can't be lost")
    if finding.verdict is Verdict.REGRESSED:
        return replace(finding, reason=f"{finding.reason}{_why(name, report)}")
    return finding


def _why(name: str, report: dict[str, Any]) -> str:
    """Near misses of a fusion, and of row programs, which may take its place."""
    misses = [miss for miss in report["misses"] if miss["rule"] in (name, "rows")]
    told = [f"{m['node']}: {m['reason']}: {m['hint']}" for m in misses[:_MOST_REASONS]]
    if len(misses) > len(told):
        told.append(f"{len(misses) - len(told)} more in fusible explain")
    return "".join(f"; {one}" for one in told) or "; nothing in the graph comes near it"
