"""Cases of operators: operands described by makers, so that one case serves every dtype."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fusible import _core
from support.calls import numpy_dtype, size_of

Array = np.ndarray[Any, np.dtype[Any]]


class Maker(Protocol):
    """Makes one operand; `dtype` is the one under test, for makers that name none."""

    def make(self, rng: np.random.Generator, dtype: str) -> Array: ...


@dataclass(frozen=True)
class Normal:
    """Normally distributed floats."""

    shape: tuple[int, ...]
    scale: float = 1.0
    dtype: str | None = None

    def make(self, rng: np.random.Generator, dtype: str) -> Array:
        values = rng.standard_normal(self.shape) * self.scale
        return stored(values, self.dtype or dtype)


@dataclass(frozen=True)
class Values:
    """These values."""

    array: Any
    dtype: str | None = None

    def make(self, rng: np.random.Generator, dtype: str) -> Array:
        return stored(np.asarray(self.array), self.dtype or dtype)


@dataclass(frozen=True)
class Integers:
    """Integers from low (inclusive) to high (exclusive)."""

    shape: tuple[int, ...]
    low: int
    high: int
    dtype: str = "i64"

    def make(self, rng: np.random.Generator, dtype: str) -> Array:
        return rng.integers(self.low, self.high, self.shape).astype(numpy_dtype(self.dtype))


@dataclass(frozen=True)
class Strided:
    """Another maker's rows, padded in memory: contiguous rows with a longer way between them."""

    maker: Maker
    padding: int = 5

    def make(self, rng: np.random.Generator, dtype: str) -> Array:
        packed = self.maker.make(rng, dtype)
        wide = np.zeros((*packed.shape[:-1], packed.shape[-1] + self.padding), packed.dtype)
        view = wide[..., : packed.shape[-1]]
        view[...] = packed
        return view


@dataclass(frozen=True)
class Case:
    """One call of an operator; operands that are left out are absent."""

    id: str
    operands: Mapping[str, Maker]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def make(self, dtype: str) -> dict[str, Array]:
        """The operands by name; the same for every call."""
        rng = np.random.default_rng(sum(map(ord, self.id)))
        return {name: maker.make(rng, dtype) for name, maker in self.operands.items()}


def stored(values: Array, dtype: str) -> Array:
    """Values rounded to a storage dtype; what is too large for 8 bits saturates, as in casts."""
    if dtype == "i8":
        return np.clip(np.rint(np.nan_to_num(values, nan=0.0)), -128, 127).astype(np.int8)
    if dtype in LARGEST:
        values = np.clip(values, -LARGEST[dtype], LARGEST[dtype])
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(numpy_dtype(dtype))


LARGEST = {"e4m3fn": 448.0, "e4m3fnuz": 240.0, "e5m2": 57344.0}
CLASSES = {
    "F": ("f32", "bf16", "f16"),
    "Q8": ("e4m3fn", "e4m3fnuz", "e5m2"),
    "Q": ("e4m3fn", "e4m3fnuz", "e5m2", "i8"),
    "FQ": ("f32", "bf16", "f16", "e4m3fn", "e4m3fnuz", "e5m2"),
    "A": ("f32", "bf16", "i32", "e4m3fn"),
}


def dtypes_under_test(op: Mapping[str, Any]) -> tuple[str, ...]:
    """The dtypes of an operator's first class; of one without classes its first operand's."""
    named = [p["dtype"].rstrip("123") for p in op["params"]]
    own = (op["params"][0]["dtype"],)
    return next((CLASSES[name] for name in named if name in CLASSES), own)


def has_own_cases(name: str) -> bool:
    """Whether there is a module of this operator's cases."""
    return importlib.util.find_spec(f"cases.{name}") is not None


def load(name: str) -> Any:
    """The module of an operator's reference and CASES."""
    return importlib.import_module(f"cases.{name}")


def body_calls(op: Mapping[str, Any]) -> list[tuple[list[str], str, list[str], dict[str, str]]]:
    """The lines of an Equals body: results, operator, operands, attributes by their texts."""
    calls = []
    for line in op["equals"].split("\n"):
        left, equals, right = line.partition(" = ")
        if not equals:
            continue
        name, arguments = right.strip().rstrip(")").split("(", 1)
        words = [word.strip() for word in arguments.split(",")]
        attrs = dict(word.split("=", 1) for word in words if "=" in word)
        operands = [word for word in words if "=" not in word]
        calls.append(([v.strip() for v in left.split(",")], name, operands, attrs))
    return calls


@functools.cache
def first_of_family(last: str) -> str:
    """The first fused operator, by name, whose body ends in the operator `last`."""
    described = (_core.find_op(name).describe() for name in _core.op_names())
    return next(
        op["name"]
        for op in described
        if op["kind"] == "equals" and not has_own_cases(op["name"]) and ends_in(op) == last
    )


def ends_in(op: Mapping[str, Any]) -> str:
    """The last operator of a fused one's body."""
    return body_calls(op)[-1][1]


def covering(cases: list[Case]) -> list[Case]:
    """The cases that bring a value of an attribute, a rank, or a way of lying in memory first."""
    seen: set[tuple[str, str]] = set()
    chosen = []
    for case in cases:
        first = next(iter(case.operands.values()))
        shape = first.make(np.random.default_rng(0), "f32").shape
        marks = {(key, str(value)) for key, value in case.attrs.items()}
        marks |= {
            ("rank", str(len(shape))),
            ("empty", str(0 in shape)),
            ("maker", str(type(first))),
        }
        if not marks <= seen:
            chosen.append(case)
        seen |= marks
    return chosen


def cases_to_derive(op: Mapping[str, Any]) -> list[Case]:
    """The cases of a fused operator's last part.

    All of them for the first operator of a family, those whose bodies end alike, and a covering
    handful for the others: they run the same kernels, composed by the same code.
    """
    last = ends_in(op)
    cases: list[Case] = load(last).CASES
    return cases if op["name"] == first_of_family(last) else covering(cases)


def derived_cases(op: Mapping[str, Any]) -> list[Case]:
    """Cases of a fused operator: those of its last part, other operands made to match."""
    cases = []
    for case in cases_to_derive(op):
        makers = dict(case.operands)
        first = makers.pop(next(iter(makers)))
        shape = first.make(np.random.default_rng(0), "f32").shape
        letter = "D" if "2*D" in op["params"][0]["dims"] else "C"
        operands = {}
        for param in op["params"]:
            dims = tuple(size_of(d, {letter: shape[-1]}) for d in param["dims"])
            wanted = (shape[:-1] if param["leading"] else ()) + dims
            same = wanted == shape and param["leading"] and "x" not in operands
            operands[param["name"]] = (
                makers.get(param["name"]) or (first if same else None) or Normal(wanted)
            )
        known = {attr["name"] for attr in op["attrs"]}
        attrs = {name: value for name, value in case.attrs.items() if name in known}
        cases.append(Case(case.id, operands, attrs))
    if any(attr["name"] == "eps" for attr in op["attrs"]):
        first = cases[0]
        cases.append(Case(f"{first.id}-eps", first.operands, {**first.attrs, "eps": 0.5}))
    return cases


def cases_of(op: Mapping[str, Any]) -> list[Case]:
    """The cases of an operator, its own or its parts'."""
    return list(load(op["name"]).CASES) if has_own_cases(op["name"]) else derived_cases(op)
