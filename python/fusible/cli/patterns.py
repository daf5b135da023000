"""`fusible patterns`: what can fuse, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusible.cli import options

if TYPE_CHECKING:
    from fusible.targets import Target

_TARGET = "Say whether each fuses for this target: a name (see `fusible targets`) or a TOML file."
_ROWS = (
    "Beside these, {name} fuses any row operators that share their first dimensions: fuse-rows"
    " runs them together, and calls what is one of these by its name."
)


@click.command()
@click.argument("name", required=False)
@click.option("--target", default=None, help=_TARGET)
@options.rules
@options.as_json
def patterns(name: str | None, target: str | None, rules: Path | None, as_json: bool) -> None:
    r"""Lists the patterns that fuse, or those of NAME: the fused operator, and a drawing.

    With --rules those of the file stand behind those of the operators, each under its rule's name.

    A drawing is a tree: the last call stands first, and below it what it reads. A call stands with
    its attributes, which are a value or, as a name, the fused operator's own. Behind an arrow are
    the fused operator's results; what another call of the pattern makes must not be read elsewhere
    unless it is one of them. Views of `via` may lie between two calls.

    \b
    Examples:
      fusible patterns
      fusible patterns fused_add_rms_norm_group_quant_fp8 --target cuda-sm90
      fusible patterns --target rocm-gfx950 --json
      fusible patterns my_sharp --rules rules.toml --target cuda-sm90
    """
    from fusible import _core, load_target
    from fusible.rules import natives

    every = [*_core.rules(), *natives(options.given_rules(rules))]
    named = every if name is None else [rule for rule in every if rule.name == name]
    if name is not None and not named:
        known = [*dict.fromkeys(rule.name for rule in every)]
        raise click.UsageError(options.unknown("patterns", "a pattern", name, known))
    chosen = None if target is None else load_target(target)
    found = [describe(rule, chosen) for rule in named]
    if as_json:
        click.echo(json.dumps({"target": chosen.name if chosen else None, "patterns": found}))
        return
    click.echo("\n\n".join(text_of(one) for one in found))
    if chosen is not None and name is None and "fuse-rows" in chosen.pipeline:
        click.echo(f"\n{_ROWS.format(name=chosen.name)}")


def describe(rule: Any, target: Target | None) -> dict[str, Any]:
    """A rule as plain data, and what becomes of it on the target if there is one."""
    from fusible.patterns import draw, judge

    calls = [
        {
            "op": call.op,
            "attrs": dict(call.attrs),
            "operands": [rule.values[value] if value >= 0 else None for value in call.operands],
            "results": [rule.values[value] for value in call.results],
        }
        for call in rule.calls
    ]
    found = {
        "name": rule.name,
        "signature": rule.signature,
        "calls": calls,
        "via": rule.via,
        "drawing": draw(rule),
    }
    if target is not None:
        found["target"] = {"name": target.name, **judge(rule, target)._asdict()}
    return found


def text_of(found: dict[str, Any]) -> str:
    """A rule for a reader."""
    lines = [found["signature"], *(f"  {line}" for line in found["drawing"].splitlines())]
    if found["via"] and len(found["calls"]) > 1:
        lines.append(f"  via: {', '.join(found['via'])}")
    if "target" in found:
        lines.append(f"  {_verdict(found['target'])}")
    return "\n".join(lines)


def _verdict(target: dict[str, Any]) -> str:
    if not target["by"]:
        return f"{target['name']}: no: {target['reason']}: {target['hint']}"
    limits = [
        f"{attr} {' or '.join(str(value) for value in values)}"
        for attr, values in target["limits"].items()
    ]
    return f"{target['name']}: {'; '.join([target['by'], *limits])}"
