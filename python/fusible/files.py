"""Files written whole: a reader sees the old one or the new one, never half."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, text: str, *, private: bool = False) -> None:
    """Writes a text file under a temporary name and renames it; an OSError names the file.

    A link stays one. What is no regular file (a pipe, `/dev/stdout`) is written to, not replaced.
    `private` makes a file that only this user may read.
    """
    write_whole_bytes(path, (text.encode(),), private=private)


def write_whole_bytes(
    path: Path, parts: Iterable[bytes | memoryview], *, private: bool = False
) -> None:
    """The same of bytes, in parts."""
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                file.writelines(parts)
        else:
            _replace(Path(os.path.realpath(path)), parts, private)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(path: Path, parts: Iterable[bytes | memoryview], private: bool) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:64]}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
        if not private:
            temporary.chmod(0o666 & ~_umask())  # mkstemp gives 0600; others merge what we write
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def forget(path: Path) -> None:
    """Removes what an earlier run has written, so that nobody takes it for the next one's."""
    if path.is_file():
        Path(os.path.realpath(path)).unlink()
