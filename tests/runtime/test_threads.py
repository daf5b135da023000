"""Calls from many threads at once, on any number of them, in any process."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fusible
from fusible import ops, spec
from support.graphs import bits, normal


def layer(x, w, a):
    y = ops.rms_norm(ops.add(x, x), w)
    return ops.softmax(ops.matmul(y, a)), y


TYPES = {
    "x": spec("f32[T, 64]"),
    "w": spec("f32[64]", constant=True),
    "a": spec("f32[96, 64]", constant=True),
}
WEIGHTS = {"w": normal(1, (64,), "f32"), "a": normal(2, (96, 64), "f32")}


def test_calls_at_once():
    run = fusible.compile(fusible.trace(layer, **TYPES), weights=WEIGHTS)
    inputs = [normal(i, (1 + 37 * i % 90, 64), "f32") for i in range(40)]
    expected = [[bits(a) for a in layer(x, **WEIGHTS)] for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: run(x=x), inputs * 5))
    assert [[bits(a) for a in r] for r in results] == expected * 5


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_bits_do_not_depend_on_threads(threads):
    run = fusible.compile(fusible.trace(layer, **TYPES), weights=WEIGHTS)
    x = normal(3, (777, 64), "f32")
    fusible._core.set_threads(1)
    expected = [bits(a) for a in run(x=x)]
    fusible._core.set_threads(threads)
    assert [bits(a) for a in run(x=x)] == expected


def test_eager_calls_at_once():
    w = np.ones(256, np.float32)
    inputs = [normal(i, (1 + i % 7, 256), "f32") for i in range(60)]

    def call(x):
        return [bits(a) for a in ops.fused_add_rms_norm(x, x, w)]

    expected = [call(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, inputs)) == expected


def test_an_error_in_one_call_leaves_the_others_alone():
    def look_up(ids, w):
        return ops.softmax(ops.embedding(ids, w))

    types = {"ids": spec("i32[T]"), "w": spec("f32[10, 64]", constant=True)}
    weights = {"w": normal(1, (10, 64), "f32")}
    run = fusible.compile(fusible.trace(look_up, **types), weights=weights)
    good, bad = np.array([1, 9], np.int32), np.array([1, 10], np.int32)
    expected = bits(run(ids=good))

    def call(ids):
        try:
            return bits(run(ids=ids))
        except fusible.RangeError:
            return None

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, [good, bad] * 50)) == [expected, None] * 50


def run(script, **settings):
    """What a process of its own prints; it ends without a word of complaint."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **settings},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# Python 3.12 and newer warn of every fork of a process with threads.
FORKS = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}
COUNT = "from fusible import _core; print(_core.thread_count())"


def test_the_setting_is_the_number_of_threads():
    assert run(COUNT, FUSIBLE_THREADS="3") == "3\n"
    assert run(COUNT, FUSIBLE_THREADS="") == f"{fusible._core.usable_cpus()}\n"


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "5000"])
def test_other_settings_are_refused(text):
    script = "import fusible\n" + COUNT.replace("; ", "\ntry:\n    ") + "\n"
    script += "except fusible.Error as error:\n    print(error)"
    message = f"FUSIBLE_THREADS: expected a whole number from 1 to 1024, got '{text}'\n"
    assert run(script, FUSIBLE_THREADS=text) == message


def test_a_bound_process_has_the_threads_of_its_cpus():
    bind = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    assert run(bind + COUNT, FUSIBLE_THREADS="") == "1\n"


def test_a_bound_thread_of_a_host_does_not_bind_the_pool():
    script = (
        "import os, threading\n"
        "from fusible import _core\n"
        "cpus = os.sched_getaffinity(0)\n"
        "def work():\n"
        "    os.sched_setaffinity(0, {min(cpus)})\n"
        "    assert _core.thread_count() == _core.usable_cpus()\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start(); thread.join()\n"
        "print(_core.usable_cpus() <= len(cpus))\n"
    )
    assert run(script, FUSIBLE_THREADS="") == "True\n"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs to leave one of them")
def test_a_helper_leaves_its_callers_cpu():
    script = (
        "import os, threading, numpy as np\n"
        "from fusible import ops\n"
        "cpus = os.sched_getaffinity(0)\n"
        "x = np.ones((4096, 1024), np.float32)\n"
        "before = set(os.listdir('/proc/self/task'))\n"
        "def left():\n"
        "    me = str(threading.get_native_id())\n"
        "    helpers = set(os.listdir('/proc/self/task')) - before - {me}\n"
        "    return [os.sched_getaffinity(int(one)) == cpus - {min(cpus)} for one in helpers]\n"
        "def work():\n"
        "    os.sched_setaffinity(0, {min(cpus)})  # and so the threads that it starts\n"
        "    for _ in range(200):  # a helper that comes too late has not begun\n"
        "        ops.add(x, x)\n"
        "        if left() == [True]:\n"
        "            print('left')\n"
        "            return\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start(); thread.join()\n"
    )
    assert run(script, FUSIBLE_THREADS="2") == "left\n"


