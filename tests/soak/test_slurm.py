"""A suite in an array of a real Slurm: requeued, cancelled, and merged by the job after it."""

import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from support import one_node_slurm, small_suites

REASON = one_node_slurm.unusable()
NEEDED = "slurm" in os.environ.get("FUSIBLE_NEEDS", "").split()  # as .ci/run says
pytestmark = pytest.mark.skipif(bool(REASON) and not NEEDED, reason=f"no Slurm here: {REASON}")

FILES, TESTS, TASKS = 8, 10, 4
TEST_FILE = """
    import time

    import pytest

    @pytest.mark.parametrize("i", range({tests}))
    def test_it(i):
        time.sleep(0.4)
    """


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    assert not REASON
    with one_node_slurm.Cluster(tmp_path_factory.mktemp("slurm") / "cluster") as started:
        yield started


class Submitted:
    """A suite that was submitted, and what is on the shared folder of it."""

    def __init__(self, cluster, folder):
        self.cluster = cluster
        text = TEST_FILE.format(tests=TESTS)
        small_suites.project(folder, {f"tests/test_{i}.py": text for i in range(FILES)})
        self.shared = folder / "shared $HOME"
        options = ["--engine", "slurm", "--partitions", str(TASKS), "--folder", str(self.shared)]
        command = [sys.executable, "-m", "fusible", "suite", "submit", *options]
        done = subprocess.run(
            [*command, "--", "tests", "--continue-on-error"],
            cwd=folder,
            env={**small_suites.environment(), **cluster.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.array, self.merge = re.findall(r"^job (\d+):", done.stdout, re.MULTILINE)

    def events(self, part, kind):
        path = self.shared / f"part-{part}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        # A line that is being written is no event yet.
        return [json.loads(line) for line in lines if line.endswith("}") and kind in line]

    def finished(self, part):
        """Indices of the tests that a partition has finished, in order."""
        return [event["i"] for event in self.events(part, '"e":"finished"')]

    def wait_until_running(self, part):
        one_node_slurm.wait(lambda: len(self.finished(part)) >= 3, f"task {part}")

    def merged(self):
        """What the merge wrote, and its exit status, once it has ended."""
        one_node_slurm.wait(lambda: self.cluster.ended([self.merge]), "the merge", 240)
        text = (self.shared / "merge.out").read_text()
        return text, self.cluster.state(self.merge)["ExitCode"]


def test_a_requeued_task_goes_on_and_the_merge_proves_it(cluster, tmp_path):
    suite = Submitted(cluster, tmp_path)
    suite.wait_until_running(2)
    cluster.command("scontrol", "requeue", f"{suite.array}_2")
    text, status = suite.merged()
    proof = f"proven: planned == executed, {TASKS} partitions, {FILES * TESTS} passed"
    assert (text.splitlines(), status) == ([proof], "0:0")
    assert [len(suite.events(part, '"e":"run"')) for part in range(TASKS)] == [1, 1, 2, 1]
    for part in range(TASKS):
        assert set(Counter(suite.finished(part)).values()) == {1}


def test_a_cancelled_task_is_named_by_the_merge(cluster, tmp_path):
    suite = Submitted(cluster, tmp_path)
    suite.wait_until_running(1)
    cluster.command("scancel", f"{suite.array}_1")
    text, status = suite.merged()
    assert status == "1:0"
    planned = [row[0] for row in suite.events(1, '"e":"plan"')[0]["items"]]
    ran = {planned[index] for index in suite.finished(1)}
    named = {name for name in planned if f": {name}" in text}
    assert ran < set(planned)
    assert named >= set(planned) - ran
    assert "NOT proven" in text


def test_slurm_is_gone_afterwards(tmp_path):
    with one_node_slurm.Cluster(tmp_path / "cluster") as started:
        processes = [process.pid for process in started._daemons]
    for pid in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
