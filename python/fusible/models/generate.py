"""Runs a decoder over a paged cache: token by token, and over whole texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fusible
from fusible.models.config import BLOCK
from fusible.models.decoder import Decoder
from fusible.models.weights import DTYPES

Array = NDArray[Any]


def paging(lengths: Sequence[int], new: Sequence[int], table: Array) -> dict[str, Array]:
    """What a call needs to know of its sequences.

    `new[s]` tokens come behind the `lengths[s]` that the cache holds; `table` [S, M] int32 names
    the blocks of each sequence. Returns positions and slots [T], block_table, query_start [S+1] and
    lengths [S], of which the last counts the new tokens too.
    """
    spans = [np.arange(old, old + more) for old, more in zip(lengths, new, strict=True)]
    rows = [table[s][span // BLOCK] * BLOCK + span % BLOCK for s, span in enumerate(spans)]
    total = [old + more for old, more in zip(lengths, new, strict=True)]
    return {
        "positions": np.concatenate(spans).astype(np.int64),
        "slots": np.concatenate(rows).astype(np.int64),
        "block_table": np.ascontiguousarray(table, dtype=np.int32),
        "query_start": np.cumsum([0, *new]).astype(np.int32),
        "lengths": np.array(total, np.int32),
    }


def empty_caches(decoder: Decoder, blocks: int) -> dict[str, Array]:
    """Zeroed caches of all layers by name, [blocks, 16, kv_heads, head_size]."""
    c = decoder.config
    shape = (blocks, BLOCK, c.kv_heads, c.head_size)
    dtype = DTYPES[decoder.form.dtype]
    layers = [
        f"layers.{layer}.{name}"
        for layer in range(decoder.depth)
        for name in ("k_cache", "v_cache")
    ]
    return {name: np.zeros(shape, dtype) for name in layers}


@dataclasses.dataclass
class Session:
    """One sequence in progress: an executable of the decoder's graph, and the cache that it fills.

    Prefill and decode are calls of the same executable with other sizes. `capacity` is the number
    of tokens that the cache has room for.
    """

    decoder: Decoder
    executable: fusible.Executable
    capacity: int

    def __post_init__(self) -> None:
        if self.capacity > self.decoder.context:
            want = f"at most {self.decoder.context}"
            raise ValueError(f"Session: capacity: expected {want}, got {self.capacity}")
        blocks = -(-self.capacity // BLOCK)
        self.table = np.arange(blocks, dtype=np.int32)[None]
        self.caches = empty_caches(self.decoder, blocks)
        self.length = 0

    def step(self, ids: Sequence[int], *, every_row: bool = False) -> Array:
        """Logits f32 [1, vocab] behind the last of the ids, or [len(ids), vocab] behind each.

        Raises ValueError where the cache is full.
        """
        inputs = self.inputs(ids, every_row=every_row)
        logits, *caches = self.executable(**inputs)
        self.caches = dict(zip(self.caches, caches, strict=True))
        self.length += len(ids)
        cap = self.decoder.config.final_softcap
        wide: Array = np.asarray(logits).astype(np.float32)
        return cap * np.tanh(wide / cap) if cap else wide

    def inputs(self, ids: Sequence[int], *, every_row: bool = False) -> dict[str, Array]:
        """The arguments of the executable for the next ids; its caches are the session's own."""
        if self.length + len(ids) > self.capacity:
            want, got = f"at most {self.capacity} tokens", self.length + len(ids)
            raise ValueError(f"Session: ids: expected {want}, got {got}")
        last = np.arange(len(ids)) if every_row else np.array([len(ids) - 1])
        call = {"ids": np.array(ids, np.int64), "last": last.astype(np.int64)}
        return call | paging([self.length], [len(ids)], self.table) | self.caches


def greedy(
    session: Session, prompt: Sequence[int], tokens: int, ends: frozenset[int]
) -> Iterator[int]:
    """The most likely continuation, id by id, up to `tokens` of them or to an id in `ends`."""
    ids = list(prompt)
    for _ in range(tokens):
        best = int(np.argmax(session.step(ids)[-1]))
        if best in ends:
            return
        yield best
        ids = [best]


def perplexity(session: Session, ids: Sequence[int]) -> float:
    """Of each id behind those before it: e to the mean negative log-likelihood."""
    logits = session.step(ids[:-1], every_row=True).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[np.arange(len(ids) - 1), list(ids[1:])]
    return float(np.exp(np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen)))
