"""What the runner costs on 2,000 trivial tests in 40 files, in seconds of processor time.

Each round runs pytest alone, with the plugin, the whole command, and pytest alone again, so that a
slow moment of the machine is nobody's fault; the two runs of pytest alone say how much the figures
are worth. Other programs only ever add to the time, so a bound counts as broken where three of four
rounds break it and the quietest round of each way does too.
"""

import json
import os
import resource
import statistics
import time
from pathlib import Path

import pytest

from fusible.suite import boot
from fusible.suite.session import STACKS_SIGNAL
from support.small_suites import PYTHON, captured, environment, project, pytest_alone, run

FILES, EACH, ROUNDS = 40, 50, 15
TEST = "import pytest\n@pytest.mark.parametrize('x', range(50))\ndef test_p(x): pass\n"
PLUGIN, COMMAND = 0.05, 0.5  # of pytest's own time, and seconds


class Ways:
    """Three ways to run the same tests."""

    def __init__(self, folder):
        self.folder = project(folder, {f"test_{number}.py": TEST for number in range(FILES)})
        self.spec = self.folder / "spec.json"
        (self.folder / "control").write_bytes(b"\0")
        files = {name: str(self.folder / name) for name in ("ledger", "control", "stacks")}
        nothing = dict.fromkeys(("items", "files", "known"))
        flags = ("stop_on_failure", "continue_on_collection_errors", "collect_only")
        about = {"session": 0, "stacks_signal": int(STACKS_SIGNAL), **dict.fromkeys(flags, False)}
        self.spec.write_text(json.dumps({**files, **nothing, **about}))

    def alone(self):
        done = pytest_alone(self.folder, "-q")
        assert f"{FILES * EACH} passed" in done.stdout

    def plugin(self):
        command = [PYTHON, boot.__file__, str(self.spec), "-q"]
        done = captured(command, cwd=self.folder, env=environment())
        assert f"{FILES * EACH} passed" in done.stdout, done.stderr

    def command(self):
        ran = run(self.folder)
        assert (ran.exit, len(ran.tests)) == (0, FILES * EACH), ran.explained()


def cost(function):
    """Seconds of processor time that a command and its children take, and of the clock."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    function()
    after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, took


def spread(values):
    """Quartiles, rounded."""
    return [round(value, 4) for value in statistics.quantiles(values, n=4)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Rounds of (alone, plugin, command, alone), each (processor, clock)."""
    ways = Ways(tmp_path_factory.mktemp("overhead"))
    order = (ways.alone, ways.plugin, ways.command, ways.alone)
    for function in order:
        function()
    rounds = [[cost(function) for function in order] for _ in range(ROUNDS)]
    keep(rounds)
    return rounds


def keep(rounds):
    """Writes the quartiles where .ci/run shows them."""
    names = ("pytest alone", "with the plugin", "fusible suite run", "pytest alone once more")
    figures = {
        name: {
            "processor": spread([one[way][0] for one in rounds]),
            "clock": spread([one[way][1] for one in rounds]),
        }
        for way, name in enumerate(names)
    }
    found = {"tests": FILES * EACH, "rounds": ROUNDS, "quartiles of seconds": figures}
    found["plugin, of pytest alone"] = spread(shares(rounds))
    found["plugin, quietest rounds"] = round(shares([quietest(rounds)])[0], 4)
    found["command, seconds more"] = spread(more(rounds))
    found["command, quietest rounds"] = round(more([quietest(rounds)])[0], 4)
    folder = Path(os.environ.get("FUSIBLE_FIGURES", "build/figures"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "overhead.json").write_text(json.dumps(found, indent=1) + "\n")


def plain(one):
    return (one[0][0] + one[3][0]) / 2


def shares(rounds):
    return [one[1][0] / plain(one) - 1 for one in rounds]


def more(rounds):
    return [one[2][0] - plain(one) for one in rounds]


def quietest(rounds):
    """A round of the least that each way took."""
    return [min(way) for way in zip(*rounds, strict=True)]


def least(cost_of, rounds):
    return min(spread(cost_of(rounds))[0], *cost_of([quietest(rounds)]))


def test_the_plugin_costs_a_twentieth_at_most(measured):
    assert least(shares, measured) <= PLUGIN, shares(measured)


def test_the_command_costs_half_a_second_at_most(measured):
    assert least(more, measured) <= COMMAND, more(measured)
