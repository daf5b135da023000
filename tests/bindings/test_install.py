"""The package as it is installed: what it says of itself, what importing it loads, its wheel."""

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import fusible
from support.sources import ROOT

ALONE = """
import fusible
from fusible import ops
import numpy as np
assert ops.add(np.ones(3, np.float32), np.ones(3, np.float32)).tolist() == [2, 2, 2]
lines = open("/proc/self/maps").read().splitlines()
print("\\n".join(sorted({line.split()[-1] for line in lines if "libhwy" in line})))
"""


def python(code, **environment):
    """Runs `code` in a fresh interpreter; its outcome."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_info_has_its_promised_keys():
    info = fusible.info()
    assert set(info) == {"version", "build_id", "isa", "threads", "optional"}
    assert set(info["isa"]) == {"compiled", "present", "chosen"}
    assert info["isa"]["chosen"] in info["isa"]["present"]
    assert set(info["isa"]["present"]) <= set(info["isa"]["compiled"])
    assert re.fullmatch("[0-9a-f]{64}", info["build_id"])
    json.dumps(info)


def test_version_stands_once():
    (version,) = re.findall(
        r"^project\(fusible VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE
    )
    assert fusible.info()["version"] == version


def test_package_is_typed():
    folder = Path(fusible.__file__).parent
    assert (folder / "py.typed").exists()
    assert (folder / "_core.pyi").exists()


def test_import_loads_no_optional_package():
    code = "import sys, fusible; print(*sys.modules)"
    loaded = set(python(code).stdout.split())
    assert not loaded & {"torch", "scipy", "pydantic", "gguf", "tokenizers", "safetensors", "rich"}


def test_help_needs_no_numpy():
    code = "import sys; sys.argv = ['fusible', '--help']\nfrom fusible.__main__ import main\n"
    code += "try:\n    main()\nexcept SystemExit: pass\nprint('numpy' in sys.modules)"
    assert python(code).stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("isa", fusible.info()["isa"]["present"])
def test_environment_forces_an_instruction_set(isa):
    code = "import fusible; print(fusible.info()['isa']['chosen'])"
    assert python(code, FUSIBLE_ISA=isa).stdout.strip() == isa


@pytest.mark.parametrize("isa", ["avx9", "AVX2 "])
def test_environment_refuses_an_instruction_set_that_is_not_present(isa):
    done = python("import fusible; fusible.info()", FUSIBLE_ISA=isa)
    assert done.returncode != 0
    assert "FUSIBLE_ISA" in done.stderr or isa.strip() in done.stderr


def test_environment_sets_the_threads():
    code = "import fusible; print(fusible.info()['threads'])"
    assert python(code, FUSIBLE_THREADS="1").stdout.strip() == "1"


@pytest.mark.parametrize("threads", ["0", "-1", "two"])
def test_environment_refuses_such_threads(threads):
    done = python("import fusible; fusible.info()", FUSIBLE_THREADS=threads)
    assert done.returncode != 0
    assert threads in done.stderr


@pytest.fixture(scope="session")
def wheel():
    if "FUSIBLE_WHEEL" not in os.environ:
        pytest.skip("FUSIBLE_WHEEL names no wheel; ci/wheel makes one")
    return (ROOT / os.environ["FUSIBLE_WHEEL"]).resolve()


def test_wheel_is_small_and_carries_highway(wheel):
    assert wheel.stat().st_size <= 10 * 1024 * 1024
    assert wheel.name.startswith(f"fusible-{fusible.info()['version']}-")
    names = zipfile.ZipFile(wheel).namelist()
    assert [n for n in names if "libhwy" in n]
    assert not [n for n in names if n.startswith(("tests", "csrc")) or "__pycache__" in n]


def test_wheel_works_where_there_is_no_highway(wheel, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    install = [home / "bin/python", "-m", "pip", "install", "-q", str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    run = [str(home / "bin/python"), "-I", "-c", ALONE]
    done = subprocess.run(without_highway(run), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (loaded,) = done.stdout.split()
    assert Path(loaded).is_relative_to(home)


def without_highway(command):
    """`command` in a mount namespace whose system libhwy is an empty file, where one may be made.

    Elsewhere (no such right, no such library) the command itself: which libhwy it has loaded is
    checked anyway.
    """
    system = [*Path("/usr/lib").glob("**/libhwy*.so*"), *Path("/usr/local/lib").glob("libhwy*")]
    hide = "; ".join(f"mount --bind /dev/null {path}" for path in {p.resolve() for p in system})
    enter = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]
    if not hide:
        return command
    allowed = subprocess.run([*enter, hide], capture_output=True, check=False).returncode == 0
    return [*enter, f'{hide}; exec "$@"', "sh", *command] if allowed else command
