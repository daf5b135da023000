"""A compile cache on disk: what a pipeline made of a graph, found again by any process."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fusible import _core
from fusible.files import write_whole
from fusible.passes import PassManager, Result

_FORMAT = "3"
_ENTRY = re.compile(r"[0-9a-f-]{36}-[0-9a-f]{64}\.json")
_TEMPORARY = re.compile(r"\.[0-9a-f-]{36}-.*")  # what a killed process leaves of an entry
_ABANDONED = 3600.0  # seconds without a change, after which nobody is still writing one
# What is raised where an entry is not what was stored.
_WRONG = (ValueError, KeyError, TypeError, RecursionError, _core.Error)


class CompileCache:
    """Optimized graphs and their reports in a directory, for any number of processes.

    An entry is found by the key of the result (graph, build, target, passes) and by the exact text
    of the graph: a result holds names, of inputs above all, so that a graph which differs in names
    or in the order of its nodes alone has an entry of its own. A hit is what a fresh run would
    have given, `stats` aside, which are those of the run that made it.

    Each entry is a file of its own, written whole; it begins with a checksum, and its graph is
    verified again. One that is damaged is removed and made anew. Nothing is locked, so a process
    that is killed holds up no other. A result that cannot be stored is returned all the same, with
    a warning.

    Args:
        directory: where entries are; made, for this user alone, where it is not there.
        limit: bytes of all entries; beyond it, those go that were not used for longest.

    Raises:
        ArgumentError: the directory cannot be made or read, or anybody may write into it, or
            the limit is no whole number from 1.
    """

    def __init__(self, directory: str | Path, limit: int = 256 << 20) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise _core.ArgumentError(f"cache: limit: expected bytes, from 1 on, got {limit!r}")
        if not isinstance(directory, str | Path) or not str(directory):
            raise _core.ArgumentError(f"cache: expected a directory, got {directory!r}")
        self.directory = Path(directory).absolute()
        self.limit = limit
        _prepare(self.directory)

    def run(
        self,
        manager: PassManager,
        graph: _core.Graph,
        range: tuple[int, int] | None = None,
    ) -> Result:
        """What ``manager.run(graph, range=range)`` gives, from the cache where it is there."""
        key = manager.key_of(graph, range)
        path = self.directory / _name(key, manager.pipeline, str(graph))
        found = self._load(path, key)
        if found is not None:
            return Result(found, manager.target, cached=True)
        result = manager.run(graph, range=range)
        self._store(path, result)
        return result

    def _load(self, path: Path, key: _core.Key) -> _core.OptimizeResult | None:
        """The entry; None where there is none, or one that is damaged, which is removed."""
        try:
            with path.open("rb") as file:
                data = file.read(self.limit + 1)
        except OSError:
            return None
        try:
            found = _decode(data, path.name, key)
        except _WRONG:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):  # a directory that may only be read
            os.utime(path)
        return found

    def _store(self, path: Path, result: Result) -> None:
        text = _encode(path.name, result)
        if len(text.encode()) > self.limit:
            return
        try:
            write_whole(path, text, private=True)
            self._make_room()
        except OSError as error:
            message = f"cache: {self.directory}: a result was not stored: {error.strerror}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _make_room(self) -> None:
        """Removes the entries beyond the limit, and what killed processes have left."""
        entries = []
        for path, status in self._files():
            if _ENTRY.fullmatch(path.name):
                entries.append((status.st_mtime_ns, status.st_size, path))
            elif _TEMPORARY.fullmatch(path.name) and status.st_mtime < time.time() - _ABANDONED:
                path.unlink(missing_ok=True)
        excess = sum(size for _, size, _ in entries) - self.limit
        for _, size, path in sorted(entries):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        with os.scandir(self.directory) as files:
            for file in files:
                with suppress(FileNotFoundError):  # another process has removed it
                    yield Path(file.path), file.stat(follow_symlinks=False)


def open_cache(cache: str | Path | CompileCache) -> CompileCache:
    """The cache itself, or the one in a directory, with the usual limit."""
    return cache if isinstance(cache, CompileCache) else CompileCache(cache)


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        os.scandir(directory).close()
    except FileExistsError:
        raise _core.ArgumentError(f"cache: {directory}: expected a directory, got a file") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise _core.ArgumentError(
            f"cache: {directory}: expected a directory that can be made and read: {reason}"
        ) from error
    if status.st_mode & stat.S_IWOTH:
        mode = stat.S_IMODE(status.st_mode)
        raise _core.ArgumentError(
            f"cache: {directory}: expected a directory that not everybody may write into, "
            f"got mode {mode:o} (chmod o-w)"
        )


def _name(key: _core.Key, pipeline: str, text: str) -> str:
    """The file of an entry: the result's key, and a digest of all else that the result holds.

    The pipeline has passes that the target keeps out of keys.
    """
    digest = hashlib.sha256()
    for part in (_FORMAT, pipeline, text):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return f"{key.uuid}-{digest.hexdigest()}.json"


def _encode(name: str, result: Result) -> str:
    """The checksum of the second line, and there the entry as JSON."""
    entry = {
        "name": name,
        "graph": str(result.graph),
        "operators": result.operators,
        "fusions": result.fusions,
        "misses": [(m.rule, m.node, m.reason, m.hint, m.saves) for m in result.misses],
        "choices": [(c.kind, c.node, c.hint, c.bytes, c.otherwise) for c in result.choices],
        "rewrites": [(r.pass_name, r.rule, r.node) for r in result.rewrites],
        "stats": [
            (s.name, s.rewrites, s.ms, s.nodes_before, s.nodes_after, s.left_out, s.looked_at)
            for s in result.stats
        ],
    }
    body = json.dumps(entry)
    return f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}"


def _decode(data: bytes, name: str, key: _core.Key) -> _core.OptimizeResult:
    """The result of an entry; one of `_WRONG` where anything in it is not what was stored."""
    checksum, _, body = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        raise ValueError("the checksum is of something else")
    entry: dict[str, Any] = json.loads(body)
    if entry["name"] != name:
        raise ValueError("an entry under another name")
    graph = _core.Graph.parse(entry["graph"])
    graph.verify()
    before, after = entry["operators"]
    return _core.OptimizeResult(
        graph=graph,
        before=before,
        after=after,
        fusions=entry["fusions"],
        misses=[_core.Miss(*miss) for miss in entry["misses"]],
        choices=[_core.Choice(*choice) for choice in entry["choices"]],
        rewrites=[_core.Rewrite(*rewrite) for rewrite in entry["rewrites"]],
        stats=[_core.PassStats(*stats) for stats in entry["stats"]],
        key=key,
    )
