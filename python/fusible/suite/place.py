"""Where a run happens: machine, checkout, the folder of its files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fusible.suite.config import SuiteConfig
from fusible.suite.ledger import lock
from fusible.suite.model import SuiteError
from fusible.suite.request import Request

_FOLDER = Path(".fusible", "suite")
_PATIENCE = 20.0  # seconds; git on a slow network share


def machine_class() -> str:
    """Machines of which durations are alike, as far as that is cheap to say."""
    return f"{platform.system()}-{platform.machine()}-{os.cpu_count() or 1}".lower()


def checkout(folder: Path) -> tuple[str | None, str]:
    """The commit checked out here, None without git, and a digest of how tracked files differ.

    The digest is empty where none does.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None, ""
    changes = _git(folder, "diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD")
    return commit.strip(), _digest(changes.encode("utf-8", "surrogateescape")) if changes else ""


def digests(base: Path, files: Iterable[str]) -> dict[str, str]:
    """Of what stands in files of tests, which are relative to pytest's rootdir.

    That is the base or a folder above it; a file that is in none of them is left out.
    """
    found = {}
    for name in files:
        for folder in (base, *base.parents):
            with contextlib.suppress(OSError):
                found[name] = _digest((folder / name).read_bytes())
                break
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def interpreter(name: str) -> str:
    """The whole path of an interpreter, links not followed: a virtual environment is one."""
    found = shutil.which(name)
    if found is None:
        raise SuiteError(f"--python: expected a program, got {name!r}")
    return str(Path(found).absolute())


def check_needs(config: SuiteConfig) -> None:
    """Raises SuiteError for a command or variable that the suite needs and that is not here."""
    for need in config.needs:
        kind, _, name = need.partition(":")
        if kind == "command" and shutil.which(name) is None:
            raise SuiteError(f"{config.name}: needs the command {name!r}, which is not there")
        if kind == "env" and not os.environ.get(name):
            raise SuiteError(f"{config.name}: needs the variable {name!r}, which is not set")


def settled(
    request: Request, ledger: Path | None, resume: bool = False, name: str = "ledger"
) -> Request:
    """The request with a folder of its own and its ledger.

    Only runs call theirs `ledger`: what plans and bisections write is nothing to merge or resume.
    Each run has a new number, so that the files of a repeated job replace no others; a run that
    resumes without being told a ledger takes that of the run before it.
    """
    config = request.config
    parts = f"{config.name}-{request.part}of{request.parts}"
    folder = Path.cwd() / _FOLDER / re.sub(r"[^\w.-]", "_", parts)
    if resume and ledger is None:
        ledger = _latest(folder)
    number = _next(folder)
    if ledger is None:
        ledger = folder / str(number) / f"{name}.jsonl"
    else:
        if ledger.exists() and not ledger.is_file():
            raise SuiteError(f"{ledger}: expected a file for the ledger, got another kind of file")
        ledger = Path(os.path.realpath(ledger))
        if not resume:
            _replace(ledger)
    return replace(request, folder=folder / str(number), ledger=ledger.absolute())


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())


def _latest(folder: Path) -> Path:
    found = [folder / str(number) / "ledger.jsonl" for number in _numbers(folder)]
    existing = [path for path in found if path.exists()]
    if not existing:
        raise SuiteError(f"--resume: expected a run in {folder}, found none")
    return existing[-1]


def _next(folder: Path) -> int:
    """Makes the folder of the next run; two runners at a time get two."""
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder.parent.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    number = max(_numbers(folder), default=0)
    while True:
        number += 1
        try:
            (folder / str(number)).mkdir()
        except FileExistsError:
            continue
        return number


def _replace(ledger: Path) -> None:
    """Makes room for a new ledger; refuses to take the place of anything else."""
    try:
        file = ledger.open("rb")
    except FileNotFoundError:
        return
    with file:
        start = file.read(10)
        if start and not start.startswith(b'{"e":"'):
            raise SuiteError(f"{ledger}: expected a ledger to replace, got another file")
        lock(file.fileno(), ledger)
        ledger.unlink()
