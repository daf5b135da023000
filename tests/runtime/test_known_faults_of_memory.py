"""Memory that is wasted or unset elsewhere, each test named after the report."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fusible
from support.graphs import as_tuple, bits, normal, unfused
from support.known_faults import CACHE, EVERY, NORM, QUANT, ROTATE, UPDATE, parse


def cache_arrays(blocks: int) -> dict[str, Any]:
    """Inputs of an update of caches with so many blocks of 8 slots."""
    return {
        "k": normal(1, (3, 2, 16)),
        "v": normal(2, (3, 2, 16)),
        "positions": np.array([8, 0, 3]),
        "cos_sin": normal(3, (9, 16), "f32"),
        "slots": np.array([8 * blocks - 1, -1, 4]),
        "keys": np.zeros((blocks, 8, 2, 16), ml_dtypes.bfloat16),
        "values": np.zeros((blocks, 8, 2, 16), ml_dtypes.bfloat16),
    }


def test_caches_are_written_where_they_lie_vllm_8480_sglang_21550() -> None:
    """What mutates was made functional, and each layer copied its caches: 20 GB for 0.17."""
    arenas = []
    for blocks in (4, 400):
        head = CACHE.replace("[4, 8,", f"[{blocks}, 8,")
        run = fusible.compile(parse(f"{ROTATE}{UPDATE}return a, b\n", head))
        given = cache_arrays(blocks)
        keys, values = run(**given)
        assert keys is given["keys"]
        assert values is given["values"]
        assert bits(values[-1, -1]) == bits(given["v"][0])
        arenas.append(run.arena_bytes)
    assert arenas[0] == arenas[1] < cache_arrays(4)["keys"].nbytes


def test_a_fused_update_leaves_an_old_value_that_is_read_pytorch_164273() -> None:
    """A replacement wrote into an operand of which the pattern had made a copy."""
    graph = parse(f"{ROTATE}{UPDATE}return a, b, keys\n", CACHE)
    fused = fusible.optimize(graph, EVERY)
    assert [node.name for node in fused.graph.nodes] == ["rotary_embedding_kv_cache_update"]
    written = []
    for run in (unfused(graph), fusible.compile(fused)):
        given = cache_arrays(4)
        keys, values, old = run(**given)
        assert values is given["values"]
        assert bits(old) == bits(given["keys"]) == bits(cache_arrays(4)["keys"])
        written.append([bits(keys), bits(values)])
    assert written[0] == written[1]
    assert written[0][0] != bits(cache_arrays(4)["keys"])


@pytest.mark.parametrize("layout", ["row", "col", "col_aligned4"])
def test_nothing_is_read_that_was_not_written_vllm_41972(layout: str) -> None:
    """An operand of a fused kernel was memory that nobody had set."""
    graph = parse(
        f"sum = add(x, residual)\ny = rms_norm(sum, w)\nz = rms_norm(x, w)\nu = add(y, z)\n"
        f'q, s = {QUANT}(u, layout="{layout}")\np = pack_ue8m0(s)\nreturn q, s, p, sum\n',
        NORM,
    )
    weights = {"w": normal(3, (512,))}
    clean = {"x": normal(1, (5, 512)), "residual": normal(2, (5, 512))}
    dirty = {name: np.full_like(array, np.nan) for name, array in clean.items()}
    results = []
    for build in (fusible.compile, unfused):
        for before in (clean, dirty):
            run = build(graph, weights=weights)
            for _ in range(3):  # what these leave is the memory of the next results
                run(**before)
            results.append([bits(one) for one in as_tuple(run(**clean))])
    assert results[0] == results[1] == results[2] == results[3]


def chain(layers: int) -> fusible.Graph:
    """Layers of a softmax and a function, each reading the one before."""
    lines, x = [], "x"
    for i in range(layers):
        lines += [f"a{i} = softmax({x})", f'b{i}: f32[T, 1024] = opaque(a{i}, name="mine")']
        x = f"b{i}"
    return parse("\n".join([*lines, f"return {x}\n"]), "input x: f32[T, 1024]\n")


@pytest.mark.parametrize("layers", [4, 48])
def test_pieces_hold_no_more_for_more_layers_sglang_15927_sglang_8538(layers: int) -> None:
    """Each piece kept its values in memory of its own: gigabytes more than the whole graph."""
    values: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def mine(value: Any) -> Any:
        values.append(weakref.ref(value))
        alive.append(sum(one() is not None for one in values))
        return value + 1

    run = fusible.split_at(chain(layers), ["mine"]).compile(calls={"mine": mine})
    x = np.ones((64, 1024), np.float32)
    run(x=x)
    gc.collect()
    before = fusible.pool()
    run(x=x)
    assert fusible.pool().misses == before.misses
    assert len(alive) == 2 * layers
    assert max(alive) == 1
