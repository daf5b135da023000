"""What `fusible gate history`, `report` and `show` print and write."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fusible.cli import gate_check, gate_compare
from fusible.cli import gate_request as request
from fusible.gate import baseline, document, machine, names, readers, sglang
from fusible.gate.baseline import Machine
from fusible.gate.model import Report
from fusible.gate.readers import Samples

Values = Mapping[str, Any]
# Options that `report` doesn't have: it runs nothing.
_NOT_GIVEN = {"command": None, "base_commit": None, "scale": False, "control": ()}


def keep(report: Report, values: Values, held: request.Held) -> None:
    """Appends to --history and writes --html, where they are asked for."""
    if values["history"] is not None and held.samples is not None:
        _append(values["history"], held.samples)
    if values["html"] is not None:
        _write_page(values["html"], report, held, values["history"])


def report_json(report: Report, held: request.Held) -> dict[str, Any]:
    """What --json prints; of a comparison with itself also how often it was found to differ."""
    told = report.to_json()
    return told if held.alarms is None else {**told, "noop": asdict(held.alarms)}


def _append(path: Path, samples: Samples) -> None:
    from fusible.gate import history, record

    samples = record.about(samples)
    history.append(
        path,
        (
            history.Point(
                series.name,
                series.values,
                series.unit,
                series.better,
                samples.commit or "",
                record.now(),
                samples.machine.key if samples.machine else "",
            )
            for series in samples.series
        ),
    )


def _write_page(
    path: Path, report: Report, held: request.Held, file: Path | None, title: str = "fusible gate"
) -> None:
    from fusible.gate import history, page

    earlier = history.points(file) if file is not None and file.exists() else []
    series = held.samples.series if held.samples is not None else ()
    page.write(path, report, earlier, held.base, series, title=title)


def history(values: Values) -> list[dict[str, Any]]:
    """The changes of a history, after appending to it."""
    from fusible.gate import history as store

    for path in values["append"]:
        _append(values["file"], readers.read(path))
    points = [
        point
        for point in store.points(values["file"])
        if fnmatch.fnmatchcase(point.name, values["only"])
    ]
    return [
        {
            "name": change.name,
            "ratio": change.ratio,
            "before": change.before,
            "after": change.after,
            "p": change.p,
            "worse": change.worse,
            "unit": change.at.unit,
            "previous": {"commit": change.previous.commit, "when": change.previous.when},
            "at": {"commit": change.at.commit, "when": change.at.when},
            "machine": change.at.machine,
        }
        for change in store.detect(points, alpha=values["alpha"], floor=values["floor"])
    ]


def change_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Changes as text."""
    told = []
    for row in rows:
        word = "worse" if row["worse"] else "better"
        numbers = f"{row['before']:.5g} -> {row['after']:.5g} {row['unit']}"
        after, at = (row[key]["commit"] or row[key]["when"] or "?" for key in ("previous", "at"))
        change = f"{names.visible(row['name'])}  {word}  {row['ratio'] - 1:+.1%}  {numbers}"
        told.append(f"{change}  after {after[:20]}, at {at[:20]}  p={row['p']:.2g}")
    return told or ["no change"]


def report(values: Values) -> Report:
    """Writes the page of samples beside a baseline, or beside other samples."""
    if bool(values["baseline"]) == bool(values["base"]) or not values["samples"]:
        raise click.UsageError("expected --samples, and either --baseline or --base")
    values = {**_NOT_GIVEN, **values}
    if values["base"]:
        found, held = gate_compare.compare_files({**values, "candidate": values["samples"]})
    else:
        found, held = gate_check.check_samples(values)
    _write_page(values["html"], found, held, values["history"], values["title"])
    return found


def shown(path: Path) -> dict[str, Any]:
    """What a file holds, as plain values."""
    text = document.read_text(path)
    value: Any = None
    if not readers.is_lines(text):
        value = document.parse(text, str(path), constants=True)
    if sglang.recognised(value):
        held = sglang.convert(sglang.load(path), str(path))
        return {"kind": "SGLang's baseline", **_metrics(held)}
    if isinstance(value, dict) and value.get("format") == baseline.FORMAT:
        return {"kind": "baseline", **_metrics(baseline.from_value(value, str(path)))}
    return {"kind": "samples", **_samples(readers.read(path))}


def _metrics(held: baseline.Baseline) -> dict[str, Any]:
    rows = [
        {"name": name, **metric.model_dump(exclude={"samples", "rounds"})}
        for name, metric in held.metrics()
    ]
    machines = {key: one.model_dump() for key, one in held.machines.items()}
    return {"metrics": rows, "counts": held.counts(), "machines": machines}


def _samples(samples: Samples) -> dict[str, Any]:
    rows = []
    for series in samples.series:
        n, median, mad = baseline.facts(series.values)
        facts = {"n": n, "median": median, "mad": mad}
        rows.append(
            {"name": series.name, "unit": series.unit, "better": series.better.value, **facts}
        )
    return {"metrics": rows, "counts": samples.counts, "machines": {}}


def this_machine() -> dict[str, Any]:
    """This machine's fingerprint and calibration."""
    here: Machine = machine.fingerprint()
    told = {here.key: here.model_dump()}
    return {"kind": "machine", "machines": told, "calibration_ms": machine.calibrate()}


def shown_lines(told: Mapping[str, Any]) -> list[str]:
    """What `shown` and `this_machine` tell, as text."""
    rows = [told["kind"]]
    rows += [_metric_line(metric) for metric in told.get("metrics", ())]
    rows += [f"  {name}: exactly {count}" for name, count in told.get("counts", {}).items()]
    for key, one in told["machines"].items():
        rows.append(f"machine {key}")
        rows += [f"  {name}: {_plain(value)}" for name, value in one["hard"].items()]
        rows += [f"  ({name}: {value})" for name, value in one["noted"].items()]
    if "calibration_ms" in told:
        rows.append(f"calibration: {told['calibration_ms']:.4g} ms")
    return rows


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _metric_line(row: Mapping[str, Any]) -> str:
    facts = f"{row['median']:.5g} {row['unit']} ±{row['mad']:.2g}, n={row['n']}"
    borne = row.get("tolerance")
    if borne:
        facts += f", tolerance {borne['relative']:.3g} and {borne['absolute']:.3g}"
    where = f", {row['commit'][:12]}" if row.get("commit") else ""
    return f"  {row['name']}: {facts}, {row['better']} is better{where}"


def schema() -> str:
    """The JSON Schema of a baseline file."""
    return baseline.schema()
