"""`fusible bisect` and `fusible replay`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import fusible
from fusible.__main__ import commands
from fusible.cli import failure
from fusible.reproducer import Reproducer
from support.command import refused, run
from support.faults import plant

GRAPH = """
input x: bf16[T, 256]
input r: bf16[T, 256]
constant w: bf16[256]
a = add(x, r)
n = rms_norm(a, w)
b = add(a, n)
m = rms_norm(b, w)
q, s = per_token_group_quant_fp8(m)
return q, s, b
"""
# Exits with 1 where the graph holds an operator.
SCRIPT = """
import sys
operator, path = sys.argv[1:]
text = open(path).read()
print("looked at", path)
sys.exit(1 if f"{operator}(" in text else 0)
"""


@pytest.fixture
def graph(tmp_path: Path) -> str:
    path = tmp_path / "graph.ir"
    path.write_text(GRAPH)
    return str(path)


@pytest.fixture
def check(tmp_path: Path) -> str:
    """A command that fails once an operator is there; the operator's name goes behind it."""
    path = tmp_path / "a check.py"
    path.write_text(SCRIPT)
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"


@pytest.mark.parametrize("operator", ["fused_add_rms_norm", "fused_add_rms_norm_group_quant_fp8"])
@pytest.mark.parametrize("place", ["", " {}"])
def test_the_rewrite_that_makes_an_operator_is_found_by_a_command(
    graph: str, check: str, operator: str, place: str
) -> None:
    arguments = (
        "bisect",
        graph,
        "--check",
        f"{check} {operator}{place}",
        "--target",
        "rocm-gfx950",
    )
    done = run(*arguments, code=1)
    number = {"fused_add_rms_norm": 1}.get(operator, 2)
    node = {1: "n", 2: "q"}[number]
    first, _, *diff = done.stdout.splitlines()
    assert first == f"rewrite {number} of 2: pass fuse-ops, rule {operator}, at {node}"
    assert diff[:2] == ["--- before", "+++ after"]
    assert [line for line in diff if line.startswith("+") and operator in line]
    assert "looked at" in done.stderr
    record = json.loads(run(*arguments, "--json", code=1).stdout)
    assert record["suspects"] == [{"pass": "fuse-ops", "rule": operator, "node": node}]
    assert operator in record["after"]
    assert f"{operator}(" not in record["before"]
    assert (record["number"], record["rewrites"]) == (number, 2)


@pytest.mark.parametrize("what", ["verify", "bits", "true"])
def test_a_graph_that_is_good_is_said_to_be(graph: str, what: str) -> None:
    done = run("bisect", graph, "--check", what, "--target", "rocm-gfx950")
    assert done.stdout == "good after all rewrites (2)\n"
    pipeline = ("--pipeline", "canonicalize")
    assert (
        json.loads(run("bisect", "-", "--check", what, *pipeline, "--json", stdin=GRAPH).stdout)[
            "rewrites"
        ]
        == 0
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--check", "false"), "expected it to pass before the first rewrite, it fails"),
        (("--check", "no-such-command"), "no-such-command: No such file or directory"),
        (("--check", "'"), "check: No closing quotation"),
        (("--check", "verify", "--pipeline", "none"), "expected passes out of "),
        ((), "--check"),
    ],
)
def test_input_that_is_wrong_is_one_line(graph: str, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused("bisect", graph, *arguments)


def test_bits_of_what_cannot_run_here_are_refused() -> None:
    text = 'input x: f32[4]\ny: f32[4] = opaque(x, name="outside")\nreturn y\n'
    assert "opaque" in refused("bisect", "-", "--check", "bits", stdin=text)


def reproducer(folder: Path, message: str = "fuse-ops: types: y") -> str:
    target = fusible.load_target("rocm-gfx950")
    return str(Reproducer(GRAPH, "fuse-ops", target, None, message, "0" * 16).write(folder))


def test_a_reproducer_that_no_longer_fails(tmp_path: Path) -> None:
    done = run("replay", reproducer(tmp_path))
    assert done.stdout.startswith("no longer fails; it did with fuse-ops: types: y\n")
    record = json.loads(run("replay", reproducer(tmp_path), "--json").stdout)
    assert record == {"fails": False, "same": False, "message": "", "build": "0" * 16}


@pytest.mark.parametrize(
    ("message", "said"),
    [("fuse-ops: types: y", "fails as it did: "), ("another", "fails in another way: ")],
)
def test_a_reproducer_that_still_fails(
    message: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reproducer(tmp_path, message)
    plant(monkeypatch, 2)
    done = CliRunner().invoke(commands, ["replay", path], standalone_mode=False)
    assert done.return_value == 1
    assert done.output.startswith(f"{said}fuse-ops: types: y\n")
    as_json = CliRunner().invoke(commands, ["replay", path, "--json"], standalone_mode=False)
    assert json.loads(as_json.output)["same"] == (message == "fuse-ops: types: y")


def test_a_pass_that_fails_is_no_wrong_input(graph: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, 1)
    done = CliRunner().invoke(commands, ["explain", graph, "--target", "rocm-gfx950"])
    assert isinstance(done.exception, fusible.PassError)
    assert failure.sentence(done.exception) is None


def test_a_reproducer_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = Path(reproducer(tmp_path))
    path.write_text(path.read_text().replace("n = rms", "n = no"))
    assert "no_norm" in refused("replay", str(path))
    path.write_text("nothing")
    assert f"{path}: " in refused("replay", str(path))
    assert "nowhere" in refused("replay", str(tmp_path / "nowhere"))
