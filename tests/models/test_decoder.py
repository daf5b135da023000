"""The decoder: the same code on arrays and traces, prefill as decode, fused as unfused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fusible
from fusible.models import Decoder, Format, LatentConfig, LatentFront
from fusible.models import weights as files
from fusible.models.generate import Session, empty_caches, greedy, paging, perplexity
from support.tiny_models import TINY, bits, tiny

Array = NDArray[Any]
IDS = [7, 3, 49, 3, 0, 12, 30, 8, 21, 5, 17, 2, 44, 9, 9, 1, 28, 6, 33, 10, 11]
EVERY = pytest.mark.parametrize(
    ("kind", "form"), [(kind, form) for kind in TINY for form in ("bf16", "fp8")]
)
LATENT = LatentConfig(
    name="tiny-latent",
    hidden=256,
    heads=2,
    layers=2,
    query_rank=128,
    kv_rank=64,
    rope_head_size=16,
    nope_head_size=32,
    index_heads=4,
    index_head_size=32,
)


def executable(decoder: Decoder, weights: dict[str, Array], pipeline: str | None = None) -> Any:
    return fusible.compile(fusible.optimize(decoder.trace(), "cpu", pipeline), weights=weights)


def call(decoder: Decoder, seed: int = 0) -> dict[str, Array]:
    """Two sequences at once: 5 new tokens behind 3, and 18 behind none, in scattered blocks."""
    rng = np.random.default_rng(seed)
    table = np.array([[4, 1], [0, 3]], np.int32)
    caches = empty_caches(decoder, 5)
    for cache in caches.values():
        cache[...] = rng.standard_normal(cache.shape).astype(cache.dtype)
    ids = rng.integers(0, decoder.config.vocab, 23)
    return {"ids": ids, "last": np.array([4, 22])} | paging([3, 0], [5, 18], table) | caches


def copies(inputs: dict[str, Array]) -> dict[str, Array]:
    return {name: array.copy() for name, array in inputs.items()}


@EVERY
def test_prefill_gives_the_bits_of_decoding_token_by_token(kind: str, form: str) -> None:
    decoder, weights = tiny(kind, form)
    run = executable(decoder, weights)
    whole, single = Session(decoder, run, 32), Session(decoder, run, 32)
    at_once = whole.step(IDS, every_row=True)
    one_by_one = np.concatenate([single.step([token]) for token in IDS])
    np.testing.assert_array_equal(bits(at_once), bits(one_by_one))
    for name, cache in whole.caches.items():
        np.testing.assert_array_equal(bits(cache), bits(single.caches[name]), err_msg=name)


@EVERY
def test_fusing_changes_no_bit(kind: str, form: str) -> None:
    decoder, weights = tiny(kind, form)
    inputs = call(decoder)
    fused = executable(decoder, weights)(**copies(inputs))
    unfused = executable(decoder, weights, "drop-dead")(**copies(inputs))
    for index, (a, b) in enumerate(zip(fused, unfused, strict=True)):
        np.testing.assert_array_equal(bits(a), bits(b), err_msg=f"result {index}")


@EVERY
def test_arrays_and_traces_compute_the_same(kind: str, form: str) -> None:
    decoder, weights = tiny(kind, form)
    inputs = call(decoder)
    traced = executable(decoder, weights)(**copies(inputs))
    eager = decoder.forward(**copies(inputs), **weights)
    for a, b in zip(traced, eager, strict=True):
        np.testing.assert_array_equal(bits(a), bits(b))


@pytest.mark.parametrize("kind", TINY)
def test_bf16_is_near_f32(kind: str) -> None:
    narrow, wide = tiny(kind), tiny(kind, "f32")
    a = Session(narrow[0], executable(*narrow), 32).step(IDS, every_row=True)
    b = Session(wide[0], executable(*wide), 32).step(IDS, every_row=True)
    assert np.abs(a - b).max() < 0.06 * np.abs(b).max()


def test_a_sequence_is_not_touched_by_its_neighbour() -> None:
    decoder, weights = tiny("gemma")
    run = executable(decoder, weights)
    both = copies(call(decoder))
    alone = copies(both)
    alone |= {"ids": both["ids"][:5], "last": np.array([4])}
    alone |= paging([3], [5], np.array([[4, 1]], np.int32))
    np.testing.assert_array_equal(bits(run(**both)[0][0]), bits(run(**alone)[0][0]))


@pytest.mark.parametrize("layers", [1, 3])
def test_add_and_norm_fuse_twice_a_layer(layers: int) -> None:
    config = dataclasses.replace(TINY["llama"], layers=layers)
    blocks = Decoder(config=config, context=16, head=False)
    fusible.optimize(blocks.trace()).expect({"fused_add_rms_norm": "2*L"}, L=layers)
    # The whole model begins with an embedding, and nobody needs the last sum.
    whole = Decoder(config=config, context=16)
    counts = {"embedding+rms_norm": 1, "fused_add_rms_norm": "2*L-1", "add+rms_norm": 1}
    fusible.optimize(whole.trace()).expect(counts, L=layers)


def test_with_fp8_the_norms_and_the_activation_fuse_with_the_quantization() -> None:
    form = Format(quantization="fp8")
    sizes = {"hidden": 128, "head_size": 32, "intermediate": 128}  # whole groups of 128
    config = dataclasses.replace(TINY["llama"], **sizes)
    decoder = Decoder(config=config, context=16, form=form, head=False)
    result = fusible.optimize(decoder.trace(), "rocm-gfx950")
    norm, activation = "fused_add_rms_norm_group_quant_fp8", "silu_and_mul_group_quant_fp8"
    result.expect({norm: "2*L", activation: "L"}, L=2)


def latent(target: str, fp8: str) -> fusible.Result:
    form = Format(quantization="fp8", fp8=fp8)
    return fusible.optimize(LatentFront(config=LATENT, form=form).trace(), target)


def test_both_quantizations_of_the_latent_query_merge_and_fuse_with_its_norm() -> None:
    result = latent("rocm-gfx950", "e4m3fn")
    names = [node.name for node in result.graph.nodes]
    assert names.count("rms_norm_group_quant_fp8") == 1
    assert names.count("fused_add_rms_norm_group_quant_fp8") == 1
    assert not {"rms_norm", "fused_add_rms_norm", "per_token_group_quant_fp8"} & {*names}


def test_with_the_wrong_variant_nothing_fuses_and_it_says_why() -> None:
    result = latent("rocm-gfx950", "e4m3fnuz")
    assert "per_token_group_quant_fp8" in [node.name for node in result.graph.nodes]
    # Add and norm are still one: they do not see the format, and nothing fuses that does.
    assert result.fusions == {"fused_add_rms_norm": 1}
    assert "op_variant" in {miss.reason for miss in result.misses}


@pytest.mark.parametrize("quantization", ["none", "fp8"])
def test_fusing_the_latent_front_changes_no_bit(quantization: Any) -> None:
    plain = LatentFront(config=LATENT, layers=2)
    weights = dict(files.seeded(plain))
    front = dataclasses.replace(plain, form=Format(quantization=quantization))
    if quantization == "fp8":
        weights = dict(files.quantize(front, weights))
    rng = np.random.default_rng(0)
    dtype = files.DTYPES["bf16"]
    x, residual = (rng.standard_normal((9, LATENT.hidden)).astype(dtype) for _ in range(2))
    graph = front.trace()
    for target in ("cpu", "rocm-gfx950"):
        fused = fusible.compile(fusible.optimize(graph, target), weights=weights)
        unfused = fusible.compile(fusible.optimize(graph, target, "drop-dead"), weights=weights)
        runs = [run(hidden=x, residual=residual) for run in (fused, unfused)]
        for a, b in zip(*runs, strict=True):
            np.testing.assert_array_equal(bits(a), bits(b))


def test_greedy_text_goes_on_where_the_cache_ends_and_stops_at_an_end() -> None:
    decoder, weights = tiny("llama")
    run = executable(decoder, weights)
    long = list(greedy(Session(decoder, run, 48), IDS, 12, frozenset()))
    assert len(long) == 12
    again = list(greedy(Session(decoder, run, 48), IDS + long[:5], 7, frozenset()))
    assert again == long[5:]
    end = long[3]
    until = list(greedy(Session(decoder, run, 48), IDS, 12, frozenset({end})))
    assert until == long[: long.index(end)]


def test_a_full_cache_is_refused() -> None:
    decoder, weights = tiny("llama")
    session = Session(decoder, executable(decoder, weights), 16)
    session.step(IDS[:16])
    with pytest.raises(ValueError, match="expected at most 16 tokens, got 17"):
        session.step([1])


def test_perplexity_of_equal_logits_is_the_size_of_the_vocabulary() -> None:
    decoder, weights = tiny("llama", "f32")
    weights["final_norm"] = np.zeros_like(weights["final_norm"])
    session = Session(decoder, executable(decoder, weights), 32)
    assert perplexity(session, IDS) == pytest.approx(decoder.config.vocab)


def test_paging_counts_positions_from_what_the_cache_holds() -> None:
    table = np.array([[2, 0], [1, 3]], np.int32)
    got = paging([15, 0], [3, 2], table)
    assert got["positions"].tolist() == [15, 16, 17, 0, 1]
    assert got["slots"].tolist() == [47, 0, 1, 16, 17]
    assert got["query_start"].tolist() == [0, 3, 5]
    assert got["lengths"].tolist() == [18, 2]
