"""Weights from files: names, layouts, and files that are wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from fusible.models import Config, Decoder, Format
from fusible.models import weights as files
from fusible.models.formats import GGUF_NAMES, SAFETENSORS_NAMES
from support.tiny_models import TINY

gguf = pytest.importorskip("gguf", reason="needs the extra `models`")
safetensors = pytest.importorskip("safetensors.numpy", reason="needs the extra `models`")

Array = NDArray[Any]
F32 = Format(dtype="f32")


def parts_of(decoder: Decoder, names: dict[str, tuple[str, ...]]) -> dict[str, Array]:
    """Seeded weights under the names of a file format, q, k and v apart again."""
    c = decoder.config
    heads = [n * c.head_size for n in (c.heads, c.kv_heads, c.kv_heads)]
    found = {}
    for name, array in files.seeded(decoder, seed=1):
        if name == "cos_sin":
            continue
        layer, _, local = name.removeprefix("layers.").partition(".")
        theirs = names[local if local in names else name]
        sizes = heads if len(theirs) == 3 else [array.shape[0] // len(theirs)] * len(theirs)
        pieces = np.split(array, np.cumsum(sizes)[:-1])
        found |= {t.format(layer): piece for t, piece in zip(theirs, pieces, strict=True)}
    return found


def permuted(array: Array, head_size: int) -> Array:
    """What the conversion to GGUF does to q and k: halves of a head become neighbours."""
    halves = array.reshape(-1, 2, head_size // 2, *array.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(array.shape)


def write_gguf(path: Path, config: Config, arch: str, tensors: dict[str, Array]) -> None:
    writer = gguf.GGUFWriter(path, arch)
    writer.add_embedding_length(config.hidden)
    writer.add_block_count(config.layers)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_size)
    writer.add_feed_forward_length(config.intermediate)
    writer.add_vocab_size(config.vocab)
    writer.add_layer_norm_rms_eps(config.eps)
    writer.add_rope_freq_base(config.rope_theta)
    for name, array in tensors.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_llama(path: Path, change: dict[str, Array] | None = None) -> Decoder:
    decoder = Decoder(config=TINY["llama"], form=F32, context=32)
    tensors = parts_of(decoder, GGUF_NAMES["rms"])
    for name in tensors:
        if ".attn_q." in name or ".attn_k." in name:
            tensors[name] = permuted(tensors[name], decoder.config.head_size)
    write_gguf(path, decoder.config, "llama", tensors | (change or {}))
    return decoder


def check_equal(decoder: Decoder, source: files.Source) -> None:
    want = dict(files.seeded(decoder, seed=1))
    got = dict(files.read_weights(decoder, source))
    assert want.keys() == got.keys()
    for name, array in want.items():
        np.testing.assert_allclose(got[name], array, rtol=0, atol=1e-6, err_msg=name)


def test_gguf_gives_back_what_was_written_and_undoes_the_permutation(tmp_path: Path) -> None:
    decoder = write_llama(tmp_path / "tiny.gguf")
    source = files.load(tmp_path / "tiny.gguf")
    want = dataclasses.replace(decoder.config, name="tiny")
    assert dataclasses.replace(source.config, rotary_size=0) == want
    check_equal(decoder, source)


def test_gguf_of_gemma_stores_one_plus_the_norms(tmp_path: Path) -> None:
    decoder = Decoder(config=TINY["gemma"], form=F32, context=32)
    tensors = parts_of(decoder, GGUF_NAMES["gemma"])
    raised = {n: a + (1 if n.endswith("norm.weight") else 0) for n, a in tensors.items()}
    write_gguf(tmp_path / "tiny.gguf", decoder.config, "gemma2", raised)
    check_equal(decoder, files.load(tmp_path / "tiny.gguf"))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma"])
def test_safetensors_gives_back_what_was_written(tmp_path: Path, kind: str) -> None:
    decoder = Decoder(config=TINY[kind], form=F32, context=32)
    c = decoder.config
    table = {
        "model_type": "gemma2" if kind == "gemma" else kind,
        "hidden_size": c.hidden,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_size,
        "intermediate_size": c.intermediate,
        "num_hidden_layers": c.layers,
        "vocab_size": c.vocab,
        "tie_word_embeddings": True,
        "sliding_window": c.window,
        "attn_logit_softcapping": c.attention_softcap,
        "final_logit_softcapping": c.final_softcap,
    }
    (tmp_path / "config.json").write_text(json.dumps(table))
    tensors = parts_of(decoder, SAFETENSORS_NAMES[c.norm])
    first = dict(list(tensors.items())[:5])
    safetensors.save_file(first, tmp_path / "a.safetensors")
    rest = {name: array for name, array in tensors.items() if name not in first}
    safetensors.save_file(rest, tmp_path / "b.safetensors")
    source = files.load(tmp_path)
    same = {"name": c.name, "rotary_size": 0}
    assert dataclasses.replace(source.config, **same) == c
    check_equal(decoder, source)


def test_a_tensor_of_another_shape_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    decoder = write_llama(path, {"blk.1.ffn_down.weight": np.zeros((64, 32), np.float32)})
    with pytest.raises(files.WeightsError, match=r"tiny\.gguf: blk\.1\.ffn_down\.weight: expected"):
        dict(files.read_weights(decoder, files.load(path)))


def test_a_missing_tensor_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    decoder = write_llama(path)
    more = dataclasses.replace(decoder, config=dataclasses.replace(decoder.config, layers=3))
    with pytest.raises(files.WeightsError, match=r"tiny\.gguf: blk\.2\.attn_norm\.weight: .* none"):
        dict(files.read_weights(more, files.load(path)))


def test_a_file_that_ends_too_early_names_the_first_tensor_beyond(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_llama(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(
        files.WeightsError, match=r"tiny\.gguf: .*norm.*: expected \d+ bytes in the"
    ):
        files.load(path)


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"not a model file at all", b"GGUF" + b"\xff" * 64]
)
def test_what_is_no_gguf_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(content)
    with pytest.raises(files.WeightsError, match=r"tiny\.gguf"):
        files.load(path)


def test_an_architecture_that_is_not_built_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_gguf(path, TINY["llama"], "mamba", {})
    with pytest.raises(ValueError, match="expected one of llama, qwen2, qwen3, gemma2, got mamba"):
        files.load(path)


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(files.WeightsError, match=r"config\.json"):
        files.load(tmp_path)


@pytest.mark.parametrize("fp8", ["e4m3fn", "e4m3fnuz"])
def test_block_fp8_is_within_half_a_code_of_the_weight(fp8: str) -> None:
    weight = np.random.default_rng(0).standard_normal((200, 300)).astype(np.float32)
    weight[:128, :128] *= 1e-3
    codes, scales = files.quantize_blocks(weight, fp8)
    assert scales.shape == (2, 3)
    whole = np.repeat(np.repeat(scales, 128, axis=0), 128, axis=1)[:200, :300]
    back = codes.astype(np.float32) * whole
    # Three bits behind the leading one, and subnormals in steps of the smallest code.
    step = np.float32(ml_dtypes.finfo(files.DTYPES[fp8]).smallest_subnormal)
    assert np.all(np.abs(back - weight) <= np.maximum(np.abs(weight) / 16, whole * step) + 1e-9)
    assert np.abs(codes.astype(np.float32)).max() == files.FP8_MAX[fp8]


def test_seeded_weights_are_the_same_for_the_same_seed() -> None:
    decoder = Decoder(config=TINY["qwen2"], context=16)
    one, two = (dict(files.seeded(decoder, seed=5)) for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["embed"], dict(files.seeded(decoder, seed=6))["embed"])
    assert {name: weight.shape for name, weight in decoder.weights().items()} == {
        name: array.shape for name, array in one.items()
    }
