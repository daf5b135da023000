"""What the runner costs on 2,000 trivial tests in 40 files.

Of the plugin alone instructions are counted (by callgrind), which are the same on a busy machine:
of 50 and of 250 tests, which gives what a process and what a test costs. Of the whole command it is
seconds by the clock, in rounds with pytest alone before and behind it. One round of a busy machine
says nothing (0.2 to 0.8 s where the median is 0.4), nor do the quietest, which need not belong
together: the command is too slow if nearly every round says so, by a sign test. Nor does a second
mean the same everywhere: where pytest alone takes more than one, half of its time is the limit.
(It took 2.2 s on a Zen 3, 3.0 s beside a compiler, and the command 0.5 and 1.0 s more.)
"""

import json
import os
import re
import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fusible.suite import boot
from fusible.suite.session import STACKS_SIGNAL
from support.small_suites import PYTHON, captured, environment, project, pytest_alone, run

FILES, EACH = 40, 50
ROUNDS, SLOW = 10, 9  # so many slow rounds of a command at the limit come once in 93 times
FEW, MORE = 1, 5  # files whose instructions are counted
TEST = "import pytest\n@pytest.mark.parametrize('x', range(50))\ndef test_p(x): pass\n"
PLUGIN, COMMAND = 0.05, 0.5  # of pytest's own instructions; seconds, or of pytest's own ones
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}  # as pip leaves what it has installed


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
        done = pytest_alone(self.folder, "-q", env=COMPILED)
        assert f"{FILES * EACH} passed" in done.stdout

    def instructions(self, files, *way):
        """Of `python WAY` over so many files."""
        names = [f"test_{number}.py" for number in range(files)]
        counter = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        command = [*counter, PYTHON, *way, "-q", "-p", "no:cacheprovider", *names]
        done = captured(command, cwd=self.folder, env=environment({"PYTHONHASHSEED": "0"}))
        assert f"{files * EACH} passed" in done.stdout, done.stderr
        return int(re.search(r"Collected : (\d+)", done.stderr)[1])

    def command(self):
        ran = run(self.folder, env=COMPILED)
        assert (ran.exit, len(ran.tests)) == (0, FILES * EACH), ran.explained()


def seconds(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def keep(name, figures):
    """Writes figures where .ci/run shows them."""
    folder = Path(os.environ.get("FUSIBLE_FIGURES", "build/figures"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")


def of_all(few, more):
    """The instructions of all tests, from those of few files and of more."""
    each = (more - few) / (MORE - FEW)
    return few + each * (FILES - FEW)


@pytest.mark.skipif(
    shutil.which("valgrind") is None and "FUSIBLE_NEEDS" not in os.environ,
    reason="needs valgrind, which counts instructions",
)
def test_the_plugin_costs_a_twentieth_at_most(tmp_path):
    ways = Ways(tmp_path)
    alone, plugin = ("-m", "pytest"), (boot.__file__, str(ways.spec))
    runs = [(files, *way) for way in (alone, plugin) for files in (FEW, MORE)]
    ways.instructions(FEW, *plugin)  # compiles what is compiled once
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda run: ways.instructions(*run), runs))
    pytest_alone_, with_plugin = of_all(*counts[:2]), of_all(*counts[2:])
    share = with_plugin / pytest_alone_ - 1
    keep("plugin", {"tests": FILES * EACH, "instructions": counts, "share": round(share, 4)})
    assert share <= PLUGIN


def test_the_command_costs_half_a_second_or_half_of_pytest_at_most(tmp_path):
    ways = Ways(tmp_path)
    order = (ways.alone, ways.command, ways.alone)
    for function in order[:2]:
        function()
    rounds = [[seconds(function) for function in order] for _ in range(ROUNDS)]
    own = [(before + behind) / 2 for before, _, behind in rounds]
    more = [command - pytest_s for (_, command, _), pytest_s in zip(rounds, own, strict=True)]
    columns = dict(zip(("before", "command", "behind"), zip(*rounds, strict=True), strict=True))
    figures = {
        name: [round(value, 3) for value in statistics.quantiles(column, n=4)]
        for name, column in {**columns, "more": more}.items()
    }
    limits = [COMMAND * max(1.0, pytest_s) for pytest_s in own]
    slow = sum(value > limit for value, limit in zip(more, limits, strict=True))
    keep("command", {"tests": FILES * EACH, "quartiles, s": figures, "slow rounds": slow})
    assert slow < SLOW, figures
