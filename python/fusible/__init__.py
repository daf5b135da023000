"""fusible: operators, fusion and a native executor for LLM inference.

Names load on first use, so that ``import fusible`` costs little more than ``import numpy``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusible import ops, rules
    from fusible._core import (
        ArgumentError,
        DTypeError,
        Error,
        Graph,
        GraphError,
        Key,
        PassError,
        RangeError,
        ShapeError,
        UnsupportedError,
    )
    from fusible.bisect import Bisection, bisect
    from fusible.cache import CompileCache
    from fusible.compile import Executable, Profile, compile
    from fusible.graph import Spec, Value, opaque, spec, trace
    from fusible.information import info
    from fusible.memory import Pool, pool
    from fusible.packed import PackedWeight, pack_weight
    from fusible.passes import Choice, Miss, PassManager, Result, Rewrite, optimize
    from fusible.pieces import Piece, Pieces, split_at
    from fusible.targets import Target, load_target
    from fusible.targets import names as targets

_HOMES = {
    "ArgumentError": "_core",
    "Bisection": "bisect",
    "Choice": "passes",
    "CompileCache": "cache",
    "DTypeError": "_core",
    "Error": "_core",
    "Executable": "compile",
    "Graph": "_core",
    "GraphError": "_core",
    "Key": "_core",
    "Miss": "passes",
    "PackedWeight": "packed",
    "PassError": "_core",
    "PassManager": "passes",
    "Piece": "pieces",
    "Pieces": "pieces",
    "Pool": "memory",
    "Profile": "compile",
    "RangeError": "_core",
    "Result": "passes",
    "Rewrite": "passes",
    "ShapeError": "_core",
    "Spec": "graph",
    "Target": "targets",
    "UnsupportedError": "_core",
    "Value": "graph",
    "bisect": "bisect",
    "compile": "compile",
    "info": "information",
    "load_target": "targets",
    "opaque": "graph",
    "optimize": "passes",
    "pack_weight": "packed",
    "pool": "memory",
    "spec": "graph",
    "split_at": "pieces",
    "targets": "targets",
    "trace": "graph",
}

__all__ = [
    "ArgumentError",
    "Bisection",
    "Choice",
    "CompileCache",
    "DTypeError",
    "Error",
    "Executable",
    "Graph",
    "GraphError",
    "Key",
    "Miss",
    "PackedWeight",
    "PassError",
    "PassManager",
    "Piece",
    "Pieces",
    "Pool",
    "Profile",
    "RangeError",
    "Result",
    "Rewrite",
    "ShapeError",
    "Spec",
    "Target",
    "UnsupportedError",
    "Value",
    "bisect",
    "compile",
    "info",
    "load_target",
    "opaque",
    "ops",
    "optimize",
    "pack_weight",
    "pool",
    "rules",
    "spec",
    "split_at",
    "targets",
    "trace",
]


class _Package(ModuleType):
    """Keeps `compile`, `targets`, … the functions that they are, once modules of that name load."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in ("ops", "rules"):
        return import_module(f"fusible.{name}")
    if name == "__version__":
        return import_module("fusible._core").version
    if name not in _HOMES:
        raise AttributeError(f"module 'fusible' has no attribute '{name}'")
    module = import_module(f"fusible.{_HOMES[name]}")
    value = getattr(module, "names" if name == "targets" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
