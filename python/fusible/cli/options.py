"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def as_json(function: Function) -> Function:
    """`--json`: one JSON object on standard output, and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(function)


def target(function: Function) -> Function:
    """`--target`: a name of `fusible targets`, or a TOML file."""
    text = "What to fuse for: a name (see `fusible targets`) or a TOML file."
    return click.option("--target", default="cpu", show_default=True, help=text)(function)


def model(function: Function) -> Function:
    """`--model` and `--layers`: blocks of a published model."""
    name = "Blocks of a published model, such as llama-3.1-8b, or of a TOML file of yours."
    count = "How many layers (default: one, or a windowed and a plain one)."
    layers = click.option("--layers", type=click.IntRange(min=1), default=None, help=count)
    return click.option("--model", default=None, metavar="NAME", help=name)(layers(function))
