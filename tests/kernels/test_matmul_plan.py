"""How products run: a pure function of rows, dtypes and a machine, which are given as data here."""

import itertools

import pytest

import fusible
from fusible import _core

# Neither dot products nor VBMI; VBMI; dot products; both.
MACHINES = [{"dots": dots, "vbmi": vbmi} for dots in (False, True) for vbmi in (False, True)]
CODES = ("e4m3fn", "e4m3fnuz", "e5m2")


def plan(rows, cols=4096, depth=4096, **given):
    return _core.matmul_plan(rows, cols, depth, **given)


def forms(rows, x, w, packed):
    """On each of the machines."""
    dtypes = {"rows_dtype": x, "weight_dtype": w}
    return [plan(rows, packed=packed, **dtypes, **machine)["form"] for machine in MACHINES]


@pytest.mark.parametrize(
    ("x", "w", "few", "many"),
    [
        ("f32", "f32", ["registers"] * 4, ["panels"] * 4),
        ("f16", "f16", ["registers"] * 4, ["panels"] * 4),
        (
            *("bf16", "bf16"),
            ["registers", "registers", "dots", "dots"],
            ["panels", "panels", "dots", "dots"],
        ),
        ("i8", "i8", ["codes"] * 4, ["codes"] * 4),
        *(
            (x, w, ["panels", "registers"] * 2, ["panels"] * 4)
            for x, w in itertools.product(("f32", "f16"), CODES)
        ),
        *(
            (
                *(x, w),
                ["panels", "registers", "panels", "register_dots"],
                ["panels", "panels", "panels", "register_dots"],
            )
            for w in CODES
            for x in ("bf16", w)
        ),
    ],
)
def test_forms_follow_dtypes_rows_and_machine(x, w, few, many):
    assert forms(1, x, w, packed=True) == forms(8, x, w, packed=True) == few
    assert forms(49, x, w, packed=True) == forms(4096, x, w, packed=True) == many
    unpacked = [form.replace("register_dots", "dots") for form in many]
    assert forms(1, x, w, packed=False) == forms(512, x, w, packed=False) == unpacked


def test_fma_decodes_codes_in_registers_for_eight_rows_and_floats_for_four_tiles():
    machine = {"packed": True, "vbmi": True, "tile_rows": 12}
    assert plan(8, weight_dtype="e4m3fn", **machine)["form"] == "registers"
    assert plan(9, weight_dtype="e4m3fn", **machine)["form"] == "panels"
    assert plan(48, **machine)["form"] == "registers"
    assert plan(49, **machine)["form"] == "panels"


def test_a_packed_weight_is_read_once_and_panels_stay_in_the_first_cache():
    for rows in (1, 12, 13, 48):  # multiplied as it lies
        assert plan(rows, packed=True)["block_depth"] == 4096
    for rows in (1, 49, 512):
        assert plan(rows, packed=True, dots=True)["block_depth"] == 4096
        assert plan(rows, dots=True)["block_depth"] * 32 * 2 == 16384
    assert plan(512, packed=True)["block_depth"] * 32 * 4 == 16384


def test_few_registers_read_a_packed_panel_twice_and_from_the_first_cache():
    few = {"tile_rows": 3, "packed": True}
    assert plan(3, **few)["block_depth"] == 4096
    assert plan(4, **few)["form"] == "registers"
    assert plan(4, **few)["block_depth"] * 32 * 2 == 16384


def test_panels_of_int8_stay_in_the_first_cache():
    def depth(rows, **given):
        return plan(rows, rows_dtype="i8", weight_dtype="i8", **given)["block_depth"]

    assert depth(12, packed=True) == depth(512, packed=True) == 4096
    assert depth(13) * 32 == depth(1) * 32 == 16384
    assert plan(512, rows_dtype="i8", weight_dtype="i8", packed=True)["block_rows"] == 512


def test_threads_are_kept_busy_and_rows_in_the_shared_cache():
    assert plan(512)["block_rows"] == plan(512, threads=2)["block_rows"] == 512
    assert plan(512, cols=64, threads=4)["block_rows"] == 64
    assert plan(512, depth=1 << 16)["chunk_rows"] == 96
    assert plan(1, cols=64, depth=16)["grain"] == 128


def test_plans_of_nothing_are_plans():
    assert plan(0, cols=0, depth=0)["grain"] >= 1


@pytest.mark.parametrize("argument", ["rows_dtype", "weight_dtype"])
def test_no_dtype_is_refused_by_name(argument):
    with pytest.raises(fusible.DTypeError, match=f"^matmul_plan: {argument}: expected a dtype"):
        plan(1, **{argument: "f33"})
