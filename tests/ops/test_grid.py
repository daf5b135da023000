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
    FMA_ISAS,
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


def assert_rows_alike(name, point, rows, machines):
    """So many rows, made of those at a point: a row has the same bits wherever it stands."""
    operands, attrs = operands_at(OPS[name], point)
    leading = {param["name"] for param in OPS[name]["params"] if param["leading"]}
    which = np.arange(rows) % point["rows"]
    many = {key: value[which] if key in leading else value for key, value in operands.items()}
    for isa, threads in machines:
        with machine(isa, threads):
            few, results = (call(name, given, attrs) for given in (operands, many))
        for got, one, spec in zip(results, few, OPS[name]["results"], strict=True):
            want = one[which] if spec["leading"] else one
            assert_same_bits(got, want, f"{spec['name']} on {isa} with {threads} threads")


@pytest.mark.parametrize("name", ROW_OPS)
def test_the_largest_shape(name):
    dtypes = dtypes_under_test(OPS[name])
    shape = {"rows": REPEATED, "width": max(WIDTHS), "given": True}
    for kind in KINDS if EXHAUSTIVE else ["normal"]:
        point = {**shape, "kind": kind, "input": dtypes[1 % len(dtypes)]}
        check(name, point, [(ISAS[0], 1)])
        assert_rows_alike(name, point, max(ROWS), [(ISAS[0], 1)])


# Not those that write rows of a cache, where the last one counts that names a place.
OF_ROWS = [name for name in ROW_OPS if all(result["leading"] for result in OPS[name]["results"])]


@pytest.mark.parametrize("name", OF_ROWS)
def test_results_that_are_stored_past_the_caches(name):
    """Results of 8 MiB and more, of codes too; NaN, infinities and subnormals in some rows."""
    dtypes = dtypes_under_test(OPS[name])
    dtype = "bf16" if "bf16" in dtypes else dtypes[0]
    for kind in ("normal", "nan", "infinities", "subnormals"):
        point = {"rows": REPEATED, "width": 8192, "kind": kind, "input": dtype, "given": True}
        machines = [(isa, 1) for isa in FMA_ISAS] if kind == "normal" else [(ISAS[0], 3)]
        assert_rows_alike(name, point, 1031, machines)
