"""A pass that fails writes a file from which it can be run again."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import fusible
from fusible import reproducer, toml
from fusible.reproducer import Reproducer, read_reproducer
from support.faults import plant

TEXT = "input x: bf16[T, 64]\nconstant w: bf16[64]\na = add(x, x)\ny = rms_norm(a, w)\nreturn y\n"
GRAPH = fusible.Graph.parse(TEXT)
MADE = Reproducer(TEXT, "fuse-ops", fusible.load_target("rocm-gfx950"), 3, "fuse-ops: planted")


@pytest.mark.parametrize("target", fusible.targets())
def test_a_file_says_all_that_the_run_depends_on(target: str, tmp_path: Path) -> None:
    made = replace(MADE, target=fusible.load_target(target))
    read = read_reproducer(made.write(tmp_path / "new" / "folder"))
    assert str(read.target) == str(made.target)
    assert replace(read, target=made.target) == made


def test_a_target_with_everything_is_written_whole(tmp_path: Path) -> None:
    target = fusible.Target(
        name='a "name"\u00e9',
        pipeline="fuse-ops",
        operators={"add", "rms_norm"},
        variants={"per_token_group_quant_fp8": {"dtype": ["e4m3fn", "e5m2"]}},
        capabilities={"a.b": 1, "pi": 3.5, "list": [1, 2], "yes": True, "far": float("inf")},
        costs={"keep": True, "recompute": False},
    )
    read = read_reproducer(replace(MADE, target=target, fuel=None).write(tmp_path))
    assert str(read.target) == str(target)
    assert read.fuel is None


@pytest.mark.parametrize("message", ["it's", "a\nb\\", "'''", "\x7f\x00\x1b", "\u6f22 \U0001f600"])
def test_any_text_is_read_as_it_was(message: str, tmp_path: Path) -> None:
    made = replace(MADE, message=message, graph=f"# {message.splitlines()[0]}\n{TEXT}")
    read = read_reproducer(made.write(tmp_path))
    assert (read.message, read.graph) == (made.message, made.graph)


def test_the_graph_stands_in_the_file_line_by_line(tmp_path: Path) -> None:
    assert f"graph = '''\n{TEXT}'''\n" in MADE.write(tmp_path).read_text()
    assert MADE.write(tmp_path) == MADE.write(tmp_path)
    assert len([*tmp_path.iterdir()]) == 1


def test_a_pass_that_fails_writes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, 1)
    manager = fusible.PassManager("fuse-ops,drop-dead", "rocm-gfx950")
    with pytest.raises(
        fusible.PassError, match="types: y; run it again: fusible replay "
    ) as failed:
        manager.run(GRAPH, fuel=2, reproducer=tmp_path)
    [path] = tmp_path.iterdir()
    assert str(path) in str(failed.value)
    assert (failed.value.rule, failed.value.rewrites) == ("fused_add_rms_norm", 1)
    read = read_reproducer(path)
    assert (read.graph, read.pipeline, read.fuel) == (str(GRAPH), "fuse-ops,drop-dead", 2)
    assert read.message == "fuse-ops: types: y"
    assert read.replay() == read.message


def test_nothing_is_written_without_a_folder_or_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fusible.PassManager().run(GRAPH, reproducer=tmp_path / "none")
    with pytest.raises(fusible.ArgumentError):
        fusible.PassManager().run(GRAPH, fuel=-1, reproducer=tmp_path / "none")
    plant(monkeypatch, 1)
    with pytest.raises(fusible.PassError, match=r"types: y$"):
        fusible.PassManager("fuse-ops").run(GRAPH)
    assert [*tmp_path.iterdir()] == []


CRASH = """
import os, signal, sys
import fusible
from fusible import rules

how, folder, text = sys.argv[1:]

def crash(found):
    if how == "abort":
        os.abort()
    if how == "SIGSEGV":  # which a sanitizer catches
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), getattr(signal, how))

