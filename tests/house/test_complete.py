"""Every operator has what its readers need: documentation, a meaning, cases."""

import pytest

from fusible import _core
from support.sources import ROOT

OPS = {name: _core.find_op(name).describe() for name in _core.op_names()}


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_operator_is_documented(op):
    assert op["doc"].endswith(".")
    assert len(op["doc"]) > 20


def test_computing_operators_name_their_source():
    # Views move nothing, and a fused operator computes what its parts compute.
    computing = [op for op in OPS.values() if op["kind"] in ("rows", "kernel")]
    plain = {"add", "mul", "embedding", "matmul", "kv_cache_update"}  # their line says it all
    assert [op["name"] for op in computing if not op["source"] and op["name"] not in plain] == []


def test_operators_have_cases_of_their_own_or_of_their_parts():
    own = {path.stem for path in (ROOT / "tests/cases").glob("*.py")}
    assert [name for name, op in OPS.items() if name not in own and not op["equals"]] == []


def test_cases_belong_to_operators():
    assert {p.stem for p in (ROOT / "tests/cases").glob("*.py")} - {"__init__"} <= set(OPS)


def test_fused_operators_have_goldens():
    golden = {path.stem for path in (ROOT / "tests/passes/golden").glob("*.ir")}
    assert {name for name, op in OPS.items() if op["equals"]} <= golden


def test_fused_operators_are_text_alone():
    library = ROOT / "csrc/ops/library"
    kernels = ROOT / "csrc/kernels"
    fused = [name for name, op in OPS.items() if op["kind"] == "equals"]
    assert fused
    assert [name for name in fused if (kernels / f"{name}.cc").exists()] == []
    assert library.is_dir()
