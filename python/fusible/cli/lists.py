"""`fusible ops`, `fusible targets` and `fusible info`: what there is."""

from __future__ import annotations

import json
from typing import Any

import click

from fusible.cli import options


@click.command()
@click.argument("name", required=False)
@options.as_json
def ops(name: str | None, as_json: bool) -> None:
    r"""Lists the operators, or says all about the operator NAME.

    \b
    Examples:
      fusible ops
      fusible ops fused_add_rms_norm
      fusible ops --json
    """
    from fusible import _core

    if name is not None:
        if name not in _core.op_names():
            raise click.UsageError(options.unknown("ops", "an operator", name, _core.op_names()))
        found = _core.find_op(name).describe()
        click.echo(json.dumps(found) if as_json else _operator(found))
        return
    all_ops = [_core.find_op(each).describe() for each in _core.op_names()]
    if as_json:
        click.echo(json.dumps({op["name"]: op for op in all_ops}))
        return
    width = max(len(op["name"]) for op in all_ops)
    for op in all_ops:
        click.echo(f"{op['name']:{width}}  {op['kind']:6}  {op['doc'].partition('.')[0]}.")


def _operator(op: dict[str, Any]) -> str:
    lines = [op["signature"], "", op["doc"]]
    if op["source"]:
        lines.append(f"Source: {op['source']}")
    if op["equals"]:
        body = [line.strip() for line in op["equals"].strip().splitlines()]
        lines += ["", "Equals:", *(f"  {line}" for line in body)]
    return "\n".join(lines)


@click.command()
@click.argument("name", required=False)
@options.as_json
def targets(name: str | None, as_json: bool) -> None:
    r"""Lists the targets, or says all about the target NAME (or a TOML file).

    \b
    Examples:
      fusible targets
      fusible targets rocm-gfx950 --json
    """
    from fusible.targets import load_target, names

    if name is not None:
        found = load_target(name)
        click.echo(json.dumps(_target(found)) if as_json else str(found))
        return
    all_targets = [_target(load_target(each)) for each in names()]
    if as_json:
        click.echo(json.dumps({target["name"]: target for target in all_targets}))
        return
    for target in all_targets:
        count = f"{len(target['operators'])} operators"
        click.echo(f"{target['name']:14} {target['fp8']:9} {count:13} {target['pipeline']}")


def _target(target: Any) -> dict[str, Any]:
    from fusible import _core

    return {
        "name": target.name,
        "pipeline": target.pipeline,
        "fp8": target.fp8,
        "scratch_bytes": target.scratch_bytes,
        "operators": [op for op in _core.op_names() if target.has(op)],
    }


@click.command()
@options.as_json
def info(as_json: bool) -> None:
    r"""Says what this build is, and what it runs on.

    FUSIBLE_ISA forces an instruction set, FUSIBLE_THREADS the number of threads.

    \b
    Examples:
      fusible info --json
      FUSIBLE_ISA=avx2 fusible info
    """
    from fusible.information import info as collect

    found = collect()
    if as_json:
        click.echo(json.dumps(found))
        return
    isa, optional = found["isa"], found["optional"]
    click.echo(f"fusible {found['version']}, build {found['build_id']}")
    click.echo(f"instruction set: {isa['chosen']} (present: {', '.join(isa['present'])})")
    click.echo(f"threads: {found['threads']}")
    there = [name for name, present in optional.items() if present]
    click.echo(f"optional packages: {', '.join(there) or 'none'}")
