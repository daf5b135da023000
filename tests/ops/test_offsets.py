"""Offsets that 32 bits can't hold: rows 2^33 bytes apart, arrays of more than 2^31 elements.

Nothing so large is allocated: the arrays are sparse (support/sparse.py). What lies far apart must
give the bits of what lies close together.
"""

import numpy as np
import pytest

import fusible
from cases.attention import SCALE, paged
from fusible import _core, ops
from support.case import Case, dtypes_under_test
from support.contract import OPS, ROW_OPS, call, machine
from support.grid import operands_at
from support.sparse import FAR, behind, far_rows, rows_of_2_31_elements, sparse
from support.tolerance import assert_same_bits

NAMES = {numpy: text for text, numpy in _core.dtypes().items()}
WIDTH = 256
WITH_ROWS = [*ROW_OPS, "matmul", "block_scaled_matmul", "int8_scaled_mm", "w8a16_block_fp8_matmul"]
LAYOUTS = [
    (name, layout)
    for name in WITH_ROWS
    for layout in (
        ("row", "col") if any(a["name"] == "layout" for a in OPS[name]["attrs"]) else ("row",)
    )
]
BOUND = [name for name in ROW_OPS if any(param["bound"] for param in OPS[name]["params"])]


def call_of(name, layout="row", rows=3):
    """Operands of a few rows, attributes, and the results."""
    dtypes = dtypes_under_test(OPS[name])
    point = {"rows": rows, "width": WIDTH, "kind": "normal", "given": True, "layout": layout}
    operands, attrs = operands_at(OPS[name], {**point, "input": dtypes[1 % len(dtypes)]})
    return operands, attrs, call(name, operands, attrs)


def spread(name, operands):
    """The operands that have rows, far apart."""
    leading = {param["name"] for param in OPS[name]["params"] if param["leading"]}
    return {k: far_rows(v) if k in leading else v for k, v in operands.items()}


def room_for(result, spec, layout):
    """Memory for a result: far apart are its rows, or the columns that it is stored by."""
    if not spec["leading"]:
        return np.zeros_like(result)
    if spec["layout"] and layout == "col":
        return sparse(result.shape, (result.itemsize, FAR), result.dtype)
    return far_rows(np.zeros(result.shape, result.dtype))


@pytest.mark.parametrize(("name", "layout"), LAYOUTS)
def test_rows_far_apart(name, layout):
    operands, attrs, expected = call_of(name, layout)
    far = spread(name, operands)
    pairs = zip(expected, OPS[name]["results"], strict=True)
    out = tuple(room_for(result, spec, layout) for result, spec in pairs)
    for threads in (1, 3):
        with machine(_core.chosen_isa(), threads):
            call(name, far, attrs, out=out if len(out) > 1 else out[0])
        for got, want in zip(out, expected, strict=True):
            assert_same_bits(got, want, f"{name} on {threads} threads")
            got[...] = 0


def type_of(name, key, array):
    """The type of a graph's input; what an operator writes in place is declared so."""
    whole = [spec["alias"] for spec in OPS[name]["results"] if not spec["leading"]]
    text = f"{NAMES[array.dtype.name]}{list(array.shape)}"
    return fusible.spec(text, updated=key in whole)


def run_as_graph(name, operands, attrs):
    types = {key: type_of(name, key, value) for key, value in operands.items()}
    graph = fusible.trace(lambda **given: getattr(ops, name)(**given, **attrs), **types)
    results = fusible.compile(graph)(**operands)
    return results if isinstance(results, tuple) else (results,)


@pytest.mark.parametrize("name", ROW_OPS)
def test_rows_far_apart_in_a_graph(name):
    operands, attrs, expected = call_of(name)
    results = run_as_graph(name, spread(name, operands), attrs)
    for got, want in zip(results, expected, strict=True):
        assert_same_bits(got, want, name)


def tables_of(op, param):
    """Operands that an operand's indices point into."""
    letters = param["bound"].split("*")
    return [p["name"] for p in op["params"] if p["dims"][: len(letters)] == letters]


def far_tables(name, operands):
    """The operands, but tables longer by 2^31 elements, and indices that point to their ends."""
    far = dict(operands)
    for param in OPS[name]["params"]:
        if not param["bound"]:
            continue
        tables = {key: operands[key] for key in tables_of(OPS[name], param)}
        rows = rows_of_2_31_elements(*tables.values())
        far |= {key: behind(table, rows) for key, table in tables.items()}
        index, page = operands[param["name"]], 16 if "*" in param["bound"] else 1
        far[param["name"]] = np.where(index < 0, index, index + rows * page)
    return far


def call_in_place(name, operands, attrs):
    """A call that updates tables as a graph does: where they are."""
    whole = [spec["alias"] for spec in OPS[name]["results"] if not spec["leading"]]
    return call(name, operands, attrs, out=tuple(operands[key] for key in whole) or None)


@pytest.mark.parametrize("run", [call_in_place, run_as_graph])
@pytest.mark.parametrize("name", BOUND)
def test_tables_of_more_than_2_31_elements(name, run):
    operands, attrs, expected = call_of(name)
    results = run(name, far_tables(name, operands), attrs)
    for got, want in zip(results, expected, strict=True):
        assert_same_bits(got[len(got) - len(want) :], want, name)


def test_a_cache_of_more_than_2_31_elements():
    operands = Case("far", paged([3, 1], [40, 70]), SCALE).make("bf16")
    expected = ops.attention(**operands, **SCALE)
    rows = rows_of_2_31_elements(operands["k_cache"], operands["v_cache"])
    far = {key: behind(operands[key], rows) for key in ("k_cache", "v_cache")}
    table = operands["block_table"]
    far["block_table"] = np.where(table < 0, table, table + rows).astype(np.int32)
    assert_same_bits(ops.attention(**{**operands, **far}, **SCALE), expected, "attention")


def test_views_of_more_than_2_31_elements():
    values = np.random.default_rng(1).standard_normal((3, WIDTH)).astype(np.float32)
    rows = rows_of_2_31_elements(values)
    tall = behind(values, rows)
    assert_same_bits(ops.slice(tall, dim=0, start=rows, stop=rows + 3), values, "slice")
    halves = ops.reshape(tall, shape=[-1, WIDTH // 2])
    assert_same_bits(halves[-6:].reshape(3, WIDTH), values, "reshape")
    assert_same_bits(ops.transpose(tall, dims=[1, 0])[:, rows:], values.T, "transpose")


def test_columns_behind_2_31_others():
    columns = (1 << 31) + WIDTH
    wide = sparse((3, columns), (columns * 4, 4), np.float32)
    wide[:, -WIDTH:] = np.random.default_rng(1).standard_normal((3, WIDTH))

    def norm(x):
        return ops.rms_norm(ops.slice(x, start=columns - WIDTH, stop=columns))

    expected = ops.rms_norm(np.ascontiguousarray(wide[:, -WIDTH:]))
    assert_same_bits(norm(wide), expected, "call by call")
    graph = fusible.trace(norm, x=fusible.spec(f"f32[T, {columns}]"))
    assert_same_bits(fusible.compile(graph)(x=wide), expected, "graph")


def test_rows_that_are_more_than_2_31_elements_together():
    row = np.random.default_rng(1).standard_normal(1 << 21).astype(np.float32)
    rows = np.broadcast_to(row, ((1 << 10) + 1, row.size))
    assert set(ops.greedy_sample(rows).tolist()) == {int(np.argmax(row))}
