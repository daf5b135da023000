"""The linear layers of a model, plain or with block-fp8 weights, and what its weights are."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from fusible import ops

# A traced value or an array: the same code computes with the one and records with the other.
Tensor = Any

WEIGHT_BLOCK = 128  # rows and columns that share one scale of a block-fp8 weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """How a model computes: the dtype of its values, and how its linear layers are stored.

    With `quantization="fp8"` a linear layer has `fp8` weights with a scale for each 128 x 128
    block, and its input is quantized by groups when it is called.
    """

    dtype: str = "bf16"
    quantization: Literal["none", "fp8"] = "none"
    fp8: str = "e4m3fn"  # or e4m3fnuz


@dataclasses.dataclass(frozen=True)
class Weight:
    """One weight of a model: its shape, and whether it is the matrix of a linear layer."""

    shape: tuple[int, ...]
    role: Literal["linear", "bias", "norm", "embedding", "table"]

    def specs(self, name: str, form: Format) -> dict[str, str]:
        """The graph inputs that hold it, by name: `dtype[sizes]`."""
        sizes = ", ".join(map(str, self.shape))
        if form.quantization == "fp8" and self.role == "linear":
            blocks = ", ".join(str(math.ceil(size / WEIGHT_BLOCK)) for size in self.shape)
            return {name: f"{form.fp8}[{sizes}]", f"{name}.scale": f"f32[{blocks}]"}
        wide = self.role == "table" or (form.quantization == "fp8" and self.role == "bias")
        return {name: f"{'f32' if wide else form.dtype}[{sizes}]"}


def group_size(width: int) -> int:
    """The largest quantization group that divides a row of `width` elements.

    Raises ValueError where none of 128, 64 and 32 does.
    """
    for group in (128, 64, 32):
        if width % group == 0:
            return group
    raise ValueError(f"group_size: width: expected a multiple of 32, got {width}")


def linear(x: Tensor, values: dict[str, Tensor], name: str, form: Format) -> Tensor:
    """x[..., K] times the weight `name` [N, K], plus `name.bias` if there is one: [..., N]."""
    weight, bias = values[name], values.get(f"{name}.bias")
    if form.quantization == "none":
        return ops.matmul(x, weight, bias)
    group = group_size(weight.shape[1])
    codes, scales = ops.per_token_group_quant_fp8(x, group_size=group, dtype=form.fp8)
    weight_scales = values[f"{name}.scale"]
    return ops.block_scaled_matmul(
        codes, weight, scales, weight_scales, bias, group_size=group, dtype=form.dtype
    )
