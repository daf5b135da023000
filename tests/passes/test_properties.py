"""Random legal graphs run as users run them: in place, for each target, after any rewrites.

More graphs, with less of each, stand in ``test_many_graphs.py``.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import fusible
from fusible.checks import Bits
from support.random_graphs import graphs

ROWS, COLUMNS = 6, 256


def run(result: fusible.Result) -> list[bytes]:
    rng = np.random.default_rng(7)
    inputs = {
        name: rng.standard_normal((ROWS, COLUMNS)).astype(ml_dtypes.bfloat16) for name in "xr"
    }
    declared = {value.name: value.kind for value in result.graph.inputs}
    weights = {
        "w": rng.standard_normal(COLUMNS).astype(ml_dtypes.bfloat16),
        "scale": np.full(1, 0.01, np.float32),
    }
    exe = fusible.compile(result, weights={k: v for k, v in weights.items() if k in declared})
    before = inputs["r"].tobytes()
    outputs = exe(**{name: array for name, array in inputs.items() if name in declared})
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    returned = str(result.graph).splitlines()[-1].removeprefix("return ").split(", ")
    written = [name for name, out in zip(returned, outputs, strict=True) if out is inputs["r"]]
    # Equal results are one value, which may be returned twice.
    new_values = {name.removesuffix(" -> r") for name in returned if name.endswith(" -> r")}
    assert {name.removesuffix(" -> r") for name in written} <= new_values
    assert written or inputs["r"].tobytes() == before
    return [np.ascontiguousarray(output).tobytes() for output in outputs]


@given(graphs())
def test_the_same_bits_fused_and_unfused(text: str) -> None:
    graph = fusible.Graph.parse(text)
    plain = run(fusible.optimize(graph, "cpu", "drop-dead"))
    for target in ("cpu", "cuda-sm90", "musa-s5000"):
        result = fusible.optimize(graph, target)
        result.graph.verify()
        assert run(result) == plain


@given(graphs(), st.sampled_from(["cpu", "cuda-sm90", "musa-s5000"]), st.data())
def test_the_same_bits_after_any_number_of_rewrites(
    text: str, target: str, data: st.DataObject
) -> None:
    graph = fusible.Graph.parse(text)
    manager = fusible.PassManager(None, target)
    whole = manager.run(graph).rewrites
    fuel = data.draw(st.integers(0, len(whole)))
    result = manager.run(graph, fuel=fuel)
    result.graph.verify()
    assert [repr(each) for each in result.rewrites] == [repr(each) for each in whole[:fuel]]
    assert Bits(graph)(result.graph)


@given(graphs())
def test_optimizing_is_pure_and_at_rest(text: str) -> None:
    graph = fusible.Graph.parse(text)
    for target in ("cpu", "rocm-gfx950"):
        once, again = fusible.optimize(graph, target), fusible.optimize(graph, target)
        assert str(once.graph) == str(again.graph)
        assert once.key == again.key
        assert [repr(miss) for miss in once.misses] == [repr(miss) for miss in again.misses]
        assert fusible.Graph.parse(str(once.graph)) == once.graph
        rest = fusible.optimize(once.graph, target)
        assert rest.rewrites == []
        assert rest.fusions == once.fusions
