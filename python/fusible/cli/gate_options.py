"""Options that the commands of `fusible gate` share, and what they come to."""

from __future__ import annotations

import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fusible.gate.model import Report, Rule

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

FILE = click.Path(path_type=Path, dir_okay=False)


class _Finite(click.FloatRange):
    """A range that "nan" and "inf", which compare with nothing, are outside of."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number that a text means."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, got {value}", param, ctx)
        return number


SHARE = _Finite(min=0, min_open=True, max=0.5)
RATIO = _Finite(min=0)
_SECONDS = _Finite(min=0, min_open=True)

alpha = click.option("--alpha", type=SHARE, metavar="P", help="False alarms of a family (0.01).")
_DECIDING = (
    click.option("--margin", type=RATIO, metavar="R", help="Within it: unchanged (0.05)."),
    alpha,
    click.option("--allow-inconclusive", is_flag=True, help="Exit 0 where it would be 3."),
)
_JUDGING = (
    click.option("--floor", type=RATIO, metavar="R", help="A smaller change is none (0.02)."),
    click.option("--absolute-floor", type=RATIO, metavar="X", help="The same, in the unit (0)."),
    *_DECIDING,
)
_MEASURING = (
    click.option("--command", metavar="CMD", help="What to run; no shell: words, quotes."),
    click.option("--rounds", type=click.IntRange(min=1), metavar="N", help="Processes to run."),
    click.option("--pipe", is_flag=True, help="The command prints its samples (JSON lines)."),
    click.option("--timeout", type=_SECONDS, metavar="S", help="Of one process."),
    click.option("--name", metavar="NAME", help="Of the command's wall time (wall)."),
    click.option("--instructions", is_flag=True, help="Also count instructions, by callgrind."),
)
_SGLANG_FILE = (
    click.option("--overlay", type=FILE, multiple=True, help="SGLang: replaces scenarios."),
    click.option("--runner", envvar="RUNNER_NAME", default="", help="SGLang: whose overrides."),
    click.option("--profile", default="pr_test", help="SGLang: which tolerances."),
)
_SGLANG = (
    click.option(
        "--semantics",
        type=click.Choice(["fusible", "sglang"]),
        default="fusible",
        help="Whose comparison; sglang: one sample, actual <= max(x*(1+rel), x+pad).",
    ),
    *_SGLANG_FILE,
    click.option("--platform", type=click.Choice(["cuda", "hip", "other"]), default="other"),
    click.option("--scenario", metavar="ID", help="SGLang: whose record it is."),
)


def _all(options: tuple[Decorator[Any], ...]) -> Decorator[Function]:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


judging: Decorator[Any] = _all(_JUDGING)
deciding: Decorator[Any] = _all(_DECIDING)
measuring: Decorator[Any] = _all(_MEASURING)
sglang: Decorator[Any] = _all(_SGLANG)
sglang_file: Decorator[Any] = _all(_SGLANG_FILE)


def only(function: Function) -> Function:
    """`--only`: a glob of metrics."""
    text = "Only metrics whose names match, such as 'decode#*'."
    return click.option("--only", default="*", metavar="GLOB", help=text)(function)


def rule(values: Mapping[str, Any]) -> Rule:
    """The rule that the options say."""
    from fusible.gate.model import Rule

    keys = ("margin", "floor", "absolute_floor", "alpha")
    return Rule(**{key: values[key] for key in keys if values.get(key) is not None})


def words(text: str, option: str) -> list[str]:
    """A command of an option as the words that are run; there is no shell."""
    try:
        found = shlex.split(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: expected a command, got {text!r}: {error}") from None
    if not found:
        raise click.UsageError(f"{option}: expected a command, got nothing")
    return found


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends what is run, and removes what was made, as Ctrl-C does.

    Whoever started us to ignore it, or handles it already, keeps their way.
    """
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one has its usual effect
    click.echo("fusible: terminated", err=True)
    raise SystemExit(128 + number)


def refuse_unused(way: str, used: Collection[str]) -> None:
    """Refuses options that are given and would not be looked at; `used` names the others."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is click.core.ParameterSource.COMMANDLINE and name not in used:
            raise click.UsageError(f"{parameter.opts[0]}: expected no such option {way}, got one")


def told(text: str) -> None:
    """Prints a result. A reader of the pipe that has gone changes no exit status."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def code(report: Report, values: Mapping[str, Any]) -> int:
    """The exit status of a report, with what the options make of it."""
    from fusible.gate.model import Verdict

    advisory = any(finding.verdict is Verdict.ADVISORY for finding in report.findings)
    if values.get("require_decision") and advisory:
        return 1
    return 0 if report.exit == 3 and values["allow_inconclusive"] else report.exit