# Of the group that a process is in, of the groups around it, and of both versions of the files.
QUOTAS = {
    "none": ("0::/a/b", {"a/b/cpu.max": "max 100000"}, None),
    "own": ("0::/a/b", {"a/b/cpu.max": "100000 100000"}, 1),
    "around": ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1),
    "container": ("0::/", {"cpu.max": "50000 100000"}, 1),
    "least": ("0::/a", {"cpu.max": "100000 100000", "a/cpu.max": "900000 100000"}, 1),
    "old": ("4:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": "1", "cpu/a/cpu.cfs_period_us": "1"}, 1),
    "old without": (
        "4:cpu,cpuacct:/a",
        {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"},
        None,
    ),
    "old of another kind": ("5:memory:/a", {"cpu.max": "100000 100000"}, None),
    "broken": ("0:/a\n\nx", {"cpu.max": "100000 100000"}, None),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_the_quota_of_a_control_group_counts(name, tmp_path):
    groups, files, cpus = QUOTAS[name]
    files = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{k}": v for k, v in files.items()}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text + "\n")
    bound = len(os.sched_getaffinity(os.getpid()))
    assert fusible._core.usable_cpus(str(tmp_path)) == (cpus or bound)


def test_one_thread_starts_no_other():
    script = (
        "import os, numpy as np, fusible\n"
        "from fusible import ops\n"
        "x = np.ones((512, 1024), np.float32)\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "ops.add(x, x)\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    assert run(script, FUSIBLE_THREADS="1") == "0\n"
    assert run(script, FUSIBLE_THREADS="4") == "3\n"


def test_a_small_call_starts_no_other():
    script = (
        "import os, numpy as np, fusible\n"
        "from fusible import ops\n"
        "x = np.ones((2, 1024), np.float32)\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "ops.add(x, x)\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    assert run(script, FUSIBLE_THREADS="4") == "0\n"


def test_calls_at_once_share_one_pool():
    script = (
        "import os, threading, numpy as np, fusible\n"
        "from fusible import ops\n"
        "x = np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)\n"
        "expected = ops.softmax(x).tobytes()\n"
        "wrong, most = [], []\n"
        "def work():\n"
        "    for _ in range(20):\n"
        "        wrong.extend([1] * (ops.softmax(x).tobytes() != expected))\n"
        "        most.append(len(os.listdir('/proc/self/task')))\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "callers = [threading.Thread(target=work) for _ in range(6)]\n"
        "[caller.start() for caller in callers]\n"
        "[caller.join() for caller in callers]\n"
        "print(wrong, max(most) <= before + 6)\n"
    )
    assert run(script, FUSIBLE_THREADS="3") == "[] True\n"


def test_a_forked_child_and_its_child_work():
    script = (
        "import os, numpy as np, fusible\n"
        "from fusible import ops\n"
        "x = np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)\n"
        "fusible._core.set_threads(3)\n"
        "expected = ops.softmax(x).tobytes()\n"
        "for depth in range(3):\n"
        "    if child := os.fork():\n"
        "        assert os.waitpid(child, 0)[1] == 0\n"
        "        break\n"
        "    assert fusible._core.thread_count() == 3\n"
        "    assert ops.softmax(x).tobytes() == expected\n"
        "    assert len(os.listdir('/proc/self/task')) == 3\n"
        "    fusible._core.set_threads(2)\n"
        "    assert ops.softmax(x).tobytes() == expected\n"
        "    fusible._core.set_threads(3)\n"
        "print(depth)\n"
    )
    assert sorted(run(script, **FORKS).split()) == ["0", "1", "2", "2"]


def test_a_child_forked_among_calls_works():
    script = (
        "import os, threading, numpy as np\n"
        "from fusible import ops\n"
        "x = np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)\n"
        "w = np.ones(1024, np.float32)\n"
        "expected = [a.tobytes() for a in ops.fused_add_rms_norm(x, x, w)]\n"
        "stop = threading.Event()\n"
        "def work():\n"
        "    n = 0\n"
        "    while not stop.is_set():\n"
        "        n = n % 500 + 1\n"
        "        ops.fused_add_rms_norm(x[:n], x[:n], w)\n"
        "threads = [threading.Thread(target=work) for _ in range(2)]\n"
        "[thread.start() for thread in threads]\n"
        "for _ in range(20):\n"
        "    if not (child := os.fork()):\n"
        "        y = ops.fused_add_rms_norm(x, x, w)\n"
        "        os._exit([a.tobytes() for a in y] != expected)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "stop.set()\n"
        "[thread.join() for thread in threads]\n"
    )
    run(script, **FORKS, FUSIBLE_THREADS="2")


SPLIT = """
import hashlib, numpy as np, fusible
from fusible import ops
fusible._core.set_bytes_per_thread(1)
digest = hashlib.sha256()
for rows in (1, 2, 3, 5, 16, 33):
    x = np.random.default_rng(rows).standard_normal((rows, 256)).astype(np.float32)
    w = x[0].copy()
    results = [ops.add(x, x), ops.rms_norm(x, w), ops.softmax(x), ops.silu_and_mul(x)]
    results += ops.fused_add_rms_norm_group_quant_fp8(x, x, w)
    results += ops.per_token_group_quant_fp8(x.reshape(1, rows, 256))
    for result in results:
        digest.update(result.tobytes())
print(digest.hexdigest())
"""


def test_any_split_gives_the_same_bits():
    assert len({run(SPLIT, FUSIBLE_THREADS=threads) for threads in ("1", "2", "3", "8")}) == 1
