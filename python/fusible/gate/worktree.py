"""Commits of a repository, each built in a folder of its own."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fusible.gate import measure
from fusible.gate.model import GateError


def commit_of(repository: Path, revision: str) -> str:
    """The full hash of a revision; GateError if there is no such commit."""
    wanted = f"{revision}^{{commit}}"
    done = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    if done.returncode:
        raise GateError(f"{repository}: expected a commit, got {revision!r}")
    return done.stdout.strip()


@contextmanager
def checked_out(
    repository: Path, revision: str, build: Sequence[str] = (), timeout: float | None = None
) -> Iterator[Path]:
    """The same folder of the repository with the files of a commit, built, while in the context.

    Args:
        repository: any folder of it.
        revision: what git calls it.
        build: a command that is run in the folder; empty for none.
        timeout: seconds that it may take.

    Raises:
        GateError: there is no such commit, the commit has no such folder, or the build failed.
    """
    commit = commit_of(repository, revision)
    with tempfile.TemporaryDirectory(prefix="fusible-gate-") as parent:
        folder = Path(parent) / commit[:12]
        try:
            done = _git(repository, "worktree", "add", "--detach", "--force", str(folder), commit)
            if done.returncode:
                raise GateError(f"{repository}: git worktree: {_last_line(done.stderr)}")
            place = folder / _git(repository, "rev-parse", "--show-prefix").stdout.rstrip("\n")
            if not place.is_dir():
                raise GateError(f"{revision}: expected a folder {place.relative_to(folder)}")
            if build:
                _build(place, commit[:12], build, timeout)
            yield place
        finally:
            _git(repository, "worktree", "remove", "--force", str(folder))


def _build(folder: Path, commit: str, command: Sequence[str], timeout: float | None) -> None:
    name = f"build of {commit}: {shlex.join(command)}"
    try:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise GateError(f"{name}: {error.strerror}") from None
    with process:
        try:
            out, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise GateError(f"{name}: expected an end, got none after {timeout:g} s") from None
        finally:
            measure.end(process)
    if process.returncode:
        said = _last_line(errors) or _last_line(out)
        raise GateError(f"{name}: expected exit status 0, got {process.returncode}: {said}")


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(repository), *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise GateError(f"git: expected it on PATH: {error.strerror}") from None


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "").strip()
