"""The compile cache: a hit is what a fresh run gives, and nothing else is ever a hit."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import fusible
from support.cache_processes import GRAPHS, KILLED, compiled, storm

GRAPH = """\
input x: bf16[T, 512]
input residual: bf16[T, 512]
constant w: bf16[512]
sum = add(x, residual)
y = rms_norm(sum, w)
q, s = per_token_group_quant_fp8(y, dtype=e4m3fnuz)
return q, s, sum
"""
TARGET = "rocm-gfx950"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def optimized(directory: Path | fusible.CompileCache, text: str = GRAPH) -> fusible.Result:
    return fusible.optimize(fusible.Graph.parse(text), TARGET, cache=directory)


def fields(native: object) -> dict[str, object]:
    """What an object of the extension holds, times aside."""
    names = [name for name in dir(native) if not name.startswith("_") and name != "ms"]
    return {name: getattr(native, name) for name in names if not callable(getattr(native, name))}


def told(result: fusible.Result) -> dict[str, object]:
    """All that a result says: each of its properties, so that none is forgotten in an entry."""
    names = [name for name, member in vars(fusible.Result).items() if isinstance(member, property)]
    said = {name: getattr(result, name) for name in names if name != "cached"}
    for name, value in said.items():
        if isinstance(value, list):
            said[name] = [fields(each) for each in value]
    return said | {"graph": str(result.graph), "key": result.key.explain()}


def fresh(text: str = GRAPH) -> dict[str, object]:
    return told(fusible.optimize(fusible.Graph.parse(text), TARGET))


def entry(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def test_a_hit_says_what_a_fresh_run_says(directory: Path) -> None:
    first, second = optimized(directory), optimized(directory)
    assert (first.cached, second.cached) == (False, True)
    assert told(first) == told(second) == fresh()
    assert [s.ms for s in second.stats] == [s.ms for s in first.stats]
    assert "op_variant" in {miss.reason for miss in second.misses}
    with pytest.raises(fusible.Error, match="op_variant"):
        second.expect({"fused_add_rms_norm_group_quant_fp8": 1})
    assert not fusible.optimize(fusible.Graph.parse(GRAPH), TARGET).cached


def test_a_directory_stays_the_same_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = fusible.CompileCache("cache")
    monkeypatch.chdir("/")
    assert not optimized(cache).cached
    assert optimized(tmp_path / "cache").cached


def test_compile_says_what_it_found_and_computes_the_same(directory: Path) -> None:
    cache = fusible.CompileCache(directory)
    exes = [compiled(0, each) for each in (None, cache, cache)]
    assert [exe.result.cached for exe in exes] == [False, False, True]
    x, r = np.random.default_rng(1).standard_normal((2, 3, 16)).astype(np.float32)
    results = [[array.tobytes() for array in exe(x=x, residual=r)] for exe in exes]
    assert results[0] == results[1] == results[2]
    assert repr(exes[2].result.misses) == repr(exes[0].result.misses)


@pytest.mark.parametrize(
    ("old", "new"),
    [("x", "tokens"), ("sum", "total"), ("T", "Rows"), ("add(x, residual)", "add(residual, x)")],
)
def test_a_graph_of_the_same_key_keeps_its_own_names(directory: Path, old: str, new: str) -> None:
    other = GRAPH.replace(old, new)
    one, two = optimized(directory), optimized(directory, other)
    assert one.key.uuid == two.key.uuid
    assert not two.cached
    again = optimized(directory, other)
    assert again.cached
    assert told(again) == fresh(other)
    assert [v.name for v in again.graph.inputs] == [
        v.name for v in fusible.Graph.parse(other).inputs
    ]


def test_another_target_pipeline_or_excluded_pass_is_another_entry(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\npipeline = "fuse-rows"\nall_operators = true\n'
        '[uncacheable]\nfuse-rows = "its costs are measured anew each time"\n'
    )
    graph, cache = fusible.Graph.parse(GRAPH), fusible.CompileCache(tmp_path / "cache")
    runs = [("cpu", None), ("cpu", "drop-dead"), (TARGET, None), (path, "fuse-rows,drop-dead")]
    for target, pipeline in [*runs, (path, "drop-dead")]:
        chosen = fusible.load_target(target)
        assert not fusible.optimize(graph, chosen, pipeline, cache=cache).cached
        assert fusible.optimize(graph, chosen, pipeline, cache=cache).cached
    assert (
        fusible.optimize(graph, fusible.load_target(path), "drop-dead", cache=cache).fusions == {}
    )


def rewrite(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Changes an entry, and its checksum with it."""
    body = json.loads(path.read_bytes().partition(b"\n")[2])
    change(body)
    text = json.dumps(body)
    path.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")


