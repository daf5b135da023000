"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fusible.rules import Rule

Function = TypeVar("Function", bound=Callable[..., Any])


class Group(click.Group):
    """A group whose commands keep the lines of their examples.

    Docstrings with a backslash are raw, so they hold two characters where click looks for one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _keep_lines(self)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Adds a command, and whatever is below it."""
        super().add_command(cmd, name)
        _keep_lines(cmd)


def _keep_lines(command: click.Command) -> None:
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    for each in getattr(command, "commands", {}).values():
        _keep_lines(each)


def show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Prints the version and exits, where that is wanted; only then the extension loads."""
    if not wanted or context.resilient_parsing:
        return
    import fusible

    click.echo(f"fusible {fusible.__version__}")
    context.exit()


def version(function: Function) -> Function:
    """`--version`."""
    return click.option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show_version,
        help="Show the version and exit.",
    )(function)


def as_json(function: Function) -> Function:
    """`--json`: one JSON object on standard output, and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(function)


def target(function: Function) -> Function:
    """`--target`: a name of `fusible targets`, or a TOML file."""
    text = "What to fuse for: a name (see `fusible targets`) or a TOML file."
    return click.option("--target", default="cpu", show_default=True, help=text)(function)


def rules(function: Function) -> Function:
    """`--rules`: fusion rules in a TOML file."""
    text = "Rules beside those of operators: a TOML file (see `fusible.rule_files`)."
    path = click.Path(path_type=Path, dir_okay=False)
    return click.option("--rules", type=path, default=None, metavar="FILE", help=text)(function)


def given_rules(path: Path | None) -> list[Rule]:
    """The rules of `--rules`; none where it is not given."""
    from fusible.rule_files import read_rules

    return [] if path is None else read_rules(path)


def pipeline(function: Function) -> Function:
    """`--pipeline`: as text, or a TOML file."""
    text = "Passes joined by commas, or a TOML file that holds a pipeline (default: the target's)."
    return click.option("--pipeline", default=None, help=text)(function)


def sizes(function: Function) -> Function:
    """`--range`: which passes take part."""
    text = "The sizes of the token dimension that the result is for (default: any)."
    return click.option(
        "--range", nargs=2, type=int, metavar="LEAST GREATEST", default=None, help=text
    )(function)


def model(function: Function) -> Function:
    """`--model` and `--layers`: blocks of a published model."""
    name = "Blocks of a published model, such as llama-3.1-8b, or of a TOML file of yours."
    count = "How many layers (default: one, or a windowed and a plain one)."
    layers = click.option("--layers", type=click.IntRange(min=1), default=None, help=count)
    return click.option("--model", default=None, metavar="NAME", help=name)(layers(function))


def unknown(command: str, kind: str, name: str, known: list[str]) -> str:
    """What to say of a name that a command does not know: names near it, or where they are."""
    from difflib import get_close_matches

    near = get_close_matches(name, known)
    hint = f"; near it: {', '.join(near)}" if near else f"; `fusible {command}` lists them"
    return f"{command}: expected the name of {kind}, got {name!r}{hint}"
