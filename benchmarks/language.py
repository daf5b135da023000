"""One language model in several programs: a text read at once, and tokens written one by one.

Each program reads the same GGUF file, starts from an empty cache, and gives the logits behind the
last token only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

import fusible
from fusible.demo.measure import Pair, work_of
from fusible.models import Decoder, Format
from fusible.models.generate import Session
from fusible.models.weights import load, quantize, read_weights

Array = np.ndarray[Any, np.dtype[Any]]


class Program(Protocol):
    """A model that is loaded, and the tokens in its cache."""

    weight_bytes: int  # read for each token that is written

    def step(self, ids: Sequence[int]) -> Array:
        """Logits [vocab] behind the last of the ids, which come behind those in the cache."""

    def cut(self, length: int) -> None:
        """Leaves the first `length` tokens in the cache."""


class Fusible:
    """Ours, in bf16 or with weights in fp8."""

    def __init__(
        self, path: Path, capacity: int, *, quantization: Literal["none", "fp8"] = "none"
    ) -> None:
        source = load(path)
        plain = Decoder(config=source.config)
        weights = dict(read_weights(plain, source))
        model = dataclasses.replace(plain, form=Format(quantization=quantization))
        if quantization != "none":
            weights = dict(quantize(model, weights))
        executable = fusible.compile(model.trace(), weights=weights)
        self.session = Session(model, executable, capacity)
        self._pair = Pair(model, weights, executable, executable)
        self.weight_bytes = sum(
            array.nbytes for name, array in weights.items() if name != "cos_sin"
        )

    def step(self, ids: Sequence[int]) -> Array:
        """As Program has it."""
        logits: Array = self.session.step(ids)[-1]
        return logits

    def cut(self, length: int) -> None:
        """As Program has it."""
        self.session.length = length

    def flops(self, tokens: int) -> float:
        """Of a call with so many new tokens, in products with weights; of the head for the last."""
        return work_of(self._pair, tokens, 0)[1]


class Transformers:
    """Hugging Face's, in one of PyTorch's dtypes."""

    def __init__(self, path: Path, dtype: str) -> None:
        torch, transformers = (importlib.import_module(n) for n in ("torch", "transformers"))
        self.torch, self.cache_type = torch, transformers.DynamicCache
        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar for each part
            self.model = transformers.AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=getattr(torch, dtype)
            ).eval()
        self.cache = self.cache_type()
        self.weight_bytes = sum(p.nbytes for p in self.model.parameters())

    def step(self, ids: Sequence[int]) -> Array:
        """As Program has it."""
        with self.torch.inference_mode():
            found = self.model(
                self.torch.tensor([list(ids)]),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits: Array = found.logits[0, -1].float().numpy()
        return logits

    def cut(self, length: int) -> None:
        """As Program has it."""
        behind = self.cache.get_seq_length() - length
        if length == 0:
            self.cache = self.cache_type()
        elif behind > 0:
            self.cache.crop(-behind)


class LlamaCpp:
    """llama.cpp on the file as it is."""

    def __init__(self, path: Path, capacity: int, threads: int) -> None:
        self.llama = importlib.import_module("llama_cpp").Llama(
            str(path), n_ctx=capacity, n_batch=capacity, n_threads=threads,
            n_threads_batch=threads, verbose=False,
        )  # fmt: skip
        self.weight_bytes = path.stat().st_size

    def step(self, ids: Sequence[int]) -> Array:
        """As Program has it."""
        self.llama.eval(list(ids))
        logits = self.llama._ctx.get_logits()
        return np.array(np.ctypeslib.as_array(logits, shape=(self.llama.n_vocab(),)))

    def cut(self, length: int) -> None:
        """As Program has it; what is behind is dropped when the next token comes."""
        self.llama.n_tokens = length


def programs(path: Path, capacity: int, threads: int) -> Iterator[tuple[str, Program]]:
    """All that are installed, ours first."""
    yield "fusible bf16", Fusible(path, capacity)
    yield "fusible fp8", Fusible(path, capacity, quantization="fp8")
    if find_spec("transformers") and find_spec("torch"):
        yield "transformers bf16", Transformers(path, "bfloat16")
        yield "transformers f32", Transformers(path, "float32")
    if find_spec("llama_cpp"):
        yield "llama.cpp Q4_1", LlamaCpp(path, capacity, threads)


def divergence(logits: Array, other: Array) -> float:
    """Kullback and Leibler's, in nats, of the distribution `other` from that of `logits`."""
    ours, theirs = (row - np.logaddexp.reduce(row) for row in (logits, other.astype(np.float64)))
    return float(np.sum(np.exp(ours) * (ours - theirs)))


def apart(running: Mapping[str, Program], ids: Sequence[int]) -> dict[str, float]:
    """The divergence of each program's prediction behind the ids from the first one's."""
    found: dict[str, Array] = {}
    for name, program in running.items():
        program.cut(0)
        found[name] = program.step(ids).astype(np.float64)
    first = next(iter(found.values()))
    return {name: divergence(first, logits) for name, logits in found.items()}


def reading(program: Program, ids: Sequence[int]) -> Callable[[], object]:
    """All the ids at once into an empty cache."""

    def read() -> object:
        program.cut(0)
        return program.step(ids)

    return read


def writing(program: Program, ids: Sequence[int], tokens: Sequence[int]) -> Callable[[], object]:
    """The tokens one by one behind the ids, which are read before."""
    program.cut(0)
    program.step(ids)

    def write() -> object:
        program.cut(len(ids))
        for token in tokens:
            logits = program.step([token])
        return logits

    return write
