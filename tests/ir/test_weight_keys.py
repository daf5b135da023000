"""Keys that see what is in the weights: the same however an array lies, packed or not."""

from __future__ import annotations

import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fusible

GRAPH = fusible.Graph.parse(
    "input x: bf16[T, 256]\ninput r: bf16[T, 256]\nconstant w: bf16[256]\n"
    "sum = add(x, r)\ny = rms_norm(sum, w)\nreturn y\n"
)
KEY = GRAPH.key()


def weighted(**weights: Any) -> fusible.Key:
    return GRAPH.key(weights=weights)


def test_weights_count_by_content_on_request() -> None:
    ones = np.ones(256, ml_dtypes.bfloat16)
    other = ones.copy()
    other[255] = 2
    one = weighted(w=ones)
    assert one == weighted(w=ones.copy()) != weighted(w=other)
    assert [name for name, _ in one.parts] == [*(n for n, _ in KEY.parts), "weights"]
    assert [*one.diff(weighted(w=other))] == ["weights"]
    assert one.diff(KEY)["weights"].endswith(" here, none there")
    difference = one.diff(weighted(w=other))["weights"]
    assert re.match(r"number 2 bf16\[256\] sha256:\w{12} here, number 2 ", difference)
    negative = np.zeros(256, ml_dtypes.bfloat16)
    assert weighted(w=negative) != weighted(w=-negative)  # bits, not values
    assert weighted() != KEY


PRODUCT = "input x: f32[T, 6]\nconstant w: f32[4, 6]\ny = matmul(x, w)\nreturn y\n"


def test_how_weights_lie_in_memory_does_not_count() -> None:
    graph = fusible.Graph.parse(PRODUCT)
    w = np.arange(24, dtype=np.float32).reshape(4, 6)
    strided = [np.asfortranarray(w), np.pad(w, ((0, 0), (0, 3)))[:, :6], w[::-1].copy()[::-1]]
    assert {str(graph.key({"w": array})) for array in strided} == {str(graph.key({"w": w}))}
    assert graph.key({"w": w.T.copy().reshape(4, 6)}) != graph.key({"w": w})
    assert graph.key({"w": fusible.pack_weight(strided[1])}) == graph.key({"w": w})
    assert graph.key({"w": fusible.pack_weight(w + 1)}) != graph.key({"w": w})


def test_a_packed_weight_that_does_not_fit_is_refused() -> None:
    graph = fusible.Graph.parse(PRODUCT)
    with pytest.raises(fusible.ShapeError, match=r"^weights: w: expected f32\[4, 6\]"):
        graph.key({"w": fusible.pack_weight(np.ones((6, 4), np.float32))})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"v": np.ones(256, np.float32)}, "^weights: expected only the graph's constants, got v"),
        ({"x": np.ones(256, np.float32)}, "^weights: expected only the graph's constants, got x"),
        ({"w": np.ones(256, np.float32)}, "^weights: w: expected bf16"),
        ({"w": np.ones(255, ml_dtypes.bfloat16)}, r"^weights: w: expected bf16\[256\]"),
        ({"w": "ones"}, "^weights: w: "),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: dict[str, Any], message: str) -> None:
    with pytest.raises(fusible.Error, match=message):
        weighted(**weights)
