"""`fusible demo` where bits differ, and where there are no weights; nothing is timed here."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from fusible.__main__ import commands
from fusible.demo import run, show, subject
from fusible.demo.subject import HOW_TO_GET

BLOCK = ("--model", "smollm2-135m", "--layers", "1")


@pytest.fixture(autouse=True)
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "times_of", lambda pair, machine: {})
    monkeypatch.setattr(run, "Machine", lambda threads: None)
    monkeypatch.setattr(show, "print_times", lambda out, times: None)


def demo(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["demo", *arguments], standalone_mode=False)


@pytest.mark.parametrize("differs", [(), (1,), (3,), (0, 2)])
def test_bits_that_differ_in_any_comparison_fail(
    monkeypatch: pytest.MonkeyPatch, differs: tuple[int, ...]
) -> None:
    compared: list[tuple[int, int]] = []

    def same_bits(pair: object, tokens: int, past: int) -> bool:
        compared.append((tokens, past))
        return len(compared) - 1 not in differs

    monkeypatch.setattr(run, "same_bits", same_bits)
    done = demo(*BLOCK, "--json")
    report = json.loads(done.stdout)
    assert report["same_bits"] is not bool(differs)
    assert done.return_value == (1 if differs else 0)


def test_graphs_that_differ_are_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "same_bits", lambda pair, tokens, past: False)
    done = demo(*BLOCK)
    assert done.return_value == 1
    assert done.stdout.count("same bits: NO\n") == 2


def test_without_weights_a_block_runs_and_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subject, "bundled_weights", lambda: None)
    done = demo()
    assert done.exception is None
    assert done.return_value == 0
    assert HOW_TO_GET in done.stdout
    assert done.stdout.count("same bits: yes\n") == 2