rule = rules.Rule(
    "sharp(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]",
    "a = add(x, x)\\ny = rms_norm(a, w, eps=eps)\\nreturn y\\n",
    'y = opaque(x, w, name="sharp", eps=eps)\\nreturn y\\n',
    predicate=rules.Predicate("ends the process", "1", crash),
)
manager = fusible.PassManager("fuse-ops", "cuda-sm90", rules=[rule])
manager.run(fusible.Graph.parse(text), fuel=7, range=(1, 8), reproducer=folder)
"""


@pytest.mark.parametrize("how", ["abort", "SIGSEGV", "SIGKILL"])
def test_a_pass_that_ends_the_process_leaves_one(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    command = [sys.executable, "-c", CRASH, how, str(folder), TEXT]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    expected = signal.SIGABRT if how == "abort" else getattr(signal, how)
    assert ended.returncode == -expected, ended.stderr
    [path] = folder.iterdir()
    text = path.read_text()
    assert "the process ended before the passes did" in text
    # The predicate is code: the file says its name, and is whole but for it.
    with pytest.raises(fusible.ArgumentError, match="code, which no file can hold"):
        read_reproducer(path)
    named = f"predicate = {toml.string('ends the process, version 1')}\n"
    assert named in text
    path.write_text(text.replace(named, ""))
    read = read_reproducer(path)
    assert (read.graph, read.pipeline, read.fuel, read.range) == (TEXT, "fuse-ops", 7, (1, 8))
    assert [rule.name for rule in read.rules] == ["sharp"]
    assert read.replay() is None


def test_the_file_is_there_while_the_passes_run_and_gone_behind_them(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def watch(*_: object) -> None:
        seen.append([path.name for path in (tmp_path / "a" / "b").iterdir()])

    fusible.PassManager("fuse-ops").run(GRAPH, watch=watch, reproducer=tmp_path / "a" / "b")
    [[name]] = seen
    assert name.startswith("reproducer-")
    assert [*tmp_path.iterdir()] == []


def test_what_a_watch_raises_leaves_none(tmp_path: Path) -> None:
    def watch(*_: object) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fusible.PassManager("fuse-ops").run(GRAPH, watch=watch, reproducer=tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_what_no_longer_fails_replays_to_none() -> None:
    assert MADE.replay() is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("fuel = 3", "fuel = -3", "fuel: expected a whole number from 0, got -3"),
        ("fuel = 3", "fuel = true", "fuel: expected int, got bool"),
        ("fuel = 3", "fool = 3", "fool: expected one of fusible, build, "),
        ("message =", "massage =", "message: expected a value, got none"),
        ("fuel = 3", "fuel = = 3", r"line 6, column 8"),
        ("fuel = 3", "fuel = " + "[" * 20_000, "too many brackets|line 6"),
        ('fp8 = "e4m3fn"', '"fp8" = "e9"', "fp8"),
        ("a = add", "a = odd", "line 3, column 5"),
        ('pipeline = "fuse-ops"', 'pipeline = "fuse"', "expected passes out of "),
        ("[target]", "[goal]", "goal: expected one of fusible, build, "),
    ],
)
def test_what_is_wrong_in_a_file_is_named(old: str, new: str, said: str, tmp_path: Path) -> None:
    path = MADE.write(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(fusible.ArgumentError, match=said) as refused:
        read_reproducer(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = MADE.write(tmp_path)
    monkeypatch.setattr(reproducer, "MOST_BYTES", path.stat().st_size)
    read_reproducer(path)
    monkeypatch.setattr(reproducer, "MOST_BYTES", path.stat().st_size - 1)
    with pytest.raises(fusible.ArgumentError, match="expected at most"):
        read_reproducer(path)


def test_the_range_of_a_run_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, 1)
    manager = fusible.PassManager("fuse-ops@[1,8]", "rocm-gfx950")
    with pytest.raises(fusible.PassError):
        manager.run(GRAPH, range=(1, 8), reproducer=tmp_path)
    [path] = tmp_path.iterdir()
    read = read_reproducer(path)
    assert (read.range, read.pipeline) == ((1, 8), "fuse-ops@[1,8]")
    assert read.replay() == read.message
    path.write_text(path.read_text().replace("range = [1, 8]", "range = [8, 1]"))
    with pytest.raises(fusible.ArgumentError, match=r"range: expected the least and the greatest"):
        read_reproducer(path)
