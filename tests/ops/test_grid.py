"""Row operators over rows, widths, kinds of values, dtypes, instruction sets and thread counts.

Every pair of values of two of these, and of attributes and optional operands, comes in some call.
FUSIBLE_EXHAUSTIVE=1 takes the product: rows x widths x kinds x dtypes, each on all instruction sets
with one thread and with three, while attributes and optional operands go in turns.

Both leave out the shapes of more than 2^20 rows x columns, whose references take a second each: of
these the largest comes once for each operator (in the product once for each kind), made of 19 rows
that a reference has seen. Groups want a multiple of 16 columns: where an operator has them, a width
means the next one. Operators that look rows up have the kinds in the table or the rows they write.

References model what f32 can't hold (support/sums.py): squares of 2^64 have an infinite sum.
"""

import itertools
import os

import numpy as np
import pytest

from support.case import Case, dtypes_under_test
from support.contract import (
    ISAS,
    OPS,
    ROW_OPS,
    assert_matches,
    call,
    comparable,
    machine,
    reference,
)
from support.grid import KINDS, ROWS, WIDTHS, all_points, covering_points, factors_of, operands_at
from support.tolerance import assert_same_bits

EXHAUSTIVE = os.environ.get("FUSIBLE_EXHAUSTIVE") == "1"
MOST = 1 << 20  # rows x columns of a point
REPEATED = 19  # rows of the largest shape that differ: 513 are 27 times these


def check(name, point, machines):
    """On these machines: near the reference, and the same bits where they are promised."""
    operands, attrs = operands_at(OPS[name], point)
    case = Case(str(point), {}, attrs)
    seen, expected = {}, None
    for isa, threads in machines:
        what = f"{point} on {isa} with {threads} threads"
        with machine(isa, threads):
            results = call(name, operands, attrs)
            if comparable(name, isa) not in seen:
                if expected is None or OPS[name]["kind"] == "equals":
                    expected = reference(name, case, operands)
                assert_matches(name, results, expected, what)
        first = seen.setdefault(comparable(name, isa), results)
        for got, want in zip(results, first, strict=True):
            assert_same_bits(got, want, what)


def points_of(name, kind):
    """Points of the grid, and the machines for each."""
    if EXHAUSTIVE:
        points = all_points(OPS[name], kind, MOST)
        return [(point, list(itertools.product(ISAS, (1, 3)))) for point in points]
    points = [p for p in covering_points(OPS[name], MOST) if p["kind"] == kind]
    return [(point, [(point["isa"], point["threads"]), (ISAS[0], 1)]) for point in points]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ROW_OPS)
def test_grid(name, kind):
    points = points_of(name, kind)
    assert points
    for point, machines in points:
        check(name, point, machines)


@pytest.mark.parametrize("name", ["add", "mul", "per_token_group_quant_fp8", "greedy_sample"])
def test_every_pair_comes(name):
    factors = factors_of(OPS[name])
    points = covering_points(OPS[name], MOST)
    for a, b in itertools.combinations(factors, 2):
        pairs = set(itertools.product(factors[a], factors[b]))
        if (a, b) == ("rows", "width"):
            pairs = {(rows, width) for rows, width in pairs if rows * width <= MOST}
        assert {(point[a], point[b]) for point in points} == pairs
    assert len(points) < 2 * len(WIDTHS) * len(KINDS)


def largest(name, kind):
    """The largest shape of repeated rows: a row has the same bits wherever it stands."""
    op, dtypes = OPS[name], dtypes_under_test(OPS[name])
    point = {"rows": REPEATED, "width": max(WIDTHS), "kind": kind, "input": dtypes[1 % len(dtypes)]}
    operands, attrs = operands_at(op, {**point, "given": True})
    check(name, {**point, "given": True}, [(ISAS[0], 1)])
    expected = call(name, operands, attrs)
    rows = {param["name"] for param in op["params"] if param["leading"]}
    which = np.arange(max(ROWS)) % REPEATED
    many = {key: value[which] if key in rows else value for key, value in operands.items()}
    for got, want, spec in zip(call(name, many, attrs), expected, op["results"], strict=True):
        assert_same_bits(got, want[which] if spec["leading"] else want, f"{name}: {spec['name']}")


@pytest.mark.parametrize("name", ROW_OPS)
def test_the_largest_shape(name):
    for kind in KINDS if EXHAUSTIVE else ["normal"]:
        largest(name, kind)
