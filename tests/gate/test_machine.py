"""The fingerprint of a machine, read from the files of Linux, and its calibration."""

import pytest

from fusible.gate import machine
from fusible.gate.baseline import Hard, Machine

X86 = "model name\t: AMD EPYC\nflags\t\t: fpu sse4_2 avx2 fma avx512f amx_bf16\n"
ARM = "Features\t: fp asimd sve bf16\nCPU part\t: 0xd4f\n"


@pytest.fixture
def root(tmp_path):
    put(tmp_path, "proc/cpuinfo", X86)
    put(tmp_path, "proc/meminfo", "MemTotal:       16315064 kB\nMemFree: 1 kB\n")
    return tmp_path


def put(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_hard_keys(root):
    hard = machine.fingerprint(root).hard
    assert (hard.cpu, hard.memory_gib, hard.gpus) == ("AMD EPYC", 16, [])
    assert hard.isa == ["sse4_2", "avx2", "fma", "avx512f", "amx_bf16"]
    assert hard.cores >= 1


def test_arm(root):
    put(root, "proc/cpuinfo", ARM)
    assert machine.fingerprint(root).hard.isa == ["asimd", "bf16", "sve"]


def test_gpus(root):
    put(
        root,
        "proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t NVIDIA H100\nIRQ: 1\n",
    )
    put(root, "sys/class/drm/renderD128/device/vendor", "0x1002\n")
    put(root, "sys/class/drm/renderD128/device/device", "0x74a1\n")
    put(root, "proc/driver/nvidia/version", "NVRM version: NVIDIA Kernel Module  550.54.15  x\n")
    found = machine.fingerprint(root)
    assert found.hard.gpus == ["NVIDIA H100", "amd 0x74a1"]
    assert found.noted["driver"] == "550.54.15"


def test_a_quota_limits_the_cores(root):
    put(root, "sys/fs/cgroup/cpu.max", "100000 100000\n")
    assert machine.fingerprint(root).hard.cores == 1


def test_noted_keys(root):
    put(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    noted = machine.fingerprint(root).noted
    assert noted["governor"] == "performance"
    assert {"kernel", "python", "numpy"} <= set(noted)


def test_a_machine_without_files_has_a_fingerprint(tmp_path):
    hard = machine.fingerprint(tmp_path).hard
    assert hard.cpu
    assert (hard.isa, hard.memory_gib, hard.gpus) == ([], 0, [])


def test_noted_keys_make_no_other_machine():
    hard = Hard(cpu="x", isa=[], cores=1, memory_gib=1)
    one, two = Machine(hard=hard, noted={"kernel": "1"}), Machine(hard=hard, noted={"kernel": "2"})
    assert one.key == two.key
    assert machine.differing(two, one) == ([], ["kernel: 1 -> 2"])


def test_hard_keys_make_another_machine():
    one, two = (Machine(hard=Hard(cpu="x", isa=[], cores=n, memory_gib=1)) for n in (1, 2))
    assert one.key != two.key
    assert machine.differing(two, one) == (["cores: 1 -> 2"], [])


def test_this_machine_calibrates():
    assert machine.fingerprint() == machine.fingerprint()
    assert machine.calibrate(1) > 0
