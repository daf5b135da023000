"""Small models of every kind that the decoder builds, with seeded weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusible.models import Config, Decoder, Format
from fusible.models import weights as files

Array = NDArray[Any]

_LLAMA = Config(
    name="tiny-llama",
    hidden=64,
    heads=4,
    kv_heads=2,
    head_size=16,
    intermediate=96,
    layers=2,
    vocab=50,
    tied=True,
)
_GEMMA = {"norm": "gemma", "activation": "gelu_tanh", "post_norms": True, "window": 5}
_GEMMA_SCALES = {"attention_softcap": 50.0, "final_softcap": 30.0, "embedding_scale": 8.0}

TINY: dict[str, Config] = {
    "llama": _LLAMA,
    "untied": dataclasses.replace(_LLAMA, tied=False, rope_style="interleaved", rotary_size=8),
    "qwen2": dataclasses.replace(_LLAMA, qkv_bias=True),
    "qwen3": dataclasses.replace(_LLAMA, qk_norm=True),
    "gemma": dataclasses.replace(_LLAMA, **_GEMMA, **_GEMMA_SCALES),
}
FORMATS = {"bf16": Format(), "f32": Format(dtype="f32"), "fp8": Format(quantization="fp8")}


def tiny(kind: str, form: str = "bf16") -> tuple[Decoder, dict[str, Array]]:
    """A decoder of one of the kinds of TINY in one of FORMATS, and its weights."""
    plain = Decoder(
        config=TINY[kind], context=64, form=dataclasses.replace(FORMATS[form], quantization="none")
    )
    weights = dict(files.seeded(plain, seed=3))
    if form != "fp8":
        return plain, weights
    decoder = dataclasses.replace(plain, form=FORMATS[form])
    return decoder, dict(files.quantize(decoder, weights))


def bits(array: Array) -> NDArray[np.uint8]:
    """The bytes of an array, so that NaN equals NaN and -0 differs from 0."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
