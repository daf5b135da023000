"""What CMake says where a library is missing or too old: one sentence with the commands to run.

And what it hands to the compiler, for CPUs that have more than Highway chooses from.
"""

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from support.sources import ROOT

CMAKE = shutil.which("cmake")
pytestmark = pytest.mark.skipif(CMAKE is None, reason="needs cmake on the path")

COMMANDS = {
    "HWY": ("Google Highway (1.0.3 or newer)", "libhwy-dev", "highway-devel", "highway", "libhwy"),
    "Eigen3": ("Eigen 3.4", "libeigen3-dev", "eigen3-devel", "eigen@3", "eigen=3.4"),
}


def complaint(folder, *options):
    """The message of a configuration that stops, on one line."""
    done = subprocess.run(
        [CMAKE, "-S", ROOT, "-B", folder / "build", "-DFUSIBLE_PYTHON=OFF", *options],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "LD_PRELOAD"},
    )
    assert done.returncode == 1
    found = re.search(r"fusible needs .*?\(conda\)\.", done.stderr, re.DOTALL)
    assert found, done.stderr
    return " ".join(found[0].split())  # CMake breaks lines


@pytest.mark.parametrize("package", COMMANDS)
def test_a_missing_library_is_one_sentence(package, tmp_path):
    name, debian, fedora, homebrew, conda = COMMANDS[package]
    assert complaint(tmp_path, f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}=ON") == (
        f"fusible needs {name}; install it with `apt-get install {debian}` (Debian, Ubuntu), "
        f"`dnf install {fedora}` (Fedora), `brew install {homebrew}` (Homebrew) "
        f"or `conda install -c conda-forge {conda}` (conda)."
    )


def install(folder, config, version):
    """A package of this version, as CMake finds it."""
    place = folder / "usr/share" / config.split("-")[0]
    place.mkdir(parents=True)
    (place / f"{config}.cmake").touch()
    (place / f"{config}{'-version' if config.islower() else 'Version'}.cmake").write_text(
        f"set(PACKAGE_VERSION {version})\n"
        "if(NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)\n"
        "  set(PACKAGE_VERSION_COMPATIBLE TRUE)\n"
        "endif()\n"
    )


@pytest.mark.parametrize(
    ("package", "eigen", "highway", "found"),
    [("Eigen3", "3.3.9", "1.0.3", "3.3.9"), ("HWY", "3.4.0", "1.0.2", "1.0.2")],
)
def test_a_library_that_is_too_old_is_named_with_its_version(
    package, eigen, highway, found, tmp_path
):
    install(tmp_path, "Eigen3Config", eigen)
    install(tmp_path, "hwy-config", highway)
    only_there = "-DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY"
    message = complaint(tmp_path, f"-DCMAKE_FIND_ROOT_PATH={tmp_path}", only_there)
    assert message.startswith(f"fusible needs {COMMANDS[package][0]}, found {found}; install it ")


# Of this set Highway 1.0.3 makes its least one, and refuses to compile what chooses at run time.
@pytest.mark.skipif(platform.machine() != "x86_64", reason="an instruction set of x86-64")
def test_flags_for_a_cpu_that_has_more_than_highway_chooses_from(tmp_path):
    options = ("-DFUSIBLE_PYTHON=OFF", "-DFUSIBLE_BENCHMARKS=ON")
    subprocess.run([CMAKE, "-S", ROOT, "-B", tmp_path, *options], check=True, capture_output=True)
    commands = json.loads((tmp_path / "compile_commands.json").read_text())
    found = {Path(c["file"]).name: shlex.split(c["command"]) for c in commands}
    for name in ("add.cc", "floor.cc"):
        more = ["-march=icelake-server", "-fsyntax-only"]
        done = subprocess.run(
            [*found[name], *more], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
