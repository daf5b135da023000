"""What the command line says to input that is wrong: one line, with what to give instead."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import refused, run

GRAPH = "input x: f32[T, 8]\ny = softmax(x)\nreturn y\n"


@pytest.fixture
def graph(tmp_path: Path) -> str:
    path = tmp_path / "graph.ir"
    path.write_text(GRAPH)
    return str(path)


@pytest.mark.parametrize("isa", ["foo", "neon-9", "AVX2"])
def test_an_instruction_set_that_is_not_there_is_one_line(isa: str) -> None:
    line = refused("info", FUSIBLE_ISA=isa)
    assert "FUSIBLE_ISA: expected one of " in line
    assert f'got "{isa}"' in line


def test_an_instruction_set_that_is_not_there_is_a_sentence_in_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FUSIBLE_ISA", "foo")
    command = [sys.executable, "-c", "import fusible; fusible.info()"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: instruction set: expected one of ")


def test_a_graph_that_is_not_utf8_is_named_with_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.ir"
    path.write_bytes(b"# one\ninput \xe9: f32[2]\n")
    assert refused("key", str(path)).endswith(
        "latin.ir: line 2: expected UTF-8, got byte 0xe9 at offset 12"
    )


def test_a_place_that_cannot_be_written_is_named_as_it_was_given(graph: str) -> None:
    assert "'.'" in refused("explain", graph, "--save", ".")
    done = run("explain", graph, "--save", "/proc/nowhere/x.ir", code=2)
    assert done.stderr == "fusible: error: /proc/nowhere/x.ir: No such file or directory\n"


@pytest.mark.parametrize("item", ["foo=\u00b2", "=1", "foo=-1", "foo="])
def test_an_expectation_that_cannot_be_read_is_shown(graph: str, item: str) -> None:
    assert refused("explain", graph, "--expect", item).endswith(
        f"--expect: expected NAME=COUNT, got {item}"
    )


def test_explain_says_what_to_give(graph: str) -> None:
    assert "expected GRAPH or --model, got neither" in refused("explain")
    assert "expected GRAPH or --model, got both" in refused("explain", graph, "--model", "qwen3-8b")


def test_names_that_are_empty_are_said_to_be(graph: str) -> None:
    assert "GRAPH: expected a file or -, got an empty name" in refused("explain", "")
    assert "GRAPH: expected a file or -, got an empty name" in refused("key", "")
    assert "pipeline: expected names of passes, got ''" in refused(
        "explain", graph, "--pipeline", ""
    )


@pytest.mark.parametrize(
    "option", [("--layers", "2"), ("--fp8",), ("--no-fp8",), ("--fp8-format", "e4m3fn")]
)
def test_options_of_a_model_are_refused_beside_a_graph(graph: str, option: tuple[str, ...]) -> None:
    line = refused("explain", graph, *option)
    assert option[0] in line
    assert "expected only with --model" in line


def test_a_format_of_what_is_not_fp8_is_refused() -> None:
    arguments = ("explain", "--model", "qwen3-8b", "--fp8-format", "e4m3fn")
    assert "expected beside --fp8" in refused(*arguments)


@pytest.mark.parametrize("command", ["explain", "demo"])
@pytest.mark.parametrize(("model", "layers"), [("llama-3.1-8b", 32), ("deepseek-v3.2", 61)])
def test_layers_that_a_model_does_not_have(command: str, model: str, layers: int) -> None:
    line = refused(command, "--model", model, "--layers", str(layers + 1))
    assert f"layers: expected 1 to {layers}, got {layers + 1}" in line


def test_a_prompt_is_looked_at_before_the_measuring() -> None:
    assert "--prompt: expected text, got none" in refused("demo", "--prompt", "")


def test_near_names_of_operators_are_said_and_no_others() -> None:
    assert "near it: rms_norm" in refused("ops", "rms_nrm")
    line = refused("ops", "nope")
    assert "near" not in line
    assert "fusible ops" in line


def test_markup_in_the_names_of_users_is_text(tmp_path: Path) -> None:
    path = tmp_path / "[bold]:smile:[" / "g[red].ir"
    path.parent.mkdir()
    path.write_text(GRAPH)
    assert f"{path} for cpu: " in run("explain", str(path)).stdout
    closing = tmp_path / "[" / "x]" / "g.ir"
    closing.parent.mkdir(parents=True)
    closing.write_text(GRAPH)
    assert f"{closing} for cpu: " in run("explain", str(closing)).stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected a JSON object, got list"),
        ("{nope", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        (
            json.dumps({"model_type": "llama", "num_attention_heads": "x", "hidden_size": 64}),
            "num_attention_heads: expected a whole number from 1, got 'x'",
        ),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, content: str, message: str) -> None:
    pytest.importorskip("safetensors", reason="needs the extra `models`")
    (tmp_path / "config.json").write_text(content)
    assert f"{tmp_path / 'config.json'}: {message}" in refused("demo", "--weights", str(tmp_path))
