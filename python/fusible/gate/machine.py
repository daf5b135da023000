"""What this machine is, and how fast it is just now.

Two clouds' "same" GPU differ by 60 % (9.65 s and 16.1 s on one model), and one machine differs
from itself by 1.7 in four hours: a stored time decides only where the hard keys are equal and
a fixed piece of work takes as long as it took beside the samples.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusible.gate.baseline import Hard, Machine

if TYPE_CHECKING:
    import numpy as np

# What kernels choose by; a flag that nobody chooses by must not make two machines of one.
_ISA = (
    *("sse4_2", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "bf16", "sve", "sve2", "i8mm"),
)
_LIBRARIES = ("fusible", "numpy", "ml_dtypes", "scipy", "torch", "triton", "sglang", "aiter")
_LIBRARIES_OF_GPUS = ("nvidia-cublas-cu12", "nvidia-cudnn-cu12", "nvidia-nccl-cu12")
_AMD = "0x1002"
CALIBRATION_LIMIT = 0.05  # a machine whose calibration moved by more is not the one it was
_REPEATS = 11


def fingerprint(root: Path = Path("/")) -> Machine:
    """This machine's fingerprint, read from the files of Linux below `root`."""
    return Machine(hard=_hard(root), noted=_noted(root))


def _hard(root: Path) -> Hard:
    cpu = _text(root / "proc/cpuinfo")
    flags = set(_field(cpu, "flags|Features").split())
    return Hard(
        cpu=_field(cpu, "model name|Hardware|cpu model") or platform.machine(),
        isa=[name for name in _ISA if name in flags],
        cores=_cores(root),
        memory_gib=_memory_gib(root),
        gpus=_gpus(root),
    )


def _field(text: str, key: str) -> str:
    found = re.search(rf"^(?:{key})[ \t]*:[ \t]*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _text(path: Path) -> str:
    """The text of a small file, nothing where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def _cores(root: Path) -> int:
    """How many cores this process may use: its affinity, or its cgroup's quota if that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota, _, period = _text(root / "sys/fs/cgroup/cpu.max").strip().partition(" ")
    if quota.isdecimal() and period.isdecimal() and int(period) > 0:
        return max(1, min(cores or 1, -(-int(quota) // int(period))))
    return max(1, cores or 1)


def _memory_gib(root: Path) -> int:
    kib = _field(_text(root / "proc/meminfo"), "MemTotal").partition(" ")[0]
    return round(int(kib) / 2**20) if kib.isdecimal() else 0


def _gpus(root: Path) -> list[str]:
    """The GPUs' models, from files: asking a driver's library would disturb what is timed."""
    nvidia = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    found = [_field(_text(path), "Model") for path in nvidia]
    for card in sorted((root / "sys/class/drm").glob("renderD*")):
        if _text(card / "device" / "vendor").strip() == _AMD:
            found.append(f"amd {_text(card / 'device' / 'device').strip()}")
    return [name for name in found if name]


def _noted(root: Path) -> dict[str, str]:
    governor = root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    nvidia = re.search(
        r"Kernel Module.*?(\d+\.\d[\d.]*)", _text(root / "proc/driver/nvidia/version")
    )
    told = {
        "kernel": platform.release(),
        "governor": _text(governor).strip(),
        "driver": nvidia[1] if nvidia else _text(root / "sys/module/amdgpu/version").strip(),
        "python": platform.python_version(),
    }
    for library in (*_LIBRARIES, *_LIBRARIES_OF_GPUS):
        told[library] = _version(library)
    return {key: value for key, value in told.items() if value}


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


def calibrate(repeats: int = _REPEATS) -> float:
    """Milliseconds of a fixed piece of work: the median of `repeats`, after one that warms up.

    Half of it is Python's interpreter (branches, allocations), half is NumPy over 4 MiB (vector
    units, memory); one thread, so that a library's pool of threads doesn't speak for the core.
    """
    import numpy as np

    values = np.linspace(0.0, 1.0, 1 << 19)
    _work(values)
    times = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        _work(values)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return statistics.median(times)


def moved(drift: float) -> bool:
    """Whether a machine whose calibration takes `drift` times as long isn't the one it was."""
    return abs(drift - 1) > CALIBRATION_LIMIT


def _work(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    state, seen = 1, {}
    for step in range(40_000):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        seen[state & 1023] = step
    total = float(len(seen))
    for _ in range(6):
        total += float((values * values + total).sum())
    return total


def differing(ours: Machine, theirs: Machine) -> tuple[list[str], list[str]]:
    """The hard and the noted keys that two machines differ in, each as `key: theirs -> ours`."""
    hard = _changes(theirs.hard.model_dump(), ours.hard.model_dump())
    return hard, _changes(theirs.noted, ours.noted)


def _changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    keys = sorted({*old, *new})
    return [
        f"{k}: {old.get(k, 'none')} -> {new.get(k, 'none')}"
        for k in keys
        if old.get(k) != new.get(k)
    ]
