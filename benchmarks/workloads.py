"""What is measured: operators, their operands at every size, and how they may differ from peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.agreement import ACTIVATION, ADDED_NORM, CODES, NORM, TRUNCATED, Known
from benchmarks.machine import Traffic
from benchmarks.plain_calls import plain_call
from fusible import _core, ops

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES = {"bf16": ml_dtypes.bfloat16, "f16": np.float16, "f32": np.float32}
POSITIONS = 4096  # rows of the table of a rotary embedding
TABLES = {"cos_sin"}  # operands of which a call reads a row a token


@dataclass(frozen=True)
class Size:
    """Tokens by hidden elements."""

    tokens: int
    hidden: int
    dtype: str = "bf16"

    @property
    def group(self) -> int:
        """Elements that share a scale: 128, or 64 where that does not divide (SmolLM2's 576)."""
        return 64 if self.hidden % 128 else 128

    @property
    def head(self) -> int:
        """Elements of an attention head."""
        return self.group

    def __str__(self) -> str:
        return f"{self.tokens}x{self.hidden}"


Maker = Callable[[np.random.Generator, Size], Array]


def _normal(rng: np.random.Generator, size: Size, *shape: int) -> Array:
    return rng.standard_normal(shape, np.float32).astype(DTYPES[size.dtype])


def rows(rng: np.random.Generator, size: Size) -> Array:
    """A row of hidden elements a token."""
    return _normal(rng, size, size.tokens, size.hidden)


def gate_and_up(rng: np.random.Generator, size: Size) -> Array:
    """Two rows of hidden elements a token, side by side."""
    return _normal(rng, size, size.tokens, 2 * size.hidden)


def heads(rng: np.random.Generator, size: Size) -> Array:
    """A token's heads."""
    return _normal(rng, size, size.tokens, size.hidden // size.head, size.head)


def weight(rng: np.random.Generator, size: Size) -> Array:
    """One factor a column, small: what is updated in place over and over must stay finite."""
    return (rng.standard_normal(size.hidden) / 32).astype(DTYPES[size.dtype])


def positions(rng: np.random.Generator, size: Size) -> Array:
    """Where each token stands."""
    return rng.integers(0, POSITIONS, size.tokens)


def cos_sin(_: np.random.Generator, size: Size) -> Array:
    """The table of a rotary embedding over whole heads."""
    frequency = 1e4 ** -(np.arange(0, size.head, 2) / size.head)
    angle = np.arange(POSITIONS)[:, None] * frequency
    return np.concatenate([np.cos(angle), np.sin(angle)], -1).astype(DTYPES[size.dtype])


def scale(_rng: np.random.Generator, _size: Size) -> Array:
    """The scale of a whole tensor of normal values."""
    return np.array([1 / 64], np.float32)


LINE = 64  # bytes, which the allocators of engines align to; NumPy's aligns to 16


def aligned(array: Array) -> Array:
    """A copy that begins where a cache line does."""
    room = np.empty(array.nbytes + LINE, np.uint8)
    begin = -room.ctypes.data % LINE
    copy: Array = room[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@dataclass(frozen=True)
class Workload:
    """An operator on operands of each size; in place where the signature lets it be."""

    op: str
    operands: Mapping[str, Maker]
    known: Known
    in_place: bool = False
    grouped: bool = False

    @property
    def name(self) -> str:
        """What the table and the peers call it."""
        return self.op + (" in place" if self.in_place else "")

    @property
    def missing(self) -> bool:
        """Whether this build lacks the operator."""
        return not hasattr(ops, self.op)

    def known_of(self, peer: str, dtype: str) -> Known:
        """How far a peer's results may lie from ours."""
        return TRUNCATED.get((peer, dtype), self.known)


X, W = {"x": rows}, {"weight": weight}
ADDED = {"x": rows, "residual": rows, "weight": weight}
GATED = {"x": gate_and_up}

WORKLOADS = [
    Workload("rms_norm", X | W, NORM),
    Workload("fused_add_rms_norm", ADDED, ADDED_NORM),
    Workload("fused_add_rms_norm", ADDED, ADDED_NORM, in_place=True),
    Workload("gemma_rms_norm", X | W, NORM),
    Workload("layer_norm", X | W | {"bias": weight}, NORM),
    Workload("silu_and_mul", GATED, ACTIVATION),
    Workload("gelu_tanh_and_mul", GATED, ACTIVATION),
    Workload("gelu_and_mul", GATED, ACTIVATION),
    Workload("per_token_group_quant_fp8", X, CODES, grouped=True),
    Workload("per_token_quant_fp8", X, CODES),
    Workload("static_quant_fp8", X | {"scale": scale}, CODES),
    Workload("rms_norm_group_quant_fp8", X | W, CODES, grouped=True),
    Workload("fused_add_rms_norm_group_quant_fp8", ADDED, CODES, grouped=True),
    Workload("silu_and_mul_group_quant_fp8", GATED, CODES, grouped=True),
    Workload(
        "rotary_embedding",
        {"x": heads, "positions": positions, "cos_sin": cos_sin},
        ACTIVATION,
        in_place=True,
    ),
    Workload("softmax", X, ACTIVATION),
]


def selected(patterns: list[str]) -> Iterator[Workload]:
    """Those whose name one of the patterns matches; all without any."""
    for workload in WORKLOADS:
        if not patterns or any(fnmatch(workload.name, p) for p in patterns):
            yield workload


class Problem:
    """A workload at one size: operands, calls with and without `out=`, and the bytes they move."""

    def __init__(self, workload: Workload, size: Size) -> None:
        self.workload, self.size = workload, size
        rng = np.random.default_rng(1)
        self.operands = {name: aligned(make(rng, size)) for name, make in workload.operands.items()}
        self.attrs = {"group_size": size.group} if workload.grouped else {}
        self._function = getattr(ops, workload.op)
        self.signature: dict[str, Any] = _core.find_op(workload.op).describe()
        self.result: tuple[Array, ...] = self._once()

    @property
    def fused(self) -> bool:
        """Whether the operator stands for others."""
        return bool(self.signature["equals"])

    def copies(self) -> dict[str, Array]:
        """The operands for a call of its own, which may overwrite them."""
        return {name: aligned(array) for name, array in self.operands.items()}

    def _once(self) -> tuple[Array, ...]:
        results = self._function(**self.operands, **self.attrs)
        return results if isinstance(results, tuple) else (results,)

    def allocating(self) -> Callable[[], object]:
        """A call whose results are fresh."""
        return plain_call(self._function, self.operands, self.attrs)

    def given(self) -> Callable[[], object]:
        """A call that writes into memory that it is given: its own operands' if it is in place."""
        operands = self.copies()
        results = [
            operands[name] if name else aligned(result)
            for name, result in zip(self.updated, self.result, strict=True)
        ]
        out = tuple(results) if len(results) > 1 else results[0]
        return plain_call(self._function, operands, self.attrs, out)

    @property
    def updated(self) -> list[str]:
        """The operand whose memory each result takes, or nothing."""
        aliases = [str(result["alias"]) for result in self.signature["results"]]
        return aliases if self.workload.in_place else [""] * len(aliases)

    @property
    def traffic(self) -> Traffic:
        """The bytes that any implementation of this call moves; of a table, a row a token."""
        into = set(self.updated) - {""}
        used = {
            name: a[: self.size.tokens] if name in TABLES else a
            for name, a in self.operands.items()
        }
        return Traffic(
            tuple(a.nbytes for name, a in used.items() if name not in into),
            tuple(r.nbytes for r, u in zip(self.result, self.updated, strict=True) if not u),
            tuple(self.operands[name].nbytes for name in sorted(into)),
        )