def rebuilt(directory: Path, name: str) -> None:
    """The damaged entry is not taken, and a good one is in its place."""
    assert told(result := optimized(directory)) == fresh()
    assert not result.cached
    assert entry(directory).name == name
    assert optimized(directory).cached


def test_an_entry_cut_off_anywhere_is_made_anew(directory: Path) -> None:
    optimized(directory)
    path = entry(directory)
    whole = path.read_bytes()
    for length in [0, 1, 63, 64, 65, *range(66, len(whole), 211), len(whole) - 1]:
        path.write_bytes(whole[:length])
        rebuilt(directory, path.name)


def test_an_entry_with_a_wrong_byte_is_made_anew(directory: Path) -> None:
    optimized(directory)
    path = entry(directory)
    whole = path.read_bytes()
    for at in [0, 63, 64, 65, *range(66, len(whole), 211), len(whole) - 1]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        rebuilt(directory, path.name)


WRONG: dict[str, Callable[[dict[str, object]], None]] = {
    "no graph": lambda body: body.pop("graph"),  # type: ignore[dict-item, return-value]
    "graph that is none": lambda body: body.update(graph="y = softmax(x)\n"),
    "graph with another dtype": lambda body: body.update(
        graph=str(body["graph"]).replace("constant w: bf16", "constant w: f32")
    ),
    "graph that only the verifier refuses": lambda body: body.update(
        graph="input x: f32[4, 4]\ny = rows a {\n  y = matmul(x, x)\n  return y\n}\nreturn y\n"
    ),
    "misses of another kind": lambda body: body.update(misses=[[1, 2]]),
    "choices of another kind": lambda body: body.update(choices=[[1, 2]]),
    "operators that are none": lambda body: body.update(operators="12"),
    "another name": lambda body: body.update(name="another"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_entry_with_a_right_checksum_is_still_checked(directory: Path, what: str) -> None:
    optimized(directory)
    path = entry(directory)
    rewrite(path, WRONG[what])
    rebuilt(directory, path.name)


def test_an_entry_in_the_place_of_another_is_not_taken(directory: Path) -> None:
    optimized(directory)
    path = entry(directory)
    optimized(directory, GRAPHS[0])
    (other,) = set(directory.iterdir()) - {path}
    shutil.copy(other, path)
    result = optimized(directory)
    assert not result.cached
    assert told(result) == fresh()


def age(directory: Path, seconds: float = 10) -> None:
    """Makes every file so much older, however coarse the clock of the file system is."""
    for path in directory.iterdir():
        changed = path.stat().st_mtime - seconds
        os.utime(path, (changed, changed))


def test_what_was_not_used_for_longest_goes_first(directory: Path) -> None:
    for text in GRAPHS[:3]:
        optimized(directory, text)
        age(directory)
    sizes = [path.stat().st_size for path in directory.iterdir()]
    assert optimized(directory, GRAPHS[0]).cached  # used again, so the second is the oldest
    age(directory)
    # Times are in the entries, so that they are not of one length.
    cache = fusible.CompileCache(directory, sum(sizes) + min(sizes) // 2)
    optimized(cache, GRAPHS[3])
    assert sum(path.stat().st_size for path in directory.iterdir()) <= cache.limit
    found = [optimized(directory, GRAPHS[i]).cached for i in (0, 2, 3, 1)]
    assert found == [True, True, True, False]


def test_what_is_larger_than_the_limit_is_not_kept(directory: Path) -> None:
    cache = fusible.CompileCache(directory, limit=100)
    assert told(optimized(cache)) == told(optimized(cache)) == fresh()
    assert list(directory.iterdir()) == []
    optimized(directory)
    assert not optimized(cache).cached  # nor is it read
    assert list(directory.iterdir()) == []


def test_what_is_larger_than_the_limit_drives_nothing_out(directory: Path) -> None:
    optimized(directory, GRAPHS[0])
    cache = fusible.CompileCache(directory, entry(directory).stat().st_size)
    optimized(cache)
    assert optimized(cache, GRAPHS[0]).cached


def test_what_killed_processes_have_left_goes(directory: Path) -> None:
    optimized(directory)
    left = directory / f".{entry(directory).name[:64]}.abc"
    left.write_text("half")
    foreign = directory / "notes.txt"
    foreign.write_text("mine")
    optimized(directory, GRAPHS[0])
    assert left.exists()  # its process may be alive
    age(directory, 2 * 3600)
    optimized(directory, GRAPHS[1])
    assert not left.exists()
    assert foreign.read_text() == "mine"


def test_a_process_killed_while_it_writes_leaves_no_entry(directory: Path) -> None:
    code = (
        "import os, pathlib, signal, fusible; "
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
        f"fusible.optimize(fusible.Graph.parse({GRAPH!r}), {TARGET!r}, cache={str(directory)!r})"
    )
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert entry(directory).name.startswith(".")
    assert not optimized(directory).cached
    assert optimized(directory).cached


def test_nobody_else_may_read_it(directory: Path) -> None:
    optimized(directory / "deep")
    assert (directory / "deep").stat().st_mode & 0o777 == 0o700
    assert entry(directory / "deep").stat().st_mode & 0o777 == 0o600


@contextmanager
def without_privileges() -> Iterator[None]:
    """As a user to whom the permissions of files apply."""
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def test_an_unreadable_directory_is_refused(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0)
    try:
        with without_privileges(), pytest.raises(fusible.ArgumentError) as caught:
            fusible.CompileCache(directory)
    finally:
        directory.chmod(0o700)
    assert str(directory) in str(caught.value)
    assert str(caught.value).endswith("can be made and read: Permission denied")


def test_a_directory_that_anybody_may_write_into_is_refused(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(fusible.ArgumentError, match=r"got mode 777 \(chmod o-w\)"):
        optimized(directory)


@pytest.mark.parametrize("name", ["file", "file/below", "a\0b"])
def test_what_is_no_directory_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(fusible.ArgumentError, match=r"^cache: .*expected a directory"):
        fusible.CompileCache(tmp_path / name)


@pytest.mark.parametrize("wrong", ["", None, 3])
def test_what_is_no_path_is_refused(wrong: object) -> None:
    with pytest.raises(fusible.ArgumentError, match=r"^cache: expected a directory, got "):
        fusible.CompileCache(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, None])
def test_a_limit_that_is_no_number_of_bytes_is_refused(directory: Path, limit: object) -> None:
    with pytest.raises(fusible.ArgumentError, match=r"^cache: limit: expected bytes, from 1 on"):
        fusible.CompileCache(directory, limit)  # type: ignore[arg-type]
    assert not directory.exists()


def test_a_result_that_cannot_be_stored_is_returned_with_a_warning(directory: Path) -> None:
    cache = fusible.CompileCache(directory)
    directory.rmdir()
    with pytest.warns(RuntimeWarning, match="cache: .* a result was not stored: No such file"):
        result = optimized(cache)
    assert told(result) == fresh()


def test_processes_that_are_killed_leave_no_wrong_entry(directory: Path) -> None:
    rounds = 6
    happened = storm(directory, rounds)
    assert happened["killed"] == KILLED * rounds
    assert happened["found"] > 0
    for text in GRAPHS:
        assert told(optimized(directory, text)) == fresh(text)
        assert optimized(directory, text).cached
