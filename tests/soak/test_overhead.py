"""What the runner costs on 2,000 trivial tests in 40 files: figures, printed, not judged.

Each round runs pytest alone, the runner and pytest alone again, so that a slow moment of the
machine is nobody's fault, and the two runs of pytest say how much the figures are worth.
"""

import json
import statistics
import time

from support.small_suites import project, pytest_alone, run

FILES, EACH, ROUNDS = 40, 50, 5
TEST = "import pytest\n@pytest.mark.parametrize('x', range(50))\ndef test_p(x): pass\n"


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def test_whole_command_beside_pytest_alone(tmp_path, capsys):
    folder = project(tmp_path, {f"test_{number}.py": TEST for number in range(FILES)})

    def alone():
        done = pytest_alone(folder, "-q")
        assert f"{FILES * EACH} passed" in done.stdout

    def ours():
        ran = run(folder)
        assert (ran.exit, len(ran.tests)) == (0, FILES * EACH), ran.explained()

    alone()
    ours()
    found = [(seconds(alone), seconds(ours), seconds(alone)) for _ in range(ROUNDS)]
    plain, whole, again = (statistics.median(column) for column in zip(*found, strict=True))
    figures = {
        "pytest alone, s": round(plain, 3),
        "pytest alone once more, s": round(again, 3),
        "fusible suite run, s": round(whole, 3),
        "more, s": round(whole - (plain + again) / 2, 3),
        "tests": FILES * EACH,
    }
    with capsys.disabled():
        print(f"\n{json.dumps(figures)}")
