"""The command line: `fusible demo`, `explain`, `check`, `bisect`, `suite`, `gate` and many more.

Nothing but click is imported before a command runs, so that `fusible --help` answers at once.
"""

from __future__ import annotations

import sys
import traceback

import click

from fusible.cli import failure, options, unread
from fusible.cli.check import check
from fusible.cli.demo import demo
from fusible.cli.faults import bisect, replay
from fusible.cli.gate import gate
from fusible.cli.graphs import explain
from fusible.cli.key import key
from fusible.cli.lists import info, ops, targets
from fusible.cli.page import graph
from fusible.cli.patterns import patterns
from fusible.cli.split import split
from fusible.cli.suite import suite

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
# Exit status of a fault of fusible itself: 1 is what a check says that failed.
FAULT = 70
# A group alone on the line asks for its help; click before 8.2 prints it without an exception.
NO_ARGUMENTS = getattr(click.exceptions, "NoArgsIsHelpError", ())


@click.group(cls=options.Group, context_settings=CONTEXT)
@options.version
def commands() -> None:
    r"""Operators, fusion and a native executor for LLM inference.

    Exit codes: 0 all is well, 1 a check failed, 2 the input is wrong, 130 interrupted, 70 a fault
    of fusible itself.

    \b
    Examples:
      fusible demo
      fusible explain --model deepseek-v3.2 --target rocm-gfx950
    """


for _command in (
    demo,
    explain,
    check,
    patterns,
    graph,
    split,
    key,
    bisect,
    replay,
    ops,
    targets,
    info,
    suite,
    gate,
):
    commands.add_command(_command)


def main() -> None:
    """Runs the command line and exits; whatever is wrong with the input is one line."""
    unread.allow()
    try:
        code = commands(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("fusible: interrupted", err=True)
        code = 130
    except NO_ARGUMENTS as error:
        error.show()
        code = error.exit_code
    except Exception as error:
        message = failure.sentence(error)
        if message is None:
            traceback.print_exc()
            code = FAULT
        else:
            click.echo(f"fusible: error: {message}", err=True)
            code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
