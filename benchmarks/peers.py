"""Providers that are measured beside fusible where they are installed; never dependencies."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Work = Callable[[], object]

GROUP = 128


def to_torch(torch: Any, array: Array) -> Any:
    """A tensor on the array's memory; bf16 goes through its bits."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def torch_add_norm_quant(torch: Any, x: Any, residual: Any, weight: Any) -> Any:
    """The graph of workloads.add_norm_quant in PyTorch's operators."""
    total = x + residual
    y = torch.nn.functional.rms_norm(total, (total.shape[-1],), weight, 1e-6)
    groups = y.float().view(*y.shape[:-1], -1, GROUP)
    scale = groups.abs().amax(-1).clamp(min=1e-10) / 448.0
    q = (groups / scale[..., None]).clamp(-448.0, 448.0).to(torch.float8_e4m3fn)
    return q.view(y.shape), scale, total


def add_norm_quant(x: Array, residual: Array, weight: Array) -> dict[str, Work]:
    """One call of each provider that is installed, on one thread: name -> work."""
    if importlib.util.find_spec("torch") is None:
        return {}
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    arrays = [to_torch(torch, array) for array in (x, residual, weight)]

    def eager() -> Any:
        with torch.no_grad():
            return torch_add_norm_quant(torch, *arrays)

    return {"torch eager": eager}
