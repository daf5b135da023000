"""Every operator as a typed function. Written by ci/generate.py from the signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fusible import _core

if TYPE_CHECKING:
    import numpy as np

    from fusible.graph import Value
    from fusible.packed import PackedWeight

# Arrays compute; values of a graph that is being traced record a node.
A = TypeVar("A", "np.ndarray[Any, np.dtype[Any]]", "Value")
# "bf16", numpy.float32, ml_dtypes.bfloat16, a NumPy dtype.
DType = Any

__all__ = [
    "add",
    "attention",
    "block_scaled_matmul",
    "cast",
    "embedding",
    "embedding_group_dequant",
    "fused_add_rms_norm",
    "fused_add_rms_norm_group_quant_fp8",
    "fused_add_rms_norm_group_quant_int8",
    "fused_add_rms_norm_per_token_quant_fp8",
    "fused_add_rms_norm_per_token_quant_int8",
    "fused_add_rms_norm_static_quant_fp8",
    "fused_add_rms_norm_static_quant_int8",
    "gelu_and_mul",
    "gelu_tanh_and_mul",
    "gelu_tanh_and_mul_group_quant_fp8",
    "gelu_tanh_and_mul_group_quant_int8",
    "gelu_tanh_and_mul_per_token_quant_fp8",
    "gelu_tanh_and_mul_per_token_quant_int8",
    "gelu_tanh_and_mul_static_quant_fp8",
    "gelu_tanh_and_mul_static_quant_int8",
    "gemma_fused_add_rms_norm",
    "gemma_fused_add_rms_norm_group_quant_fp8",
    "gemma_fused_add_rms_norm_group_quant_int8",
    "gemma_fused_add_rms_norm_per_token_quant_fp8",
    "gemma_fused_add_rms_norm_per_token_quant_int8",
    "gemma_fused_add_rms_norm_static_quant_fp8",
    "gemma_fused_add_rms_norm_static_quant_int8",
    "gemma_rms_norm",
    "gemma_rms_norm_group_quant_fp8",
    "gemma_rms_norm_group_quant_int8",
    "gemma_rms_norm_per_token_quant_fp8",
    "gemma_rms_norm_per_token_quant_int8",
    "gemma_rms_norm_rotary_embedding",
    "gemma_rms_norm_static_quant_fp8",
    "gemma_rms_norm_static_quant_int8",
    "greedy_sample",
    "int8_scaled_mm",
    "kv_cache_update",
    "latent_attention",
    "layer_norm",
    "matmul",
    "matmul_silu_and_mul",
    "mul",
    "pack_ue8m0",
    "per_token_group_dequant",
    "per_token_group_quant_fp8",
    "per_token_group_quant_fp8_packed",
    "per_token_group_quant_int8",
    "per_token_quant_fp8",
    "per_token_quant_int8",
    "reshape",
    "rms_norm",
    "rms_norm_group_quant_fp8",
    "rms_norm_group_quant_int8",
    "rms_norm_hf",
    "rms_norm_per_token_quant_fp8",
    "rms_norm_per_token_quant_int8",
    "rms_norm_rotary_embedding",
    "rms_norm_static_quant_fp8",
    "rms_norm_static_quant_int8",
    "rotary_embedding",
    "rotary_embedding_kv_cache_update",
    "silu_and_mul",
    "silu_and_mul_group_quant_fp8",
    "silu_and_mul_group_quant_int8",
    "silu_and_mul_per_token_quant_fp8",
    "silu_and_mul_per_token_quant_int8",
    "silu_and_mul_static_quant_fp8",
    "silu_and_mul_static_quant_int8",
    "slice",
    "softmax",
    "static_quant_fp8",
    "static_quant_int8",
    "swiglu_oai_and_mul",
    "top_k_sampling_from_logits",
    "top_k_top_p_sampling_from_logits",
    "top_p_sampling_from_logits",
    "topk",
    "transpose",
    "w8a16_block_fp8_matmul",
]

_add = _core.find_op("add").by_position
_attention = _core.find_op("attention").by_position
_block_scaled_matmul = _core.find_op("block_scaled_matmul").by_position
_cast = _core.find_op("cast").by_position
_embedding = _core.find_op("embedding").by_position
_embedding_group_dequant = _core.find_op("embedding_group_dequant").by_position
_fused_add_rms_norm = _core.find_op("fused_add_rms_norm").by_position
_fused_add_rms_norm_group_quant_fp8 = _core.find_op("fused_add_rms_norm_group_quant_fp8").by_position
_fused_add_rms_norm_group_quant_int8 = _core.find_op("fused_add_rms_norm_group_quant_int8").by_position
_fused_add_rms_norm_per_token_quant_fp8 = _core.find_op("fused_add_rms_norm_per_token_quant_fp8").by_position
_fused_add_rms_norm_per_token_quant_int8 = _core.find_op("fused_add_rms_norm_per_token_quant_int8").by_position
_fused_add_rms_norm_static_quant_fp8 = _core.find_op("fused_add_rms_norm_static_quant_fp8").by_position
_fused_add_rms_norm_static_quant_int8 = _core.find_op("fused_add_rms_norm_static_quant_int8").by_position
_gelu_and_mul = _core.find_op("gelu_and_mul").by_position
_gelu_tanh_and_mul = _core.find_op("gelu_tanh_and_mul").by_position
_gelu_tanh_and_mul_group_quant_fp8 = _core.find_op("gelu_tanh_and_mul_group_quant_fp8").by_position
_gelu_tanh_and_mul_group_quant_int8 = _core.find_op("gelu_tanh_and_mul_group_quant_int8").by_position
_gelu_tanh_and_mul_per_token_quant_fp8 = _core.find_op("gelu_tanh_and_mul_per_token_quant_fp8").by_position
_gelu_tanh_and_mul_per_token_quant_int8 = _core.find_op("gelu_tanh_and_mul_per_token_quant_int8").by_position
_gelu_tanh_and_mul_static_quant_fp8 = _core.find_op("gelu_tanh_and_mul_static_quant_fp8").by_position
_gelu_tanh_and_mul_static_quant_int8 = _core.find_op("gelu_tanh_and_mul_static_quant_int8").by_position
_gemma_fused_add_rms_norm = _core.find_op("gemma_fused_add_rms_norm").by_position
_gemma_fused_add_rms_norm_group_quant_fp8 = _core.find_op("gemma_fused_add_rms_norm_group_quant_fp8").by_position
_gemma_fused_add_rms_norm_group_quant_int8 = _core.find_op("gemma_fused_add_rms_norm_group_quant_int8").by_position
_gemma_fused_add_rms_norm_per_token_quant_fp8 = _core.find_op("gemma_fused_add_rms_norm_per_token_quant_fp8").by_position
_gemma_fused_add_rms_norm_per_token_quant_int8 = _core.find_op("gemma_fused_add_rms_norm_per_token_quant_int8").by_position
_gemma_fused_add_rms_norm_static_quant_fp8 = _core.find_op("gemma_fused_add_rms_norm_static_quant_fp8").by_position
_gemma_fused_add_rms_norm_static_quant_int8 = _core.find_op("gemma_fused_add_rms_norm_static_quant_int8").by_position
_gemma_rms_norm = _core.find_op("gemma_rms_norm").by_position
_gemma_rms_norm_group_quant_fp8 = _core.find_op("gemma_rms_norm_group_quant_fp8").by_position
_gemma_rms_norm_group_quant_int8 = _core.find_op("gemma_rms_norm_group_quant_int8").by_position
_gemma_rms_norm_per_token_quant_fp8 = _core.find_op("gemma_rms_norm_per_token_quant_fp8").by_position
_gemma_rms_norm_per_token_quant_int8 = _core.find_op("gemma_rms_norm_per_token_quant_int8").by_position
_gemma_rms_norm_rotary_embedding = _core.find_op("gemma_rms_norm_rotary_embedding").by_position
_gemma_rms_norm_static_quant_fp8 = _core.find_op("gemma_rms_norm_static_quant_fp8").by_position
_gemma_rms_norm_static_quant_int8 = _core.find_op("gemma_rms_norm_static_quant_int8").by_position
_greedy_sample = _core.find_op("greedy_sample").by_position
_int8_scaled_mm = _core.find_op("int8_scaled_mm").by_position
_kv_cache_update = _core.find_op("kv_cache_update").by_position
_latent_attention = _core.find_op("latent_attention").by_position
_layer_norm = _core.find_op("layer_norm").by_position
_matmul = _core.find_op("matmul").by_position
_matmul_silu_and_mul = _core.find_op("matmul_silu_and_mul").by_position
_mul = _core.find_op("mul").by_position
_pack_ue8m0 = _core.find_op("pack_ue8m0").by_position
_per_token_group_dequant = _core.find_op("per_token_group_dequant").by_position
_per_token_group_quant_fp8 = _core.find_op("per_token_group_quant_fp8").by_position
_per_token_group_quant_fp8_packed = _core.find_op("per_token_group_quant_fp8_packed").by_position
_per_token_group_quant_int8 = _core.find_op("per_token_group_quant_int8").by_position
_per_token_quant_fp8 = _core.find_op("per_token_quant_fp8").by_position
_per_token_quant_int8 = _core.find_op("per_token_quant_int8").by_position
_reshape = _core.find_op("reshape").by_position
_rms_norm = _core.find_op("rms_norm").by_position
_rms_norm_group_quant_fp8 = _core.find_op("rms_norm_group_quant_fp8").by_position
_rms_norm_group_quant_int8 = _core.find_op("rms_norm_group_quant_int8").by_position
_rms_norm_hf = _core.find_op("rms_norm_hf").by_position
_rms_norm_per_token_quant_fp8 = _core.find_op("rms_norm_per_token_quant_fp8").by_position
_rms_norm_per_token_quant_int8 = _core.find_op("rms_norm_per_token_quant_int8").by_position
_rms_norm_rotary_embedding = _core.find_op("rms_norm_rotary_embedding").by_position
_rms_norm_static_quant_fp8 = _core.find_op("rms_norm_static_quant_fp8").by_position
_rms_norm_static_quant_int8 = _core.find_op("rms_norm_static_quant_int8").by_position
_rotary_embedding = _core.find_op("rotary_embedding").by_position
_rotary_embedding_kv_cache_update = _core.find_op("rotary_embedding_kv_cache_update").by_position
_silu_and_mul = _core.find_op("silu_and_mul").by_position
_silu_and_mul_group_quant_fp8 = _core.find_op("silu_and_mul_group_quant_fp8").by_position
_silu_and_mul_group_quant_int8 = _core.find_op("silu_and_mul_group_quant_int8").by_position
_silu_and_mul_per_token_quant_fp8 = _core.find_op("silu_and_mul_per_token_quant_fp8").by_position
_silu_and_mul_per_token_quant_int8 = _core.find_op("silu_and_mul_per_token_quant_int8").by_position
_silu_and_mul_static_quant_fp8 = _core.find_op("silu_and_mul_static_quant_fp8").by_position
_silu_and_mul_static_quant_int8 = _core.find_op("silu_and_mul_static_quant_int8").by_position
_slice = _core.find_op("slice").by_position
_softmax = _core.find_op("softmax").by_position
_static_quant_fp8 = _core.find_op("static_quant_fp8").by_position
_static_quant_int8 = _core.find_op("static_quant_int8").by_position
_swiglu_oai_and_mul = _core.find_op("swiglu_oai_and_mul").by_position
_top_k_sampling_from_logits = _core.find_op("top_k_sampling_from_logits").by_position
_top_k_top_p_sampling_from_logits = _core.find_op("top_k_top_p_sampling_from_logits").by_position
_top_p_sampling_from_logits = _core.find_op("top_p_sampling_from_logits").by_position
_topk = _core.find_op("topk").by_position
_transpose = _core.find_op("transpose").by_position
_w8a16_block_fp8_matmul = _core.find_op("w8a16_block_fp8_matmul").by_position


def add(x: A, y: A, *, out: Any = None) -> A:
    """Adds two arrays element by element: the residual connection of a block.

    Args:
        x: F[..., C].
        y: F[..., C].
        out: results to write, in place of fresh ones.

    Returns:
        sum: F[..., C]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: He et al. 2015, arXiv:1512.03385, eq. 1.
    """
    results: A = _add(x, y, out)
    return results


def attention(
    q: A,
    k_cache: A,
    v_cache: A,
    block_table: A,
    query_start: A,
    lengths: A,
    *,
    scale: float,
    window: int = 0,
    softcap: float = 0.0,
    out: Any = None,
) -> A:
    """Causal softmax attention over a paged cache: sequence s has the queries query_start[s] to query_start[s+1], the last of its lengths[s] keys, and key j lies in block block_table[s, j / P] at offset j % P.

    H/N query heads share a kv head. Scores are (q . k) * scale; softcap > 0 makes them softcap *
        tanh(score / softcap); with window > 0 a query sees that many keys, itself the last. A
        sequence of length 0 gives zeros. f32 inside, in blocks of 128 keys: a query has the same
        bits in prefill and in decoding, on one instruction set. A cache may be the first columns
        of a wider one.

    Args:
        q: F[T, H, D].
        k_cache: F[B, P, N, D].
        v_cache: F[B, P, N, E].
        block_table: i32[S, M].
        query_start: i32[S+1].
        lengths: i32[S].
        scale: float.
        window: int >= 0.
        softcap: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[T, H, E].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Kwon et al. 2023, arXiv:2309.06180; Dao et al. 2022, arXiv:2205.14135, section 3.1.
    """
    results: A = _attention(
        q,
        k_cache,
        v_cache,
        block_table,
        query_start,
        lengths,
        scale,
        window,
        softcap,
        out,
    )
    return results


def block_scaled_matmul(
    x: A,
    w: A | PackedWeight,
    x_scale: A,
    w_scale: A,
    bias: A | None = None,
    *,
    group_size: int = 128,
    dtype: DType = "bf16",
    out: Any = None,
) -> A:
    """Multiplies quantized rows by the transpose of quantized weights with a scale for every 128 x 128 of them: y[n] = round(sum over groups g of k of (sum over k in g of x[k] * w[n, k]) * (x_scale[g] * w_scale[n/128, k/128]) + bias[n]), in f32, both sums as chains of fused multiply-adds, k ascending.

    A row has the same bits alone and in any batch. The sum is off by at most n * 2^-24 / (1 - n *
        2^-24), n = group_size + ceil(K/group_size) + 1 (2n without fused ones), times the sum of
        the magnitudes of x * w * scales. x_scale may have any strides; w may be packed
        (fusible.pack_weight): the same bits, sooner.

    Args:
        x: Q8[..., K].
        w: Q8[N, K].
        x_scale: f32[..., K/group_size].
        w_scale: f32[ceil(N/128), ceil(K/128)].
        bias: f32[N] (optional).
        group_size: int, one of 32, 64, 128.
        dtype: dtype, one of f32, bf16, f16.
        out: results to write, in place of fresh ones.

    Returns:
        y: dtype[..., N].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2.
    """
    results: A = _block_scaled_matmul(x, w, x_scale, w_scale, bias, group_size, dtype, out)
    return results


def cast(x: A, *, dtype: DType = "bf16", out: Any = None) -> A:
    """Converts to another float format: round to nearest even.

    What is too large for an 8-bit format, infinity included, becomes its largest finite value, in
        e5m2 too. NaN stays NaN.

    Args:
        x: FQ[..., C].
        dtype: dtype, one of f32, bf16, f16, e4m3fn, e4m3fnuz, e5m2.
        out: results to write, in place of fresh ones.

    Returns:
        y: dtype[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: IEEE 754-2019, section 5.4.2; OCP 8-bit floating point specification, revision 1.0.
    """
    results: A = _cast(x, dtype, out)
    return results


def embedding(ids: A, table: A, *, out: Any = None) -> A:
    """Looks up rows of a table: y[i] = table[ids[i]], bit for bit.

    Args:
        ids: I[...]; values below V.
        table: A[V, C].
        out: results to write, in place of fresh ones.

    Returns:
        y: A[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError, RangeError: an argument that does not fit, before a
            write.
    """
    results: A = _embedding(ids, table, out)
    return results


def embedding_group_dequant(
    ids: A,
    table: A,
    scales: A,
    *,
    dtype: DType = "bf16",
    out: Any = None,
) -> A:
    """Looks up rows of a quantized table: embedding of codes and scales, then dequantized.

    Args:
        ids: I[...]; values below V.
        table: Q[V, C].
        scales: f32[V, G].
        dtype: dtype, one of f32, bf16, f16.
        out: results to write, in place of fresh ones.

    Returns:
        y: dtype[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError, RangeError: an argument that does not fit, before a
            write.

    Source: DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2.

    Equals, bit for bit::

        q = embedding(ids, table)
        s = embedding(ids, scales)
        y = per_token_group_dequant(q, s, dtype=dtype)
        return y
    """
    results: A = _embedding_group_dequant(ids, table, scales, dtype, out)
    return results


def fused_add_rms_norm(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    out: Any = None,
) -> tuple[A, A]:
    """Adds to the residual stream, then rms_norm of the sum as it was stored.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., C]; out may be x's own memory.
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        sum = add(x, residual)
        y = rms_norm(sum, weight, eps=eps)
        return y, sum
    """
    results: tuple[A, A] = _fused_add_rms_norm(x, residual, weight, eps, out)
    return results


def fused_add_rms_norm_group_quant_fp8(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    group_size: int = 128,
    dtype: DType = "e4m3fn",
    layout: Literal["row", "col", "col_aligned4"] = "row",
    scale_format: Literal["float", "ue8m0"] = "float",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A, A]:
    """Adds to the residual stream, then rms_norm of the sum, then per_token_group_quant_fp8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        group_size: int, one of 16, 32, 64, 128.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        layout: str, one of row, col, col_aligned4.
        scale_format: str, one of float, ue8m0.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        sum = add(x, residual)
        y = rms_norm(sum, weight, eps=eps)
        q, scales = per_token_group_quant_fp8(y, group_size=group_size, dtype=dtype, layout=layout, scale_format=scale_format, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales, sum
    """
    results: tuple[A, A, A] = _fused_add_rms_norm_group_quant_fp8(
        x,
        residual,
        weight,
        eps,
        group_size,
        dtype,
        layout,
        scale_format,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def fused_add_rms_norm_group_quant_int8(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    group_size: int = 128,
    layout: Literal["row", "col", "col_aligned4"] = "row",
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A, A]:
    """Adds to the residual stream, then rms_norm of the sum, then per_token_group_quant_int8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        group_size: int, one of 16, 32, 64, 128.
        layout: str, one of row, col, col_aligned4.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        sum = add(x, residual)
        y = rms_norm(sum, weight, eps=eps)
        q, scales = per_token_group_quant_int8(y, group_size=group_size, layout=layout, amax_floor=amax_floor)
        return q, scales, sum
    """
    results: tuple[A, A, A] = _fused_add_rms_norm_group_quant_int8(
        x,
        residual,
        weight,
        eps,
        group_size,
        layout,
        amax_floor,
        out,
    )
    return results


def fused_add_rms_norm_per_token_quant_fp8(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    dtype: DType = "e4m3fn",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A, A]:
    """Adds to the residual stream, then rms_norm of the sum, then per_token_quant_fp8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., 1].
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        sum = add(x, residual)
        y = rms_norm(sum, weight, eps=eps)
        q, scales = per_token_quant_fp8(y, dtype=dtype, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales, sum
    """
    results: tuple[A, A, A] = _fused_add_rms_norm_per_token_quant_fp8(
        x,
        residual,
        weight,
        eps,
        dtype,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def fused_add_rms_norm_per_token_quant_int8(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A, A]:
    """Adds to the residual stream, then rms_norm of the sum, then per_token_quant_int8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., 1].
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        sum = add(x, residual)
        y = rms_norm(sum, weight, eps=eps)
        q, scales = per_token_quant_int8(y, amax_floor=amax_floor)
        return q, scales, sum
    """
    results: tuple[A, A, A] = _fused_add_rms_norm_per_token_quant_int8(
        x,
        residual,
        weight,
        eps,
        amax_floor,
        out,
    )
    return results


def fused_add_rms_norm_static_quant_fp8(
    x: A,
    residual: A,
    weight: A,
    scale: A,
    *,
    eps: float = 1e-06,
    dtype: DType = "e4m3fn",
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """Adds to the residual stream, then rms_norm of the sum, then static_quant_fp8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        scale: f32[1].
        eps: float >= 0.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        sum = add(x, residual)
        y = rms_norm(sum, weight, eps=eps)
        q = static_quant_fp8(y, scale, dtype=dtype, fp8_max=fp8_max)
        return q, sum
    """
    results: tuple[A, A] = _fused_add_rms_norm_static_quant_fp8(
        x,
        residual,
        weight,
        scale,
        eps,
        dtype,
        fp8_max,
        out,
    )
    return results


def fused_add_rms_norm_static_quant_int8(
    x: A,
    residual: A,
    weight: A,
    scale: A,
    *,
    eps: float = 1e-06,
    out: Any = None,
) -> tuple[A, A]:
    """Adds to the residual stream, then rms_norm of the sum, then static_quant_int8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        scale: f32[1].
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        sum = add(x, residual)
        y = rms_norm(sum, weight, eps=eps)
        q = static_quant_int8(y, scale)
        return q, sum
    """
    results: tuple[A, A] = _fused_add_rms_norm_static_quant_int8(
        x,
        residual,
        weight,
        scale,
        eps,
        out,
    )
    return results


def gelu_and_mul(x: A, *, out: Any = None) -> A:
    """gelu(first half of the row), by the error function, * second half, in f32 with one rounding; gelu(-inf) = -0.

    Args:
        x: F[..., 2*D].
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., D].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2; Shazeer 2020, arXiv:2002.05202.
    """
    results: A = _gelu_and_mul(x, out)
    return results


def gelu_tanh_and_mul(x: A, *, out: Any = None) -> A:
    """gelu(first half of the row), by its tanh formula, * second half, in f32 with one rounding; gelu(-inf) = -0.

    Args:
        x: F[..., 2*D].
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., D].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2; Shazeer 2020, arXiv:2002.05202.
    """
    results: A = _gelu_tanh_and_mul(x, out)
    return results


def gelu_tanh_and_mul_group_quant_fp8(
    x: A,
    *,
    group_size: int = 128,
    dtype: DType = "e4m3fn",
    layout: Literal["row", "col", "col_aligned4"] = "row",
    scale_format: Literal["float", "ue8m0"] = "float",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """gelu_tanh_and_mul, then per_token_group_quant_fp8 of its result.

    Args:
        x: F[..., 2*D].
        group_size: int, one of 16, 32, 64, 128.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        layout: str, one of row, col, col_aligned4.
        scale_format: str, one of float, ue8m0.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., D].
        scales: f32[..., D/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = gelu_tanh_and_mul(x)
        q, scales = per_token_group_quant_fp8(y, group_size=group_size, dtype=dtype, layout=layout, scale_format=scale_format, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales
    """
    results: tuple[A, A] = _gelu_tanh_and_mul_group_quant_fp8(
        x,
        group_size,
        dtype,
        layout,
        scale_format,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def gelu_tanh_and_mul_group_quant_int8(
    x: A,
    *,
    group_size: int = 128,
    layout: Literal["row", "col", "col_aligned4"] = "row",
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A]:
    """gelu_tanh_and_mul, then per_token_group_quant_int8 of its result.

    Args:
        x: F[..., 2*D].
        group_size: int, one of 16, 32, 64, 128.
        layout: str, one of row, col, col_aligned4.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., D].
        scales: f32[..., D/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = gelu_tanh_and_mul(x)
        q, scales = per_token_group_quant_int8(y, group_size=group_size, layout=layout, amax_floor=amax_floor)
        return q, scales
    """
    results: tuple[A, A] = _gelu_tanh_and_mul_group_quant_int8(
        x,
        group_size,
        layout,
        amax_floor,
        out,
    )
    return results


def gelu_tanh_and_mul_per_token_quant_fp8(
    x: A,
    *,
    dtype: DType = "e4m3fn",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """gelu_tanh_and_mul, then per_token_quant_fp8 of its result.

    Args:
        x: F[..., 2*D].
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., D].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = gelu_tanh_and_mul(x)
        q, scales = per_token_quant_fp8(y, dtype=dtype, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales
    """
    results: tuple[A, A] = _gelu_tanh_and_mul_per_token_quant_fp8(
        x,
        dtype,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def gelu_tanh_and_mul_per_token_quant_int8(
    x: A,
    *,
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A]:
    """gelu_tanh_and_mul, then per_token_quant_int8 of its result.

    Args:
        x: F[..., 2*D].
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., D].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = gelu_tanh_and_mul(x)
        q, scales = per_token_quant_int8(y, amax_floor=amax_floor)
        return q, scales
    """
    results: tuple[A, A] = _gelu_tanh_and_mul_per_token_quant_int8(x, amax_floor, out)
    return results


def gelu_tanh_and_mul_static_quant_fp8(
    x: A,
    scale: A,
    *,
    dtype: DType = "e4m3fn",
    fp8_max: float | None = None,
    out: Any = None,
) -> A:
    """gelu_tanh_and_mul, then static_quant_fp8 of its result.

    Args:
        x: F[..., 2*D].
        scale: f32[1].
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., D].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = gelu_tanh_and_mul(x)
        q = static_quant_fp8(y, scale, dtype=dtype, fp8_max=fp8_max)
        return q
    """
    results: A = _gelu_tanh_and_mul_static_quant_fp8(x, scale, dtype, fp8_max, out)
    return results


def gelu_tanh_and_mul_static_quant_int8(x: A, scale: A, *, out: Any = None) -> A:
    """gelu_tanh_and_mul, then static_quant_int8 of its result.

    Args:
        x: F[..., 2*D].
        scale: f32[1].
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., D].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = gelu_tanh_and_mul(x)
        q = static_quant_int8(y, scale)
        return q
    """
    results: A = _gelu_tanh_and_mul_static_quant_int8(x, scale, out)
    return results


def gemma_fused_add_rms_norm(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    out: Any = None,
) -> tuple[A, A]:
    """Adds to the residual stream, then gemma_rms_norm of the sum as it was stored.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., C]; out may be x's own memory.
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        sum = add(x, residual)
        y = gemma_rms_norm(sum, weight, eps=eps)
        return y, sum
    """
    results: tuple[A, A] = _gemma_fused_add_rms_norm(x, residual, weight, eps, out)
    return results


def gemma_fused_add_rms_norm_group_quant_fp8(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    group_size: int = 128,
    dtype: DType = "e4m3fn",
    layout: Literal["row", "col", "col_aligned4"] = "row",
    scale_format: Literal["float", "ue8m0"] = "float",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A, A]:
    """Adds to the residual stream, then gemma_rms_norm of the sum, then per_token_group_quant_fp8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        group_size: int, one of 16, 32, 64, 128.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        layout: str, one of row, col, col_aligned4.
        scale_format: str, one of float, ue8m0.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        sum = add(x, residual)
        y = gemma_rms_norm(sum, weight, eps=eps)
        q, scales = per_token_group_quant_fp8(y, group_size=group_size, dtype=dtype, layout=layout, scale_format=scale_format, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales, sum
    """
    results: tuple[A, A, A] = _gemma_fused_add_rms_norm_group_quant_fp8(
        x,
        residual,
        weight,
        eps,
        group_size,
        dtype,
        layout,
        scale_format,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def gemma_fused_add_rms_norm_group_quant_int8(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    group_size: int = 128,
    layout: Literal["row", "col", "col_aligned4"] = "row",
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A, A]:
    """Adds to the residual stream, then gemma_rms_norm of the sum, then per_token_group_quant_int8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        group_size: int, one of 16, 32, 64, 128.
        layout: str, one of row, col, col_aligned4.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        sum = add(x, residual)
        y = gemma_rms_norm(sum, weight, eps=eps)
        q, scales = per_token_group_quant_int8(y, group_size=group_size, layout=layout, amax_floor=amax_floor)
        return q, scales, sum
    """
    results: tuple[A, A, A] = _gemma_fused_add_rms_norm_group_quant_int8(
        x,
        residual,
        weight,
        eps,
        group_size,
        layout,
        amax_floor,
        out,
    )
    return results


def gemma_fused_add_rms_norm_per_token_quant_fp8(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    dtype: DType = "e4m3fn",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A, A]:
    """Adds to the residual stream, then gemma_rms_norm of the sum, then per_token_quant_fp8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., 1].
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        sum = add(x, residual)
        y = gemma_rms_norm(sum, weight, eps=eps)
        q, scales = per_token_quant_fp8(y, dtype=dtype, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales, sum
    """
    results: tuple[A, A, A] = _gemma_fused_add_rms_norm_per_token_quant_fp8(
        x,
        residual,
        weight,
        eps,
        dtype,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def gemma_fused_add_rms_norm_per_token_quant_int8(
    x: A,
    residual: A,
    weight: A,
    *,
    eps: float = 1e-06,
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A, A]:
    """Adds to the residual stream, then gemma_rms_norm of the sum, then per_token_quant_int8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        eps: float >= 0.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., 1].
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        sum = add(x, residual)
        y = gemma_rms_norm(sum, weight, eps=eps)
        q, scales = per_token_quant_int8(y, amax_floor=amax_floor)
        return q, scales, sum
    """
    results: tuple[A, A, A] = _gemma_fused_add_rms_norm_per_token_quant_int8(
        x,
        residual,
        weight,
        eps,
        amax_floor,
        out,
    )
    return results


def gemma_fused_add_rms_norm_static_quant_fp8(
    x: A,
    residual: A,
    weight: A,
    scale: A,
    *,
    eps: float = 1e-06,
    dtype: DType = "e4m3fn",
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """Adds to the residual stream, then gemma_rms_norm of the sum, then static_quant_fp8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        scale: f32[1].
        eps: float >= 0.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        sum = add(x, residual)
        y = gemma_rms_norm(sum, weight, eps=eps)
        q = static_quant_fp8(y, scale, dtype=dtype, fp8_max=fp8_max)
        return q, sum
    """
    results: tuple[A, A] = _gemma_fused_add_rms_norm_static_quant_fp8(
        x,
        residual,
        weight,
        scale,
        eps,
        dtype,
        fp8_max,
        out,
    )
    return results


def gemma_fused_add_rms_norm_static_quant_int8(
    x: A,
    residual: A,
    weight: A,
    scale: A,
    *,
    eps: float = 1e-06,
    out: Any = None,
) -> tuple[A, A]:
    """Adds to the residual stream, then gemma_rms_norm of the sum, then static_quant_int8.

    Args:
        x: F[..., C].
        residual: F[..., C].
        weight: F[C].
        scale: f32[1].
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        sum: F[..., C]; out may be residual's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        sum = add(x, residual)
        y = gemma_rms_norm(sum, weight, eps=eps)
        q = static_quant_int8(y, scale)
        return q, sum
    """
    results: tuple[A, A] = _gemma_fused_add_rms_norm_static_quant_int8(
        x,
        residual,
        weight,
        scale,
        eps,
        out,
    )
    return results


def gemma_rms_norm(x: A, weight: A, *, eps: float = 1e-06, out: Any = None) -> A:
    """rms_norm of a model whose weights are stored less one: the factor is 1 + weight, formed in f32.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., C]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.
    """
    results: A = _gemma_rms_norm(x, weight, eps, out)
    return results


def gemma_rms_norm_group_quant_fp8(
    x: A,
    weight: A,
    *,
    eps: float = 1e-06,
    group_size: int = 128,
    dtype: DType = "e4m3fn",
    layout: Literal["row", "col", "col_aligned4"] = "row",
    scale_format: Literal["float", "ue8m0"] = "float",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """gemma_rms_norm, then per_token_group_quant_fp8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        group_size: int, one of 16, 32, 64, 128.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        layout: str, one of row, col, col_aligned4.
        scale_format: str, one of float, ue8m0.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        y = gemma_rms_norm(x, weight, eps=eps)
        q, scales = per_token_group_quant_fp8(y, group_size=group_size, dtype=dtype, layout=layout, scale_format=scale_format, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales
    """
    results: tuple[A, A] = _gemma_rms_norm_group_quant_fp8(
        x,
        weight,
        eps,
        group_size,
        dtype,
        layout,
        scale_format,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def gemma_rms_norm_group_quant_int8(
    x: A,
    weight: A,
    *,
    eps: float = 1e-06,
    group_size: int = 128,
    layout: Literal["row", "col", "col_aligned4"] = "row",
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A]:
    """gemma_rms_norm, then per_token_group_quant_int8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        group_size: int, one of 16, 32, 64, 128.
        layout: str, one of row, col, col_aligned4.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        y = gemma_rms_norm(x, weight, eps=eps)
        q, scales = per_token_group_quant_int8(y, group_size=group_size, layout=layout, amax_floor=amax_floor)
        return q, scales
    """
    results: tuple[A, A] = _gemma_rms_norm_group_quant_int8(
        x,
        weight,
        eps,
        group_size,
        layout,
        amax_floor,
        out,
    )
    return results


def gemma_rms_norm_per_token_quant_fp8(
    x: A,
    weight: A,
    *,
    eps: float = 1e-06,
    dtype: DType = "e4m3fn",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """gemma_rms_norm, then per_token_quant_fp8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        y = gemma_rms_norm(x, weight, eps=eps)
        q, scales = per_token_quant_fp8(y, dtype=dtype, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales
    """
    results: tuple[A, A] = _gemma_rms_norm_per_token_quant_fp8(
        x,
        weight,
        eps,
        dtype,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def gemma_rms_norm_per_token_quant_int8(
    x: A,
    weight: A,
    *,
    eps: float = 1e-06,
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A]:
    """gemma_rms_norm, then per_token_quant_int8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        y = gemma_rms_norm(x, weight, eps=eps)
        q, scales = per_token_quant_int8(y, amax_floor=amax_floor)
        return q, scales
    """
    results: tuple[A, A] = _gemma_rms_norm_per_token_quant_int8(x, weight, eps, amax_floor, out)
    return results


def gemma_rms_norm_rotary_embedding(
    x: A,
    weight: A,
    positions: A,
    cos_sin: A,
    *,
    eps: float = 1e-06,
    style: Literal["neox", "interleaved"] = "neox",
    out: Any = None,
) -> A:
    """gemma_rms_norm of each head, then rotary_embedding: what queries and keys go through in Qwen 3 and Gemma 3.

    Args:
        x: F[..., H, D].
        weight: F[D].
        positions: I[...]; values below P.
        cos_sin: F2[P, 2*R].
        eps: float >= 0.
        style: str, one of neox, interleaved.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., H, D]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError, RangeError: an argument that does not fit, before a
            write.

    Source: Henry et al. 2020, arXiv:2010.04245; Su et al. 2021, arXiv:2104.09864, eq. 34.

    Equals, bit for bit::

        n = gemma_rms_norm(x, weight, eps=eps)
        y = rotary_embedding(n, positions, cos_sin, style=style)
        return y
    """
    results: A = _gemma_rms_norm_rotary_embedding(x, weight, positions, cos_sin, eps, style, out)
    return results


def gemma_rms_norm_static_quant_fp8(
    x: A,
    weight: A,
    scale: A,
    *,
    eps: float = 1e-06,
    dtype: DType = "e4m3fn",
    fp8_max: float | None = None,
    out: Any = None,
) -> A:
    """gemma_rms_norm, then static_quant_fp8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        scale: f32[1].
        eps: float >= 0.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        y = gemma_rms_norm(x, weight, eps=eps)
        q = static_quant_fp8(y, scale, dtype=dtype, fp8_max=fp8_max)
        return q
    """
    results: A = _gemma_rms_norm_static_quant_fp8(x, weight, scale, eps, dtype, fp8_max, out)
    return results


def gemma_rms_norm_static_quant_int8(
    x: A,
    weight: A,
    scale: A,
    *,
    eps: float = 1e-06,
    out: Any = None,
) -> A:
    """gemma_rms_norm, then static_quant_int8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        scale: f32[1].
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295.

    Equals, bit for bit::

        y = gemma_rms_norm(x, weight, eps=eps)
        q = static_quant_int8(y, scale)
        return q
    """
    results: A = _gemma_rms_norm_static_quant_int8(x, weight, scale, eps, out)
    return results


def greedy_sample(logits: A, *, out: Any = None) -> A:
    """The index of each row's largest logit, of equal ones the lowest; NaN counts as larger than every number.

    Args:
        logits: F[..., V].
        out: results to write, in place of fresh ones.

    Returns:
        tokens: i32[...].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Fan et al. 2018, arXiv:1805.04833, section 5.1 (k = 1).
    """
    results: A = _greedy_sample(logits, out)
    return results


def int8_scaled_mm(
    x: A,
    w: A | PackedWeight,
    x_scale: A,
    w_scale: A,
    bias: A | None = None,
    *,
    dtype: DType = "bf16",
    out: Any = None,
) -> A:
    """Multiplies int8 rows, each with a scale, by the transpose of an int8 weight with a scale for each of its rows: y[n] = round((sum over k of x[k] * w[n, k]) * x_scale * w_scale[n] + bias[n]).

    The sum is exact: K is so bounded that int32 holds it for all codes, -128 included. It is
        rounded to f32, multiplied by x_scale, then by w_scale, and bias is added, each step
        rounded to f32. So a row has the same bits alone and in any batch, on every instruction
        set. w may be packed (fusible.pack_weight): the same bits, sooner.

    Args:
        x: i8[..., K].
        w: i8[N, K].
        x_scale: f32[..., 1].
        w_scale: f32[N].
        bias: f32[N] (optional).
        dtype: dtype, one of f32, bf16, f16.
        out: results to write, in place of fresh ones.

    Returns:
        y: dtype[..., N].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Jacob et al. 2017, arXiv:1712.05877, section 2.2.
    """
    results: A = _int8_scaled_mm(x, w, x_scale, w_scale, bias, dtype, out)
    return results


def kv_cache_update(
    k: A,
    v: A,
    slots: A,
    k_cache: A,
    v_cache: A,
    *,
    out: Any = None,
) -> tuple[A, A]:
    """Writes the keys and values of new tokens into a paged cache: row i goes to slot slots[i] = block * P + offset; a negative slot is skipped, and of two equal ones the later row stays.

    Args:
        k: F[..., N, D].
        v: F[..., N, E].
        slots: i64[...]; negative: skipped; else below B*P.
        k_cache: F[B, P, N, D].
        v_cache: F[B, P, N, E].
        out: results to write, in place of fresh ones.

    Returns:
        k_cache: F[B, P, N, D]; out may be k_cache's own memory.
        v_cache: F[B, P, N, E]; out may be v_cache's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError, RangeError: an argument that does not fit, before a
            write.

    Source: Kwon et al. 2023, arXiv:2309.06180, section 4.3.
    """
    results: tuple[A, A] = _kv_cache_update(k, v, slots, k_cache, v_cache, out)
    return results


def latent_attention(
    q: A,
    cache: A,
    block_table: A,
    query_start: A,
    lengths: A,
    *,
    rank: int,
    scale: float,
    window: int = 0,
    softcap: float = 0.0,
    out: Any = None,
) -> A:
    """Attention of DeepSeek's latent heads in absorbed form: all heads share one row of the cache for each token, of which all D elements are the key (rank of the compressed latent, then the rotated ones) and the first `rank` the value.

    Queries have taken in the projection of the keys, results go on to that of the values; the rest
        is as in attention.

    Args:
        q: F[T, H, D].
        cache: F[B, P, 1, D].
        block_table: i32[S, M].
        query_start: i32[S+1].
        lengths: i32[S].
        rank: int >= 1.
        scale: float.
        window: int >= 0.
        softcap: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[T, H, rank].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: DeepSeek-AI 2024, arXiv:2405.04434, section 2.1.2 and appendix C.

    Equals, bit for bit::

        values = slice(cache, dim=3, stop=rank)
        y = attention(q, cache, values, block_table, query_start, lengths, scale=scale, window=window, softcap=softcap)
        return y
    """
    results: A = _latent_attention(
        q,
        cache,
        block_table,
        query_start,
        lengths,
        rank,
        scale,
        window,
        softcap,
        out,
    )
    return results


def layer_norm(
    x: A,
    weight: A | None = None,
    bias: A | None = None,
    *,
    eps: float = 1e-05,
    out: Any = None,
) -> A:
    """Shifts each row to a mean of zero and scales it to a variance of one, then by weight, plus bias: y = ((x - mean) * (1 / sqrt(mean((x - mean)^2) + eps))) * weight + bias.

    In f32 with two sums, the second of centred values, and one rounding at the end; weight and
        bias come in by one fma.

    Args:
        x: F[..., C].
        weight: F[C] (optional).
        bias: F[C] (optional).
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., C]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, eq. 3 and 4.
    """
    results: A = _layer_norm(x, weight, bias, eps, out)
    return results


def matmul(x: A, w: A | PackedWeight, bias: A | None = None, *, out: Any = None) -> A:
    """Multiplies rows by the transpose of w: y[n] = round(sum over k of x[k] * w[n, k] + bias[n]).

    Each output is one chain of f32 fused multiply-adds (multiplications and additions where the
        instruction set has none), k ascending, so a row has the same bits alone and in any batch.
        A sum of K products is off by at most g times the sum of their magnitudes, g = K * 2^-24 /
        (1 - K * 2^-24), twice that without fused ones, and K * 2^-149 where products underflow. w
        may be packed (fusible.pack_weight): the same bits, sooner.

    Args:
        x: F[..., K].
        w: F[N, K].
        bias: F[N] (optional).
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., N].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Goto and van de Geijn 2008, doi:10.1145/1356052.1356053 (packed panels).
    """
    results: A = _matmul(x, w, bias, out)
    return results


def matmul_silu_and_mul(
    x: A,
    w: A | PackedWeight,
    bias: A | None = None,
    *,
    limit: float | None = None,
    out: Any = None,
) -> A:
    """The first half of a gated layer, its two weights in one: the first D rows of w give the gate, the others what it multiplies.

    Args:
        x: F[..., K].
        w: F[2*D, K].
        bias: F[2*D] (optional).
        limit: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., D].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Equals, bit for bit::

        h = matmul(x, w, bias)
        y = silu_and_mul(h, limit=limit)
        return y
    """
    results: A = _matmul_silu_and_mul(x, w, bias, limit, out)
    return results


def mul(
    x: A,
    y: A | None = None,
    weight: A | None = None,
    *,
    by: float = 1.0,
    out: Any = None,
) -> A:
    """Multiplies x by y, by a weight a column, and by a number; what is not given does not count.

    Each product is rounded in f32, the result once more to its dtype.

    Args:
        x: F[..., C].
        y: F[..., C] (optional).
        weight: F[C] (optional).
        by: float.
        out: results to write, in place of fresh ones.

    Returns:
        z: F[..., C]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: IEEE 754-2019, section 5.4.1.
    """
    results: A = _mul(x, y, weight, by, out)
    return results


def pack_ue8m0(
    scales: A,
    *,
    layout: Literal["row", "col", "col_aligned4"] = "row",
    out: Any = None,
) -> A:
    """Packs scales that are powers of two into their exponent bytes.

    Four of them an int32, the first in the low byte; bytes behind a row's last scale are 0. The
        mantissa of any other number is dropped; infinity and NaN become 255, which is NaN in
        UE8M0.

    Args:
        scales: f32[..., G].
        layout: str, one of row, col, col_aligned4.
        out: results to write, in place of fresh ones.

    Returns:
        packed: i32[..., ceil(G/4)], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: OCP Microscaling formats (MX) specification, version 1.0, section 5.4.1 (E8M0).
    """
    results: A = _pack_ue8m0(scales, layout, out)
    return results


def per_token_group_dequant(q: A, scales: A, *, dtype: DType = "bf16", out: Any = None) -> A:
    """The values of a row's codes, each times the scale of its group of C/G: the product is rounded to f32, then to dtype.

    One scale a row is a group of C.

    Args:
        q: Q[..., C].
        scales: f32[..., G].
        dtype: dtype, one of f32, bf16, f16.
        out: results to write, in place of fresh ones.

    Returns:
        y: dtype[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2.
    """
    results: A = _per_token_group_dequant(q, scales, dtype, out)
    return results


def per_token_group_quant_fp8(
    x: A,
    *,
    group_size: int = 128,
    dtype: DType = "e4m3fn",
    layout: Literal["row", "col", "col_aligned4"] = "row",
    scale_format: Literal["float", "ue8m0"] = "float",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """Quantizes each group of a row with a scale of its own: a = max(amax, amax_floor), scale = a / fp8_max, q = clamp(x / scale), rounded to f32 and then to nearest even.

    A NaN makes its group's scale and codes NaN. fp8_max is 448 for e4m3fn, 224 for e4m3fnuz and
        57344 for e5m2 unless given. scale_format "ue8m0": the scale is the power of two at or
        above a / fp8_max, and the codes are x divided by that. layout "col_aligned4": columns of
        scales are a multiple of 4 rows apart. amax_floor is 1e-10 in the group quantizers of
        SGLang and vLLM, 1e-4 in SGLang's act_quant, and 2^-9 in vLLM's per-token quantizers, whose
        scales are at least 1 / (448 * 512).

    Args:
        x: F[..., C].
        group_size: int, one of 16, 32, 64, 128.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        layout: str, one of row, col, col_aligned4.
        scale_format: str, one of float, ue8m0.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2.
    """
    results: tuple[A, A] = _per_token_group_quant_fp8(
        x,
        group_size,
        dtype,
        layout,
        scale_format,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def per_token_group_quant_fp8_packed(
    x: A,
    *,
    group_size: int = 128,
    dtype: DType = "e4m3fn",
    layout: Literal["row", "col", "col_aligned4"] = "col_aligned4",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """Quantizes each group of a row with a power of two, and packs four of their exponents an int32.

    As the block-scaled matrix products of DeepGEMM take them.

    Args:
        x: F[..., C].
        group_size: int, one of 16, 32, 64, 128.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        layout: str, one of row, col, col_aligned4.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: i32[..., ceil(C/group_size/4)], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2; OCP Microscaling formats (MX)
        specification, version 1.0, section 5.4.1 (E8M0).

    Equals, bit for bit::

        q, powers = per_token_group_quant_fp8(x, group_size=group_size, dtype=dtype, scale_format="ue8m0", amax_floor=amax_floor, fp8_max=fp8_max)
        scales = pack_ue8m0(powers, layout=layout)
        return q, scales
    """
    results: tuple[A, A] = _per_token_group_quant_fp8_packed(
        x,
        group_size,
        dtype,
        layout,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def per_token_group_quant_int8(
    x: A,
    *,
    group_size: int = 128,
    layout: Literal["row", "col", "col_aligned4"] = "row",
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A]:
    """Quantizes each group of a row with a scale of its own: a = max(amax, amax_floor), scale = a / 127, q = clamp(x / scale), rounded to f32 and then to nearest even.

    A NaN makes its group's scale NaN and its codes 0. layout "col_aligned4": columns of scales are
        a multiple of 4 rows apart. amax_floor is 1e-10 in the group quantizers of SGLang, 1e-7 in
        its CPU per-token quantizer, and 127 * 2^-23 in vLLM's, whose scales are at least 2^-23.

    Args:
        x: F[..., C].
        group_size: int, one of 16, 32, 64, 128.
        layout: str, one of row, col, col_aligned4.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2.
    """
    results: tuple[A, A] = _per_token_group_quant_int8(x, group_size, layout, amax_floor, out)
    return results


def per_token_quant_fp8(
    x: A,
    *,
    dtype: DType = "e4m3fn",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """Quantizes each row with a scale of its own: a = max(amax, amax_floor), scale = a / fp8_max, q = clamp(x / scale), rounded to f32 and then to nearest even.

    A NaN makes its row's scale and codes NaN. amax_floor is 1e-10 in the group quantizers of
        SGLang and vLLM, 1e-4 in SGLang's act_quant, and 2^-9 in vLLM's per-token quantizers, whose
        scales are at least 1 / (448 * 512).

    Args:
        x: F[..., C].
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Micikevicius et al. 2022, arXiv:2209.05433, section 3.
    """
    results: tuple[A, A] = _per_token_quant_fp8(x, dtype, amax_floor, fp8_max, out)
    return results


def per_token_quant_int8(x: A, *, amax_floor: float = 1e-10, out: Any = None) -> tuple[A, A]:
    """Quantizes each row with a scale of its own: a = max(amax, amax_floor), scale = a / 127, q = clamp(x / scale), rounded to f32 and then to nearest even.

    A NaN makes its row's scale NaN and its codes 0. amax_floor is 1e-10 in the group quantizers of
        SGLang, 1e-7 in its CPU per-token quantizer, and 127 * 2^-23 in vLLM's, whose scales are at
        least 2^-23.

    Args:
        x: F[..., C].
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Micikevicius et al. 2022, arXiv:2209.05433, section 3.
    """
    results: tuple[A, A] = _per_token_quant_int8(x, amax_floor, out)
    return results


def reshape(x: A, *, shape: Sequence[int]) -> A:
    """The same elements in the same order under another shape, in the same memory.

    One size may be -1, which is inferred; 0 keeps the operand's dimension at that place.

    Args:
        x: A, any shape.
        shape: ints.

    Returns:
        y: A, any shape.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.
    """
    results: A = _reshape(x, shape)
    return results


def rms_norm(x: A, weight: A | None = None, *, eps: float = 1e-06, out: Any = None) -> A:
    """Scales each row to a root mean square of one, then by weight: y = (x * (1 / sqrt(mean(x^2) + eps))) * weight, in f32 with one rounding at the end.

    Args:
        x: F[..., C].
        weight: F[C] (optional).
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., C]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.
    """
    results: A = _rms_norm(x, weight, eps, out)
    return results


def rms_norm_group_quant_fp8(
    x: A,
    weight: A,
    *,
    eps: float = 1e-06,
    group_size: int = 128,
    dtype: DType = "e4m3fn",
    layout: Literal["row", "col", "col_aligned4"] = "row",
    scale_format: Literal["float", "ue8m0"] = "float",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """rms_norm, then per_token_group_quant_fp8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        group_size: int, one of 16, 32, 64, 128.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        layout: str, one of row, col, col_aligned4.
        scale_format: str, one of float, ue8m0.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        y = rms_norm(x, weight, eps=eps)
        q, scales = per_token_group_quant_fp8(y, group_size=group_size, dtype=dtype, layout=layout, scale_format=scale_format, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales
    """
    results: tuple[A, A] = _rms_norm_group_quant_fp8(
        x,
        weight,
        eps,
        group_size,
        dtype,
        layout,
        scale_format,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def rms_norm_group_quant_int8(
    x: A,
    weight: A,
    *,
    eps: float = 1e-06,
    group_size: int = 128,
    layout: Literal["row", "col", "col_aligned4"] = "row",
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A]:
    """rms_norm, then per_token_group_quant_int8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        group_size: int, one of 16, 32, 64, 128.
        layout: str, one of row, col, col_aligned4.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., C/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        y = rms_norm(x, weight, eps=eps)
        q, scales = per_token_group_quant_int8(y, group_size=group_size, layout=layout, amax_floor=amax_floor)
        return q, scales
    """
    results: tuple[A, A] = _rms_norm_group_quant_int8(
        x,
        weight,
        eps,
        group_size,
        layout,
        amax_floor,
        out,
    )
    return results


def rms_norm_hf(x: A, weight: A, *, eps: float = 1e-06, out: Any = None) -> A:
    """rms_norm in the rounding order of Hugging Face transformers: the scaled row is rounded to its dtype before it is multiplied by weight.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., C]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; transformers, LlamaRMSNorm.

    Equals, bit for bit::

        scaled = rms_norm(x, eps=eps)
        y = mul(scaled, none, weight)
        return y
    """
    results: A = _rms_norm_hf(x, weight, eps, out)
    return results


def rms_norm_per_token_quant_fp8(
    x: A,
    weight: A,
    *,
    eps: float = 1e-06,
    dtype: DType = "e4m3fn",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """rms_norm, then per_token_quant_fp8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        y = rms_norm(x, weight, eps=eps)
        q, scales = per_token_quant_fp8(y, dtype=dtype, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales
    """
    results: tuple[A, A] = _rms_norm_per_token_quant_fp8(
        x,
        weight,
        eps,
        dtype,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def rms_norm_per_token_quant_int8(
    x: A,
    weight: A,
    *,
    eps: float = 1e-06,
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A]:
    """rms_norm, then per_token_quant_int8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        eps: float >= 0.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        y = rms_norm(x, weight, eps=eps)
        q, scales = per_token_quant_int8(y, amax_floor=amax_floor)
        return q, scales
    """
    results: tuple[A, A] = _rms_norm_per_token_quant_int8(x, weight, eps, amax_floor, out)
    return results


def rms_norm_rotary_embedding(
    x: A,
    weight: A,
    positions: A,
    cos_sin: A,
    *,
    eps: float = 1e-06,
    style: Literal["neox", "interleaved"] = "neox",
    out: Any = None,
) -> A:
    """rms_norm of each head, then rotary_embedding: what queries and keys go through in Qwen 3 and Gemma 3.

    Args:
        x: F[..., H, D].
        weight: F[D].
        positions: I[...]; values below P.
        cos_sin: F2[P, 2*R].
        eps: float >= 0.
        style: str, one of neox, interleaved.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., H, D]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError, RangeError: an argument that does not fit, before a
            write.

    Source: Henry et al. 2020, arXiv:2010.04245; Su et al. 2021, arXiv:2104.09864, eq. 34.

    Equals, bit for bit::

        n = rms_norm(x, weight, eps=eps)
        y = rotary_embedding(n, positions, cos_sin, style=style)
        return y
    """
    results: A = _rms_norm_rotary_embedding(x, weight, positions, cos_sin, eps, style, out)
    return results


def rms_norm_static_quant_fp8(
    x: A,
    weight: A,
    scale: A,
    *,
    eps: float = 1e-06,
    dtype: DType = "e4m3fn",
    fp8_max: float | None = None,
    out: Any = None,
) -> A:
    """rms_norm, then static_quant_fp8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        scale: f32[1].
        eps: float >= 0.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        y = rms_norm(x, weight, eps=eps)
        q = static_quant_fp8(y, scale, dtype=dtype, fp8_max=fp8_max)
        return q
    """
    results: A = _rms_norm_static_quant_fp8(x, weight, scale, eps, dtype, fp8_max, out)
    return results


def rms_norm_static_quant_int8(
    x: A,
    weight: A,
    scale: A,
    *,
    eps: float = 1e-06,
    out: Any = None,
) -> A:
    """rms_norm, then static_quant_int8 of its result.

    Args:
        x: F[..., C].
        weight: F[C].
        scale: f32[1].
        eps: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.

    Equals, bit for bit::

        y = rms_norm(x, weight, eps=eps)
        q = static_quant_int8(y, scale)
        return q
    """
    results: A = _rms_norm_static_quant_int8(x, weight, scale, eps, out)
    return results


def rotary_embedding(
    x: A,
    positions: A,
    cos_sin: A,
    *,
    style: Literal["neox", "interleaved"] = "neox",
    out: Any = None,
) -> A:
    """Rotates the first 2*R elements of each head by the angles of its row's position.

    A row of cos_sin is R cosines and then R sines; partners are (i, i + R) in style neox and (2i,
        2i + 1) in style interleaved. The other elements of a head pass through.

    Args:
        x: F[..., H, D].
        positions: I[...]; values below P.
        cos_sin: F2[P, 2*R].
        style: str, one of neox, interleaved.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., H, D]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError, RangeError: an argument that does not fit, before a
            write.

    Source: Su et al. 2021, arXiv:2104.09864, eq. 34.
    """
    results: A = _rotary_embedding(x, positions, cos_sin, style, out)
    return results


def rotary_embedding_kv_cache_update(
    k: A,
    v: A,
    positions: A,
    cos_sin: A,
    slots: A,
    k_cache: A,
    v_cache: A,
    *,
    style: Literal["neox", "interleaved"] = "neox",
    out: Any = None,
) -> tuple[A, A]:
    """rotary_embedding of new keys, then kv_cache_update with them and their values.

    Args:
        k: F[..., N, D].
        v: F[..., N, E].
        positions: I[...]; values below L.
        cos_sin: F2[L, 2*R].
        slots: i64[...]; negative: skipped; else below B*P.
        k_cache: F[B, P, N, D].
        v_cache: F[B, P, N, E].
        style: str, one of neox, interleaved.
        out: results to write, in place of fresh ones.

    Returns:
        k_cache: F[B, P, N, D]; out may be k_cache's own memory.
        v_cache: F[B, P, N, E]; out may be v_cache's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError, RangeError: an argument that does not fit, before a
            write.

    Source: Su et al. 2021, arXiv:2104.09864, eq. 34; Kwon et al. 2023, arXiv:2309.06180.

    Equals, bit for bit::

        rotated = rotary_embedding(k, positions, cos_sin, style=style)
        keys, vals = kv_cache_update(rotated, v, slots, k_cache, v_cache)
        return keys, vals
    """
    results: tuple[A, A] = _rotary_embedding_kv_cache_update(
        k,
        v,
        positions,
        cos_sin,
        slots,
        k_cache,
        v_cache,
        style,
        out,
    )
    return results


def silu_and_mul(x: A, *, limit: float | None = None, out: Any = None) -> A:
    """silu(first half of the row) * second half, in f32 with one rounding; silu(-inf) = -0.

    With a limit the first half is taken at most limit, the second within +-limit.

    Args:
        x: F[..., 2*D].
        limit: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., D].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU).
    """
    results: A = _silu_and_mul(x, limit, out)
    return results


def silu_and_mul_group_quant_fp8(
    x: A,
    *,
    group_size: int = 128,
    dtype: DType = "e4m3fn",
    layout: Literal["row", "col", "col_aligned4"] = "row",
    scale_format: Literal["float", "ue8m0"] = "float",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """silu_and_mul, then per_token_group_quant_fp8 of its result.

    Args:
        x: F[..., 2*D].
        group_size: int, one of 16, 32, 64, 128.
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        layout: str, one of row, col, col_aligned4.
        scale_format: str, one of float, ue8m0.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., D].
        scales: f32[..., D/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = silu_and_mul(x)
        q, scales = per_token_group_quant_fp8(y, group_size=group_size, dtype=dtype, layout=layout, scale_format=scale_format, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales
    """
    results: tuple[A, A] = _silu_and_mul_group_quant_fp8(
        x,
        group_size,
        dtype,
        layout,
        scale_format,
        amax_floor,
        fp8_max,
        out,
    )
    return results


def silu_and_mul_group_quant_int8(
    x: A,
    *,
    group_size: int = 128,
    layout: Literal["row", "col", "col_aligned4"] = "row",
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A]:
    """silu_and_mul, then per_token_group_quant_int8 of its result.

    Args:
        x: F[..., 2*D].
        group_size: int, one of 16, 32, 64, 128.
        layout: str, one of row, col, col_aligned4.
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., D].
        scales: f32[..., D/group_size], stored column by column if layout says so.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = silu_and_mul(x)
        q, scales = per_token_group_quant_int8(y, group_size=group_size, layout=layout, amax_floor=amax_floor)
        return q, scales
    """
    results: tuple[A, A] = _silu_and_mul_group_quant_int8(x, group_size, layout, amax_floor, out)
    return results


def silu_and_mul_per_token_quant_fp8(
    x: A,
    *,
    dtype: DType = "e4m3fn",
    amax_floor: float = 1e-10,
    fp8_max: float | None = None,
    out: Any = None,
) -> tuple[A, A]:
    """silu_and_mul, then per_token_quant_fp8 of its result.

    Args:
        x: F[..., 2*D].
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        amax_floor: float >= 1e-30.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., D].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = silu_and_mul(x)
        q, scales = per_token_quant_fp8(y, dtype=dtype, amax_floor=amax_floor, fp8_max=fp8_max)
        return q, scales
    """
    results: tuple[A, A] = _silu_and_mul_per_token_quant_fp8(x, dtype, amax_floor, fp8_max, out)
    return results


def silu_and_mul_per_token_quant_int8(
    x: A,
    *,
    amax_floor: float = 1e-10,
    out: Any = None,
) -> tuple[A, A]:
    """silu_and_mul, then per_token_quant_int8 of its result.

    Args:
        x: F[..., 2*D].
        amax_floor: float >= 1e-30.
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., D].
        scales: f32[..., 1].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = silu_and_mul(x)
        q, scales = per_token_quant_int8(y, amax_floor=amax_floor)
        return q, scales
    """
    results: tuple[A, A] = _silu_and_mul_per_token_quant_int8(x, amax_floor, out)
    return results


def silu_and_mul_static_quant_fp8(
    x: A,
    scale: A,
    *,
    dtype: DType = "e4m3fn",
    fp8_max: float | None = None,
    out: Any = None,
) -> A:
    """silu_and_mul, then static_quant_fp8 of its result.

    Args:
        x: F[..., 2*D].
        scale: f32[1].
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., D].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = silu_and_mul(x)
        q = static_quant_fp8(y, scale, dtype=dtype, fp8_max=fp8_max)
        return q
    """
    results: A = _silu_and_mul_static_quant_fp8(x, scale, dtype, fp8_max, out)
    return results


def silu_and_mul_static_quant_int8(x: A, scale: A, *, out: Any = None) -> A:
    """silu_and_mul, then static_quant_int8 of its result.

    Args:
        x: F[..., 2*D].
        scale: f32[1].
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., D].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it.

    Equals, bit for bit::

        y = silu_and_mul(x)
        q = static_quant_int8(y, scale)
        return q
    """
    results: A = _silu_and_mul_static_quant_int8(x, scale, out)
    return results


def slice(x: A, *, dim: int = -1, start: int = 0, stop: int) -> A:
    """Elements start to stop (exclusive) of one dimension, in the same memory.

    Args:
        x: A, any shape.
        dim: int.
        start: int.
        stop: int.

    Returns:
        y: A, any shape.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.
    """
    results: A = _slice(x, dim, start, stop)
    return results


def softmax(x: A, *, out: Any = None) -> A:
    """e^(x - max(x)) / sum of these over the row, in f32 with one rounding.

    Args:
        x: F[..., C].
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., C]; out may be x's own memory.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Milakov and Gimelshein 2018, arXiv:1805.02867, algorithm 2.
    """
    results: A = _softmax(x, out)
    return results


def static_quant_fp8(
    x: A,
    scale: A,
    *,
    dtype: DType = "e4m3fn",
    fp8_max: float | None = None,
    out: Any = None,
) -> A:
    """Quantizes with one given scale: q = clamp(x / scale), rounded to f32 and then to nearest even.

    fp8_max is 448 for e4m3fn, 224 for e4m3fnuz and 57344 for e5m2 unless given. NaN stays NaN.

    Args:
        x: F[..., C].
        scale: f32[1].
        dtype: dtype, one of e4m3fn, e4m3fnuz, e5m2.
        fp8_max: float in the range of dtype.
        out: results to write, in place of fresh ones.

    Returns:
        q: dtype[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Micikevicius et al. 2022, arXiv:2209.05433, section 3.
    """
    results: A = _static_quant_fp8(x, scale, dtype, fp8_max, out)
    return results


def static_quant_int8(x: A, scale: A, *, out: Any = None) -> A:
    """Quantizes with one given scale: q = clamp(x / scale), rounded to f32 and then to nearest even.

    q lies within -128 and 127, and is 0 for a NaN.

    Args:
        x: F[..., C].
        scale: f32[1].
        out: results to write, in place of fresh ones.

    Returns:
        q: i8[..., C].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Micikevicius et al. 2022, arXiv:2209.05433, section 3.
    """
    results: A = _static_quant_int8(x, scale, out)
    return results


def swiglu_oai_and_mul(x: A, *, alpha: float = 1.702, limit: float = 7.0, out: Any = None) -> A:
    """The gate of gpt-oss.

    A row holds gate and up in turns, in its even and odd columns; y = gate * sigmoid(alpha * gate)
        * (up + 1) with gate at most limit and up within +-limit, in f32 with one rounding.

    Args:
        x: F[..., 2*D].
        alpha: float >= 0.
        limit: float >= 0.
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., D].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: OpenAI 2025, gpt-oss model card, arXiv:2508.10925; gpt_oss/torch/model.py, swiglu.
    """
    results: A = _swiglu_oai_and_mul(x, alpha, limit, out)
    return results


def top_k_sampling_from_logits(
    logits: A,
    seeds: A,
    top_k: A,
    temperature: A | None = None,
    draws: A | None = None,
    *,
    out: Any = None,
) -> A:
    """Draws one token a row.

    top_k leaves the top_k largest logits, of equal ones those of lower index; below 1 it leaves
        all. A token is drawn with probability w / sum of w of the tokens left, w = e^((logit -
        largest) / temperature) in f32, each w counted as floor(2^30 w), so that sums are exact in
        any order: the first, by index, at which the running sum exceeds floor(sum * random /
        2^64). random is word 1, then word 0 of Philox4x32-10 with the seed as key and the row's
        number in draws (0 unless given) as counter, low words first. Rows whose largest logit is
        no finite number, or whose temperature is no positive finite one (0, say), give
        greedy_sample's token. The token of a row depends on its own operands alone.

    Args:
        logits: F[..., V].
        seeds: u64[...].
        top_k: i32[...].
        temperature: f32[...] (optional).
        draws: u64[...] (optional).
        out: results to write, in place of fresh ones.

    Returns:
        tokens: i32[...].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Fan et al. 2018, arXiv:1805.04833, section 5.1 (top-k); Holtzman et al. 2019,
        arXiv:1904.09751, section 3.1 (top-p); Salmon et al. 2011, doi:10.1145/2063384.2063405
        (Philox).
    """
    results: A = _top_k_sampling_from_logits(logits, seeds, top_k, temperature, draws, out)
    return results


def top_k_top_p_sampling_from_logits(
    logits: A,
    seeds: A,
    top_k: A,
    top_p: A,
    temperature: A | None = None,
    draws: A | None = None,
    *,
    out: Any = None,
) -> A:
    """Draws one token a row.

    top_k leaves the top_k largest logits, of equal ones those of lower index; below 1 it leaves
        all. top_p leaves the fewest most likely tokens whose sum of w is at least ceil(top_p * the
        sum before), of equal ones those of lower index, and one at least; 1 and above leave all,
        below 0 and NaN count as 0. A token is drawn with probability w / sum of w of the tokens
        left, w = e^((logit - largest) / temperature) in f32, each w counted as floor(2^30 w), so
        that sums are exact in any order: the first, by index, at which the running sum exceeds
        floor(sum * random / 2^64). random is word 1, then word 0 of Philox4x32-10 with the seed as
        key and the row's number in draws (0 unless given) as counter, low words first. Rows whose
        largest logit is no finite number, or whose temperature is no positive finite one (0, say),
        give greedy_sample's token. The token of a row depends on its own operands alone.

    Args:
        logits: F[..., V].
        seeds: u64[...].
        top_k: i32[...].
        top_p: f32[...].
        temperature: f32[...] (optional).
        draws: u64[...] (optional).
        out: results to write, in place of fresh ones.

    Returns:
        tokens: i32[...].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Fan et al. 2018, arXiv:1805.04833, section 5.1 (top-k); Holtzman et al. 2019,
        arXiv:1904.09751, section 3.1 (top-p); Salmon et al. 2011, doi:10.1145/2063384.2063405
        (Philox).
    """
    results: A = _top_k_top_p_sampling_from_logits(
        logits,
        seeds,
        top_k,
        top_p,
        temperature,
        draws,
        out,
    )
    return results


def top_p_sampling_from_logits(
    logits: A,
    seeds: A,
    top_p: A,
    temperature: A | None = None,
    draws: A | None = None,
    *,
    out: Any = None,
) -> A:
    """Draws one token a row.

    top_p leaves the fewest most likely tokens whose sum of w is at least ceil(top_p * the sum
        before), of equal ones those of lower index, and one at least; 1 and above leave all, below
        0 and NaN count as 0. A token is drawn with probability w / sum of w of the tokens left, w
        = e^((logit - largest) / temperature) in f32, each w counted as floor(2^30 w), so that sums
        are exact in any order: the first, by index, at which the running sum exceeds floor(sum *
        random / 2^64). random is word 1, then word 0 of Philox4x32-10 with the seed as key and the
        row's number in draws (0 unless given) as counter, low words first. Rows whose largest
        logit is no finite number, or whose temperature is no positive finite one (0, say), give
        greedy_sample's token. The token of a row depends on its own operands alone.

    Args:
        logits: F[..., V].
        seeds: u64[...].
        top_p: f32[...].
        temperature: f32[...] (optional).
        draws: u64[...] (optional).
        out: results to write, in place of fresh ones.

    Returns:
        tokens: i32[...].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Fan et al. 2018, arXiv:1805.04833, section 5.1 (top-k); Holtzman et al. 2019,
        arXiv:1904.09751, section 3.1 (top-p); Salmon et al. 2011, doi:10.1145/2063384.2063405
        (Philox).
    """
    results: A = _top_p_sampling_from_logits(logits, seeds, top_p, temperature, draws, out)
    return results


def topk(x: A, *, k: int, out: Any = None) -> tuple[A, A]:
    """The k largest elements of each row and their indices, larger ones first.

    Of equal ones, as zeros of either sign are, the lower index comes first; NaN counts as larger
        than every number.

    Args:
        x: F[..., V].
        k: int >= 1.
        out: results to write, in place of fresh ones.

    Returns:
        values: F[..., k].
        indices: i32[..., k].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: Knuth 1998, The Art of Computer Programming 3, section 5.3.3 (selection).
    """
    results: tuple[A, A] = _topk(x, k, out)
    return results


def transpose(x: A, *, dims: Sequence[int]) -> A:
    """The dimensions in another order, in the same memory: result dimension i is operand dimension dims[i].

    Args:
        x: A, any shape.
        dims: ints.

    Returns:
        y: A, any shape.

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.
    """
    results: A = _transpose(x, dims)
    return results


def w8a16_block_fp8_matmul(
    x: A,
    w: A | PackedWeight,
    w_scale: A,
    bias: A | None = None,
    *,
    out: Any = None,
) -> A:
    """Multiplies rows by the transpose of quantized weights with a scale for every 128 x 128 of them: block_scaled_matmul for rows that are not quantized.

    y[n] = round(sum over blocks b of k of (sum over k in b of x[k] * w[n, k]) * w_scale[n/128, b]
        + bias[n]): in a block one chain of f32 fused multiply-adds, k ascending, then one with the
        scale. A row has the same bits alone and in any batch. The sum is off by at most n * 2^-24
        / (1 - n * 2^-24), n = 128 + ceil(K/128) (2n without fused ones), times the sum of the
        magnitudes of x * w * scale. w may be packed (fusible.pack_weight): the same bits, sooner.

    Args:
        x: F[..., K].
        w: Q8[N, K].
        w_scale: f32[ceil(N/128), ceil(K/128)].
        bias: f32[N] (optional).
        out: results to write, in place of fresh ones.

    Returns:
        y: F[..., N].

    Raises:
        ShapeError, DTypeError, ArgumentError: an argument that does not fit, before a write.

    Source: DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2 (the scales of weights).
    """
    results: A = _w8a16_block_fp8_matmul(x, w, w_scale, bias, out)
    return results
