"""The help texts, what a bare `fusible` says, and its version."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

import fusible
from fusible.__main__ import commands
from support.command import run


def every(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from every(below, *path, name)


@pytest.mark.parametrize("path", list(every(commands)), ids=" ".join)
def test_examples_of_every_command_keep_their_lines(path: tuple[str, ...]) -> None:
    command: click.Command = commands
    context = click.Context(command, info_name="fusible")
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
        context = click.Context(command, parent=context, info_name=name)
    text = command.get_help(context)
    assert "\\b" not in text
    assert "\b" not in text
    lines = [line.strip() for line in text.splitlines()]
    examples = lines[lines.index("Examples:") + 1 :]
    assert [line for line in examples if line.startswith("fusible ")]


def test_help_is_printed_with_its_examples() -> None:
    assert "\n  Examples:\n    fusible info --json\n" in run("info", "--help").stdout


def test_no_command_shows_the_help_and_no_error() -> None:
    done = run(code=2)
    assert done.stderr.startswith("Usage: ")
    assert "error" not in done.stderr.splitlines()[0]


def test_version() -> None:
    assert run("--version").stdout == f"fusible {fusible.__version__}\n"
