"""Every operator x case x dtype against its reference, on each instruction set, on several threads.

A row operator gives the same bits on all instruction sets with FMA; the others may round an
exponential differently, and stay within the tolerance. FUSIBLE_EXHAUSTIVE=1 takes every pair of
instruction set and thread count; else each instruction set comes with one count, another one in
each test.
"""

import itertools
import os

import pytest

from support.case import cases_of, dtypes_under_test
from support.contract import (
    ISAS,
    OPS,
    THREADS,
    assert_matches,
    call,
    comparable,
    machine,
    reference,
)
from support.tolerance import assert_same_bits

EXHAUSTIVE = os.environ.get("FUSIBLE_EXHAUSTIVE") == "1"
TESTS = [
    pytest.param(name, case, dtype, index, id=f"{name}-{case.id}-{dtype}")
    for name, op in OPS.items()
    for index, (case, dtype) in enumerate(itertools.product(cases_of(op), dtypes_under_test(op)))
]


def machines(index):
    """Pairs of instruction set and thread count of the test with this index."""
    if EXHAUSTIVE:
        return list(itertools.product(ISAS, THREADS))
    pairs = [(isa, THREADS[(index + i) % len(THREADS)]) for i, isa in enumerate(ISAS)]
    return [*pairs, (ISAS[0], THREADS[(index + 1) % len(THREADS)])]


@pytest.mark.parametrize(("name", "case", "dtype", "index"), TESTS)
def test_contract(name, case, dtype, index):
    operands = case.make(dtype)
    before = {key: value.copy() for key, value in operands.items()}
    expected = reference(name, case, operands)
    seen = {}
    for isa, threads in machines(index):
        what = f"{isa} on {threads} threads"
        with machine(isa, threads):
            results = call(name, operands, case.attrs)
            if OPS[name]["kind"] == "equals":
                expected = reference(name, case, operands)
        assert_matches(name, results, expected, what)
        first = seen.setdefault(comparable(name, isa), results)
        for got, want in zip(results, first, strict=True):
            assert_same_bits(got, want, what)
    for key, value in before.items():
        assert_same_bits(operands[key], value, f"{key} after the call")
