"""What this build of fusible is, and what it runs on."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from fusible import _core

_OPTIONAL = {
    "gguf": "models",
    "safetensors": "models",
    "tokenizers": "models",
    "pytest": "suite",
    "scipy": "gate",
    "pydantic": "gate",
    "torch": "torch",
}


def info() -> dict[str, Any]:
    """Version, build id, instruction sets, threads, and which optional packages are there.

    Returns:
        ``{version, build_id, isa: {compiled, present, chosen}, threads, optional: {name: bool}}``.
        ``FUSIBLE_ISA`` forces an instruction set, ``FUSIBLE_THREADS`` the number of threads.
    """
    return {
        "version": _core.version,
        "build_id": _core.build_id,
        "isa": {
            "compiled": _core.compiled_isas(),
            "present": _core.present_isas(),
            "chosen": _core.chosen_isa(),
        },
        "threads": _core.thread_count(),
        "optional": {name: find_spec(name) is not None for name in _OPTIONAL},
    }
