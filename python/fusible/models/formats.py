"""How other projects name the tensors and the numbers of a model, and what they did to them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from fusible.models.config import Config, scaled_frequencies
from fusible.models.fields import Fields

Array = NDArray[Any]

_TRAITS: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"qkv_bias": True},
    "qwen3": {"qk_norm": True},
    "gemma2": {"norm": "gemma", "activation": "gelu_tanh", "post_norms": True},
}

_GGUF = {
    "embed": ("token_embd.weight",),
    "final_norm": ("output_norm.weight",),
    "lm_head": ("output.weight",),
    "attn_norm": ("blk.{}.attn_norm.weight",),
    "qkv": ("blk.{}.attn_q.weight", "blk.{}.attn_k.weight", "blk.{}.attn_v.weight"),
    "qkv.bias": ("blk.{}.attn_q.bias", "blk.{}.attn_k.bias", "blk.{}.attn_v.bias"),
    "q_norm": ("blk.{}.attn_q_norm.weight",),
    "k_norm": ("blk.{}.attn_k_norm.weight",),
    "out": ("blk.{}.attn_output.weight",),
    "attn_post_norm": ("blk.{}.post_attention_norm.weight",),
    "mlp_norm": ("blk.{}.ffn_norm.weight",),
    "gate_up": ("blk.{}.ffn_gate.weight", "blk.{}.ffn_up.weight"),
    "down": ("blk.{}.ffn_down.weight",),
    "mlp_post_norm": ("blk.{}.post_ffw_norm.weight",),
}
GGUF_NAMES = {"rms": _GGUF, "gemma": _GGUF}

_LAYER = "model.layers.{}."
_SELF = _LAYER + "self_attn."
_SAFETENSORS = {
    "embed": ("model.embed_tokens.weight",),
    "final_norm": ("model.norm.weight",),
    "lm_head": ("lm_head.weight",),
    "attn_norm": (_LAYER + "input_layernorm.weight",),
    "qkv": tuple(f"{_SELF}{part}_proj.weight" for part in "qkv"),
    "qkv.bias": tuple(f"{_SELF}{part}_proj.bias" for part in "qkv"),
    "q_norm": (_SELF + "q_norm.weight",),
    "k_norm": (_SELF + "k_norm.weight",),
    "out": (_SELF + "o_proj.weight",),
    "mlp_norm": (_LAYER + "post_attention_layernorm.weight",),
    "gate_up": (_LAYER + "mlp.gate_proj.weight", _LAYER + "mlp.up_proj.weight"),
    "down": (_LAYER + "mlp.down_proj.weight",),
}
# Gemma-2 has four norms in a layer, and one of them the name that others use for another.
_SAFETENSORS_GEMMA = _SAFETENSORS | {
    "attn_post_norm": (_LAYER + "post_attention_layernorm.weight",),
    "mlp_norm": (_LAYER + "pre_feedforward_layernorm.weight",),
    "mlp_post_norm": (_LAYER + "post_feedforward_layernorm.weight",),
}
SAFETENSORS_NAMES = {"rms": _SAFETENSORS, "gemma": _SAFETENSORS_GEMMA}


def _traits(path: Path, kind: object) -> dict[str, Any]:
    if not isinstance(kind, str) or kind not in _TRAITS:
        raise ValueError(f"{path}: architecture: expected one of {', '.join(_TRAITS)}, got {kind}")
    return dict(_TRAITS[kind])


def _config(path: Path, **values: Any) -> Config:
    try:
        return Config(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _embedding_scale(kind: object, hidden: int) -> float:
    """Gemma multiplies embeddings by sqrt(hidden), which its authors round to bf16."""
    return float(ml_dtypes.bfloat16(math.sqrt(hidden))) if kind == "gemma2" else 1.0


def from_gguf(
    path: Path, field: Callable[[str], Any], tensors: Collection[str]
) -> tuple[Config, Callable[[str, Array], Array]]:
    """The configuration in a GGUF file's metadata, and what turns a tensor (f32) into our layout.

    Raises ValueError that names the file and the key.
    """
    kind = field("general.architecture")
    traits = _traits(path, kind)

    get = Fields(path, lambda key: field(f"{kind}.{key}"))
    heads, hidden = get.size("attention.head_count"), get.size("embedding_length")
    layers = get.size("block_count")
    head_size = get.size("attention.key_length", hidden // heads)
    if kind == "gemma2" and layers == 46:  # the 27B model alone scales by hidden/heads
        traits["query_scale"] = (hidden / heads) ** -0.5
    config = _config(
        path,
        name=str(field("general.name") or path.stem),
        hidden=hidden,
        heads=heads,
        kv_heads=get.size("attention.head_count_kv", heads),
        head_size=head_size,
        intermediate=get.size("feed_forward_length"),
        layers=layers,
        vocab=get.size("vocab_size", len(field("tokenizer.ggml.tokens") or []) or None),
        eps=float(f"{get.number('attention.layer_norm_rms_epsilon', 1e-6):.6g}"),  # f32 there
        rope_theta=get.number("rope.freq_base", 10000.0),
        rotary_size=get.size("rope.dimension_count", head_size),
        tied="output.weight" not in tensors,
        window=get.size("attention.sliding_window", 0) if kind == "gemma2" else 0,
        attention_softcap=get.number("attn_logit_softcapping", 0.0),
        final_softcap=get.number("final_logit_softcapping", 0.0),
        embedding_scale=_embedding_scale(kind, hidden),
        **traits,
    )
    return config, lambda name, data: _undo_gguf(config, kind, name, data)


def _undo_gguf(config: Config, kind: str, name: str, data: Array) -> Array:
    """Takes back what the conversion to GGUF does to some tensors."""
    if kind == "llama" and (".attn_q." in name or ".attn_k." in name):
        # Rows of a head were permuted from halves to neighbours, for interleaved rotary embedding.
        pairs = data.reshape(-1, config.head_size // 2, 2, *data.shape[1:])
        return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(data.shape)
    if kind == "gemma2" and name.endswith("norm.weight"):
        # 1 + weight is stored, our operator adds the one itself.
        return np.asarray(data - np.float32(1.0))
    return data


def from_hugging_face(path: Path, table: Any) -> Config:
    """The configuration in a `config.json`. Raises ValueError that names the file and the key."""
    if not isinstance(table, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(table).__name__}")
    get = Fields(path, table.get)
    kind = table.get("model_type")
    traits = _traits(path, kind)
    rope = get.table("rope_parameters") or get.table("rope_scaling")
    inner = Fields(path, rope.get)
    heads, hidden = get.size("num_attention_heads"), get.size("hidden_size")
    head_size = get.size("head_dim", hidden // heads)
    scalar = get.number("query_pre_attn_scalar", 0.0)
    if scalar > 0:
        traits["query_scale"] = scalar**-0.5
    config = _config(
        path,
        name=path.parent.name or "model",
        hidden=hidden,
        heads=heads,
        kv_heads=get.size("num_key_value_heads", heads),
        head_size=head_size,
        intermediate=get.size("intermediate_size"),
        layers=get.size("num_hidden_layers"),
        vocab=get.size("vocab_size"),
        eps=get.number("rms_norm_eps", 1e-6),
        rope_theta=get.number("rope_theta", inner.number("rope_theta", 10000.0)),
        rotary_size=int(head_size * get.number("partial_rotary_factor", 1.0)),
        tied=get.flag("tie_word_embeddings", kind == "gemma2"),
        window=get.size("sliding_window", 0) if kind == "gemma2" else 0,
        attention_softcap=get.number("attn_logit_softcapping", 0.0),
        final_softcap=get.number("final_logit_softcapping", 0.0),
        embedding_scale=_embedding_scale(kind, hidden),
        **traits,
    )
    if rope.get("rope_type", rope.get("type", "default")) == "default":
        return config
    try:
        return dataclasses.replace(config, rope_factors=scaled_frequencies(config, rope))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
