"""Rounds of commands and functions, and commits in worktrees."""

import shutil
import subprocess
import sys
import time
from collections import Counter

import pytest

from fusible.gate import worktree
from fusible.gate.measure import WALL, Command, Function, Rounds
from fusible.gate.model import Better, GateError, Series
from fusible.gate.readers import Samples


def python(text, **kind):
    return Command((sys.executable, "-c", text), **kind)


WRITES = """
import os
with open(os.environ["FUSIBLE_GATE_SAMPLES"], "w") as file:
    file.write('{"name": "speed", "value": 3, "unit": "GB/s", "better": "higher"}\\n')
    file.write('{"name": "fused", "value": 7, "unit": "count"}\\n')
"""


class Told:
    """A subject that writes down when it was asked."""

    def __init__(self, name, asked, value=1.0, count=None):
        self.name, self.asked, self.value, self.count = name, asked, value, count

    def sample(self):
        self.asked.append(self.name)
        counts = {} if self.count is None else {"fused": self.count()}
        return Samples((Series("m", (self.value, 2 * self.value)),), counts)


def test_a_command_without_samples_is_timed():
    (wall,) = python("import time; time.sleep(0.05)").sample().series
    assert (wall.name, wall.unit) == (WALL, "ms")
    assert wall.values[0] > 50


def test_a_command_writes_its_own_samples():
    found = python(WRITES).sample()
    assert found.series == (Series("speed", (3.0,), "GB/s", Better.HIGHER),)
    assert found.counts == {"fused": 7}


def test_samples_may_come_through_a_pipe():
    command = python("""print('{"unit": "ms", "name": "m", "value": 2}')""", pipe=True)
    assert command.sample().series == (Series("m", (2.0,)),)


def test_a_command_has_its_folder_and_environment(tmp_path):
    text = "import os; assert os.getcwd() == os.environ['PLACE']"
    python(text, folder=tmp_path, environment={"PLACE": str(tmp_path)}).sample()


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("import sys; sys.exit('no such model')", "exit status 1: no such model"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
    ],
)
def test_a_command_that_fails_is_an_error(text, got):
    with pytest.raises(GateError, match=f"expected exit status 0, got {got}$"):
        python(text).sample()


def test_a_bad_line_is_named():
    with pytest.raises(GateError, match=r"^samples of .*:1: value: expected a positive"):
        python("""print('{"unit": "ms", "name": "m", "value": 0}')""", pipe=True).sample()


def test_a_command_that_takes_too_long_ends_with_its_children():
    text = "import subprocess, time; subprocess.Popen(['sleep', '60.25']); time.sleep(60)"
    with pytest.raises(GateError, match=r"expected an end, got none after 0.5 s$"):
        python(text, timeout=0.5).sample()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and running("60.25"):
        time.sleep(0.05)
    assert not running("60.25")


def running(argument):
    done = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return f"sleep {argument}" in done.stdout


def test_a_command_that_is_not_there_is_an_error():
    with pytest.raises(GateError, match=r"^command: expected one that can be started, got no-such"):
        Command(("no-such-program",)).sample()


@pytest.mark.parametrize("text", ["", "   ", "echo 'a"])
def test_a_line_that_is_no_command_is_refused(text):
    with pytest.raises(GateError, match=r"^command: expected "):
        Command.parse(text)


def test_no_shell_sees_a_command(tmp_path):
    target = tmp_path / "made"
    Command.parse(f"echo a; touch {target}").sample()
    assert not target.exists()


def test_a_function_is_called_until_it_can_be_timed():
    calls = []
    subject = Function(lambda: calls.append(1), "append")
    (found,) = subject.sample().series
    assert found.name == "append"
    assert subject.calls > 100
    assert 0 < found.values[0] < 1


def test_rounds_are_abba_or_baab_as_the_coin_says():
    asked = []
    rounds = Rounds(Told("A", asked), Told("B", asked), warm_up=0)
    rounds.take(10)
    rounds.take(40)
    orders = ["".join(asked[i : i + 4]) for i in range(0, len(asked), 4)]
    counted = Counter(orders)
    assert set(counted) == {"ABBA", "BAAB"}
    assert min(counted.values()) > 10
    assert rounds.taken == len(orders) == 40


def test_the_coin_has_a_seed():
    def orders(seed):
        asked = []
        Rounds(Told("A", asked), Told("B", asked), seed=seed).take(30)
        return asked

    assert orders(1) == orders(1) != orders(2)


def test_every_sample_is_kept_with_its_round():
    rounds = Rounds(Told("A", []), Told("B", [], 3.0))
    rounds.take(2)
    assert rounds.base[0].values == (1.0, 2.0) * 4
    assert rounds.base[0].rounds == (0,) * 4 + (1,) * 4
    assert rounds.candidate[0].values == (3.0, 6.0) * 4


def test_warming_up_leaves_no_sample():
    asked = []
    rounds = Rounds(Told("A", asked), Told("B", asked), warm_up=2)
    rounds.take(1)
    rounds.take(2)
    assert asked[:4] == ["A", "B"] * 2
    assert len(asked) == 4 + 8
    assert len(rounds.base[0].values) == 8


def test_counts_must_repeat():
    rounds = Rounds(Told("A", [], count=lambda: 5), Told("B", [], count=lambda: 6))
    rounds.take(2)
    assert rounds.counts == ({"fused": 5}, {"fused": 6})
    numbers = iter(range(100))
    with pytest.raises(GateError, match=r"^fused: expected the count \d+, got \d+$"):
        Rounds(Told("A", [], count=lambda: next(numbers)), Told("B", [])).take(2)


@pytest.fixture
def repository(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("no git here")
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("first", "second"):
        (folder / "name").write_text(name)
        git(folder, "init", "-q")
        git(folder, "add", "name")
        git(folder, "commit", "-q", "-m", name)
    return folder


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_commit_is_built_in_a_folder_of_its_own(repository):
    build = [sys.executable, "-c", "open('built', 'w').write(open('name').read() + ' built')"]
    with worktree.checked_out(repository, "HEAD~1", build) as folder:
        assert (folder / "built").read_text() == "first built"
    assert not folder.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert not (repository / "built").exists()


def test_a_build_that_fails_leaves_no_worktree(repository):
    build = [sys.executable, "-c", "import sys; sys.exit('no compiler')"]
    with (
        pytest.raises(GateError, match=r"expected exit status 0, got 1: no compiler$"),
        worktree.checked_out(repository, "HEAD", build),
    ):
        pass
    assert len(git(repository, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize("revision", ["no-such", "--all", "", "HEAD:name"])
def test_what_is_no_commit_is_refused(repository, revision):
    with (
        pytest.raises(GateError, match=r"expected a commit, got "),
        worktree.checked_out(repository, revision),
    ):
        pass
