"""Options that the commands of `fusible suite` share, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fusible.suite.config import SuiteConfig
    from fusible.suite.request import Request

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
_SECONDS = click.FloatRange(min=0)

_SELECTION = (
    click.argument("paths", nargs=-1),
    click.option("--suite", metavar="NAME", help="A suite of suites.toml."),
    click.option("--config", type=FILE, help="suites.toml (default: here or in a folder above)."),
    click.option("-k", "k", metavar="EXPR", help="Tests whose names match, as pytest's -k."),
    click.option("-m", "markers", metavar="EXPR", help="Tests with these markers, as pytest's -m."),
    click.option("--base-dir", type=FOLDER, help="Where pytest runs (default: here)."),
    click.option("--python", metavar="PATH", help="The tests' interpreter (default: ours)."),
    click.option("--durations", type=FILE, help="Recorded durations, for even partitions."),
    click.option("--machine", metavar="CLASS", help="Whose durations (default: all together)."),
)
_PARTITION = (
    click.option("--partition-id", type=int, metavar="I", help="Which partition, from 0."),
    click.option("--total-partitions", type=int, metavar="N", help="Of how many."),
    click.option("--plan", "plan_file", type=FILE, help="A plan of `fusible suite plan`."),
    click.option("--partition-plan-json", metavar="TEXT", help="A plan's JSON, ours or SGLang's."),
    click.option("--env-prefix", metavar="P", help="Read P_PARTITION_ID and such for options."),
)
_RUNNING = (
    click.option("--continue-on-error", is_flag=True, help="Go on after a final failure."),
    click.option("--workers", type=click.IntRange(min=1), metavar="W", help="Processes at a time."),
    click.option("--retries", type=click.IntRange(min=0), metavar="R", help="Retries of a test."),
    click.option("--timeout-test", type=_SECONDS, metavar="S", help="A test's limit; 0 is none."),
    click.option("--timeout-file", type=_SECONDS, metavar="S", help="A file's limit."),
    click.option("--timeout-suite", type=_SECONDS, metavar="S", help="The limit of it all."),
    click.option("--ledger", type=FILE, help="The ledger (default: under .fusible)."),
    click.option("--fail-on-flaky", is_flag=True, help="Exit 4 if tests are only flaky."),
    click.option("--allow-empty", is_flag=True, help="A suite that selects nothing is good."),
)


def _all(options: tuple[Decorator[Any], ...]) -> Decorator[Function]:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


selection: Decorator[Any] = _all(_SELECTION)
partition: Decorator[Any] = _all(_PARTITION)
running: Decorator[Any] = _all(_RUNNING)


def suite_config(values: Mapping[str, Any]) -> tuple[SuiteConfig, Path]:
    """The suite that is meant, with options in place of its own values, and where pytest runs."""
    from fusible.suite.config import SuiteConfig, base_of

    path, name = _config_path(values), values.get("suite")
    if path is not None and (name or not values["paths"]):
        config, base = _named(path, name), base_of(path)
    elif name in (None, SuiteConfig().name):  # the paths are one suite, and that is its name
        config, base = SuiteConfig(), Path.cwd()
    else:
        raise click.UsageError("--suite: expected a suites.toml here or above, found none")
    if values.get("base_dir") is not None:
        base = values["base_dir"].absolute()
    return _with_options(config, values, base), base


def _config_path(values: Mapping[str, Any]) -> Path | None:
    from fusible.suite.config import find_config

    given: Path | None = values.get("config")
    return given if given is not None else find_config(Path.cwd())


def _named(path: Path, name: str | None) -> SuiteConfig:
    from fusible.suite.config import load_config

    suites = load_config(path)
    if name is None and len(suites) == 1:
        return next(iter(suites.values()))
    if name not in suites:
        got = "none" if name is None else repr(name)
        raise click.UsageError(f"--suite: {path}: expected one of {', '.join(suites)}, got {got}")
    return suites[name]


def _with_options(config: SuiteConfig, values: Mapping[str, Any], base: Path) -> SuiteConfig:
    from fusible.suite.config import limit

    changes: dict[str, Any] = {
        key: values[key] for key in ("k", "markers", "workers") if values.get(key) is not None
    }
    if values["paths"]:
        changes["paths"] = tuple(_from(base, path) for path in values["paths"])
    if values.get("retries") is not None:
        changes["retry"] = replace(config.retry, times=values["retries"])
    limits: dict[str, Any] = {
        key: limit(values[f"timeout_{key}"])
        for key in ("test", "file", "suite")
        if values.get(f"timeout_{key}") is not None
    }
    if limits:
        changes["timeout"] = replace(config.timeout, **limits)
    if values.get("allow_empty"):
        changes["allow_empty"] = True
    return replace(config, **changes)


def _from(base: Path, path: str) -> str:
    """A path of the command line as seen from where pytest runs."""
    here = Path.cwd()
    if base == here or Path(path.partition("::")[0]).is_absolute():
        return path
    return str(here / path) if (here / path.partition("::")[0]).exists() else path


def base_request(values: Mapping[str, Any]) -> Request:
    """What selection and running options ask for, before any partition is chosen."""
    import sys

    from fusible.suite import place
    from fusible.suite.durations import load
    from fusible.suite.request import Request

    config, base = suite_config(values)
    place.check_needs(config)
    durations = values.get("durations")
    commit, changes = place.checkout(base)
    return Request(
        config=config,
        base=base,
        folder=base,
        ledger=values.get("ledger") or base,
        python=place.interpreter(values.get("python") or sys.executable),
        continue_on_error=bool(values.get("continue_on_error")),
        fail_on_flaky=bool(values.get("fail_on_flaky")),
        durations=None if durations is None else load(durations),
        machine=values.get("machine") or place.machine_class(),
        weigh_as=values.get("machine"),
        commit=commit,
        changes=changes,
    )
