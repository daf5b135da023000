"""The files of expectations: what must fuse, and how far arrays may be from their references."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, PlainValidator, model_validator

from fusible import toml
from fusible.gate import document
from fusible.gate.baseline import Name, Strict, _validated
from fusible.gate.model import GateError
from fusible.gate.numerics import Limits

_TERM = r"(?:\d{1,9}(?:\*L)?|L)"
_FORMULA = re.compile(rf"{_TERM}(?:[+-]{_TERM})*")


def _amount(value: object) -> int | str:
    """A number from 0 on, or a formula of L."""
    if isinstance(value, str) and _FORMULA.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"expected a number from 0 on or a sum such as '2*L+1', got {value!r:.60}")


Amount = Annotated[int | str, PlainValidator(_amount)]
Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]
File = TypeVar("File", bound=Strict)
DType = Annotated[str, Field(pattern=r"^(bfloat16|float[0-9]\w*|u?int[0-9]+)$")]


class Expectation(Strict):
    """What fuses for a model (or a graph), a target and a pipeline.

    Attributes:
        model: a name or file, as `fusible explain --model` has it.
        graph: instead of a model: a file with a graph, relative to this one.
        target: what to fuse for.
        pipeline: passes; none is the target's own.
        fp8: whether linear layers are in fp8; none is the model's own.
        fp8_format: the fp8 format in the model's graph.
        layers: L of the formulas, of a model.
        operators: how many run at top level after fusion.
        fusions: name -> how often it is made; a formula of L.
    """

    version: Literal[1]
    model: str = ""
    graph: str = ""
    target: str = "cpu"
    pipeline: str | None = None
    fp8: bool | None = None
    fp8_format: Literal["e4m3fn", "e4m3fnuz"] | None = None
    layers: Annotated[int, Field(ge=1, le=1024)] = 1
    operators: Amount | None = None
    fusions: dict[Name, Amount]

    @model_validator(mode="after")
    def _has_one_subject(self) -> Expectation:
        if bool(self.model) == bool(self.graph):
            raise ValueError("expected either model or graph, got both or none")
        return self


class Arrays(Strict):
    """One scenario of a numerics file: two .npy files and the limits."""

    actual: Name
    reference: Name
    dtype: DType | None = None
    reference_dtype: DType | None = None
    ulp: Limit | None = None
    mismatched: Annotated[float, Field(ge=0, le=1)] | None = None
    cosine: Annotated[float, Field(ge=-1, le=1)] | None = None
    difference: Limit | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Arrays:
        if self.limits() == Limits():
            raise ValueError("expected ulp, mismatched, cosine or difference, got none of them")
        return self

    def limits(self) -> Limits:
        """The limits alone."""
        return Limits(self.ulp, self.mismatched, self.cosine, self.difference)


class Numerics(Strict):
    """A numerics file."""

    version: Literal[1]
    scenarios: Annotated[dict[Name, Arrays], Field(min_length=1)]


def read_fusions(path: Path) -> Expectation:
    """An expectation file of the fusion gate; GateError with path and key for what is wrong."""
    return _read(Expectation, path)


def read_numerics(path: Path) -> Numerics:
    """A file of the numerics gate; GateError with path and key for what is wrong in it."""
    return _read(Numerics, path)


def _read(kind: type[File], path: Path) -> File:
    if path.suffix == ".json":
        return _validated(kind, document.read(path), str(path))
    try:
        table = toml.parse(document.read_text(path), str(path))
    except ValueError as error:
        raise GateError(str(error)) from None
    return _validated(kind, table, str(path))


def evaluate(formula: str | int, layers: int) -> int:
    """The value of a formula such as ``2*L+1``: sums of numbers, L, and numbers times L."""
    if isinstance(formula, int):
        return formula
    value = 0
    for sign, number, has_layers in re.findall(r"([+-]?)(\d*)\*?(L?)(?=[+-]|$)", formula):
        if number or has_layers:
            term = int(number or 1) * (layers if has_layers else 1)
            value += -term if sign == "-" else term
    return value
