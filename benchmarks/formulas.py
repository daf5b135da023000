"""Operators as their users write them in PyTorch: run eagerly, and compiled by Inductor.

What a user of a quantized model computes in f32, to avoid the rounding between, is in f32 here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch.nn import functional

Tensor: TypeAlias = Any  # linters run without PyTorch
Formula = Callable[..., Any]

EPS = 1e-6
LARGEST = 448.0


def rms_norm(x: Tensor, weight: Tensor) -> Any:
    return functional.rms_norm(x, (x.shape[-1],), weight, EPS)


def fused_add_rms_norm(x: Tensor, residual: Tensor, weight: Tensor) -> Any:
    total = x + residual
    return rms_norm(total, weight), total


def fused_add_rms_norm_in_place(x: Tensor, residual: Tensor, weight: Tensor) -> Any:
    # Inductor of PyTorch 2.13 fails (KeyError: 'buf1') where y is copied into x as well.
    residual.add_(x)
    return rms_norm(residual, weight), residual


def gemma_rms_norm(x: Tensor, weight: Tensor) -> Any:
    wide = x.float()
    normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPS)
    return (normed * (1.0 + weight.float())).to(x.dtype)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
    return functional.layer_norm(x, (x.shape[-1],), weight, bias, EPS)


def silu_and_mul(x: Tensor) -> Any:
    gate, up = x.chunk(2, -1)
    return functional.silu(gate) * up


def gelu_tanh_and_mul(x: Tensor) -> Any:
    gate, up = x.chunk(2, -1)
    return functional.gelu(gate, approximate="tanh") * up


def gelu_and_mul(x: Tensor) -> Any:
    gate, up = x.chunk(2, -1)
    return functional.gelu(gate) * up


def _codes(values: Tensor, scales: Tensor) -> Any:
    return (values / scales).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)


def per_token_group_quant_fp8(x: Tensor, *, group_size: int) -> Any:
    groups = x.float().unflatten(-1, (-1, group_size))
    scales = groups.abs().amax(-1).clamp(min=1e-10) / LARGEST
    return _codes(groups, scales[..., None]).flatten(-2), scales


def per_token_quant_fp8(x: Tensor) -> Any:
    wide = x.float()
    scales = wide.abs().amax(-1).clamp(min=1e-10) / LARGEST
    return _codes(wide, scales[..., None]), scales


def static_quant_fp8(x: Tensor, scale: Tensor) -> Any:
    return _codes(x.float(), scale)


def rms_norm_group_quant_fp8(x: Tensor, weight: Tensor, *, group_size: int) -> Any:
    return per_token_group_quant_fp8(rms_norm(x, weight), group_size=group_size)


def fused_add_rms_norm_group_quant_fp8(
    x: Tensor, residual: Tensor, weight: Tensor, *, group_size: int
) -> Any:
    y, total = fused_add_rms_norm(x, residual, weight)
    return *per_token_group_quant_fp8(y, group_size=group_size), total


def silu_and_mul_group_quant_fp8(x: Tensor, *, group_size: int) -> Any:
    return per_token_group_quant_fp8(silu_and_mul(x), group_size=group_size)


def rotary_embedding_in_place(x: Tensor, positions: Tensor, cos_sin: Tensor) -> Any:
    cos, sin = cos_sin[positions].float()[:, None].chunk(2, -1)
    first, second = x.float().chunk(2, -1)
    return x.copy_(torch.cat((first * cos - second * sin, second * cos + first * sin), -1))


def softmax(x: Tensor) -> Any:
    return torch.softmax(x, -1)


def formula_of(workload: str) -> Formula | None:
    """The function of a workload's name."""
    found: Formula | None = globals().get(workload.replace(" ", "_"))
    return found
