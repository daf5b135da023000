"""The gate never loads the extension, and neither do its tests."""

import sys

import pytest

from fusible.__main__ import main
from fusible.gate import machine
from support.gate_commands import BENCH, lines


@pytest.fixture(autouse=True)
def _settings_restored():
    """In place of the fixture of all other tests, which asks the extension."""


@pytest.fixture
def gate(tmp_path, monkeypatch, capsys):
    """Runs `fusible gate` here, in a folder of its own and with a steady calibration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "calibrate", lambda repeats=1: 10.0)
    (tmp_path / "bench.py").write_text(BENCH)

    def run(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["fusible", "gate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.out + said.err
        return said.err if code == 2 else said.out

    return run


@pytest.fixture
def files(tmp_path):
    """Samples of a base, of the same again, of a regression and of an improvement."""
    factors = {"base": 1.0, "same": 1.0, "slow": 1.3, "fast": 0.7}
    return {
        name: lines(tmp_path / f"{name}.jsonl", factor, seed)
        for seed, (name, factor) in enumerate(factors.items())
    }


@pytest.fixture
def recorded(gate, files):
    gate("record", "--samples", files["base"], "-o", "b.json")
    return "b.json"
