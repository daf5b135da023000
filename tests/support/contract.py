"""Runs cases of operators through the public API, on a chosen instruction set and thread count."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fusible import _core, ops
from support.case import Array, Case, body_calls, load
from support.tolerance import assert_close, assert_same_bits

NO_FMA = ("scalar", "emu128", "sse4")
ISAS = _core.present_isas()
FMA_ISAS = [isa for isa in ISAS if isa not in NO_FMA]
needs_fma = pytest.mark.skipif(not FMA_ISAS, reason="no instruction set with FMA is present")
THREADS = (1, 2, 3)
NAMES = {numpy: text for text, numpy in _core.dtypes().items()}

OPS = {name: _core.find_op(name).describe() for name in _core.op_names()}


def multiplies(name: str) -> bool:
    """Whether it is, or equals something with, a kernel of whole tensors."""
    parts = [part for _, part, _, _ in body_calls(OPS[name])]
    return OPS[name]["kind"] == "kernel" or any(map(multiplies, parts))


ROW_OPS = [
    name for name, op in OPS.items() if op["kind"] in ("rows", "equals") and not multiplies(name)
]


@contextlib.contextmanager
def machine(isa: str, threads: int) -> Iterator[None]:
    """Calls inside run on this instruction set with so many threads, however small they are."""
    bytes_before = _core.set_bytes_per_thread(1)
    isa_before, threads_before = _core.chosen_isa(), _core.thread_count()
    _core.force_isa(isa)
    _core.set_threads(threads)
    try:
        yield
    finally:
        _core.set_bytes_per_thread(bytes_before)
        _core.force_isa(isa_before)
        _core.set_threads(threads_before)


def call(name: str, operands: dict[str, Array], attrs: dict[str, Any], out: Any = None) -> Any:
    """One call by the public function; results as a tuple."""
    given = [operands.get(param["name"]) for param in OPS[name]["params"]]
    while given and given[-1] is None:
        given.pop()
    results = getattr(ops, name)(*given, **attrs, **({} if out is None else {"out": out}))
    return results if isinstance(results, tuple) else (results,)


def call_body(name: str, operands: dict[str, Array], attrs: dict[str, Any]) -> tuple[Array, ...]:
    """What a fused operator equals, operator by operator."""
    op = OPS[name]
    known = {a["name"]: a["default"] for a in op["attrs"] if a["default"] is not None} | attrs
    values: dict[str, Any] = dict(operands)
    for results, part, arguments, passed in body_calls(op):
        part_attrs = {key: known[value] for key, value in passed.items() if value in known}
        literals = {key: value for key, value in passed.items() if value.startswith('"')}
        part_attrs |= {key: value.strip('"') for key, value in literals.items()}
        params = [param["name"] for param in OPS[part]["params"]]
        given = zip(params, arguments, strict=False)
        part_operands = {param: values[a] for param, a in given if a != "none"}
        values.update(zip(results, call(part, part_operands, part_attrs), strict=True))
    returned = op["equals"].rpartition("return ")[2]
    return tuple(values[name.strip()] for name in returned.split(","))


def reference(name: str, case: Case, operands: dict[str, Array]) -> tuple[Any, ...]:
    """The results in float64, or of a fused operator those of its parts (to compare by bits)."""
    if OPS[name]["kind"] == "equals":
        return call_body(name, operands, dict(case.attrs))
    exact = {
        key: value if value.dtype.kind in "iu" else value.astype(np.float64)
        for key, value in operands.items()
    }
    results = load(name).reference(**exact, **case.attrs)
    return results if isinstance(results, tuple) else (results,)


def comparable(name: str, isa: str) -> str:
    """Which earlier results have the same bits: those with this key."""
    if multiplies(name):
        return isa
    return "fma" if isa in FMA_ISAS else isa


def assert_matches(
    name: str, results: tuple[Array, ...], expected: tuple[Any, ...], what: str
) -> None:
    """Compares with a reference: fused operators by bits, the others by the tolerance."""
    for got, want, spec in zip(results, expected, OPS[name]["results"], strict=True):
        where = f"{what}: {spec['name']}"
        if OPS[name]["kind"] == "equals":
            assert_same_bits(got, want, where)
        else:
            assert_close(got, want, NAMES[got.dtype.name], where)
