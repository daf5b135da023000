"""Recycled memory of results: what the figures say, and who may die before whom."""

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

import fusible
from fusible import ops

X = np.ones((64, 1024), np.float32)


@pytest.fixture(autouse=True)
def empty_pool():
    """Each test begins with nothing that waits, and with the limit that there was."""
    gc.collect()
    limit = fusible.pool().limit
    fusible.pool(limit=0)
    fusible.pool(limit=limit)
    yield
    fusible.pool(limit=limit)


def since(before):
    """Hits and misses since then."""
    now = fusible.pool()
    return now.hits - before.hits, now.misses - before.misses


@pytest.mark.parametrize("rows", [0, 1, 64, 1000])
def test_a_loop_that_drops_its_results_takes_fresh_memory_once(rows):
    x = np.ones((rows, 1024), np.float32)
    before = fusible.pool()
    for _ in range(10):
        ops.add(x, x)
    assert since(before) == (9, 1)


def test_a_result_that_is_replaced_needs_two():
    before = fusible.pool()
    y = ops.add(X, X)
    for _ in range(9):
        y = ops.add(X, X)
    assert since(before) == (8, 2)
    assert np.all(y == 2)


def test_results_of_about_one_size_share():
    before = fusible.pool()
    for rows in range(121, 129):
        ops.add(np.ones((rows, 1024), np.float32), np.ones((rows, 1024), np.float32))
    assert since(before) == (7, 1)


def test_figures_count_what_lives_and_what_waits():
    start = fusible.pool()
    y = ops.add(X, X)
    living = fusible.pool()
    assert living.held == start.held == 0
    size = living.lent - start.lent
    assert X.nbytes <= size <= 1.125 * X.nbytes
    del y
    assert fusible.pool() == fusible.Pool(
        limit=start.limit, held=size, lent=start.lent, hits=start.hits, misses=start.misses + 1
    )


def test_no_more_waits_than_the_limit():
    limit = 3 * X.nbytes
    fusible.pool(limit=limit)
    ys = [ops.add(X, X) for _ in range(10)]
    while ys:
        ys.pop()
        assert fusible.pool().held <= limit
    assert fusible.pool().held > 0


def test_what_has_waited_longest_goes():
    old, new = np.ones((100, 1024), np.float32), np.ones((200, 1024), np.float32)
    fusible.pool(limit=int(2.5 * new.nbytes))
    a, b, c = ops.add(old, old), ops.add(new, new), ops.add(new, new)
    del a, b, c  # in this order
    before = fusible.pool()
    kept = [ops.add(new, new), ops.add(new, new)]
    assert since(before) == (2, 0)
    kept.append(ops.add(old, old))
    assert since(before) == (2, 1)


def test_a_result_above_the_limit_drives_out_nothing():
    fusible.pool(limit=2 * X.nbytes)
    small, large = np.ones((8, 1024), np.float32), np.ones((256, 1024), np.float32)
    ops.add(small, small)
    ops.add(large, large)
    before = fusible.pool()
    ops.add(small, small)
    assert since(before) == (1, 0)


def test_a_limit_of_0_returns_the_memory():
    y = ops.add(X, X)
    del y
    assert fusible.pool().held > 0
    assert fusible.pool(limit=0).held == 0
    before = fusible.pool()
    for _ in range(5):
        ops.add(X, X)
    assert since(before) == (0, 5)
    assert fusible.pool().held == 0


@pytest.mark.parametrize("limit", [-1, 1.5, "1", True])
def test_refuses_other_limits(limit):
    before = fusible.pool()
    with pytest.raises(fusible.ArgumentError, match="pool: limit: expected a whole number from 0"):
        fusible.pool(limit=limit)
    assert fusible.pool() == before


def test_memory_is_not_recycled_while_a_view_of_it_lives():
    row = ops.add(X, X)[3]
    again = ops.mul(X, by=7.0)
    assert np.all(row == 2)
    assert np.all(again == 7)


def test_results_are_aligned_and_may_be_written():
    for size in (1, 3, 17, 4097):
        y = ops.add(np.ones((2, size), np.float32), np.ones((2, size), np.float32))
        assert y.ctypes.data % 64 == 0
        y[:] = 5
        assert y.flags.c_contiguous


def test_several_threads_take_and_give():
    start = fusible.pool()
    wrong = []

    def work(value):
        x = np.full((16, 1024), value, np.float32)
        kept = []
        for i in range(300):
            kept.append(ops.mul(x, by=2.0))
            if i % 3 == 2:
                wrong.extend(y for y in kept if not np.all(y == 2 * value))
                kept.clear()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert fusible.pool().lent == start.lent
    assert sum(since(start)) == 4 * 300


def run(script):
    """A process of its own ends without a word; Python 3.12 has one for forks among threads."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_arrays_may_outlive_the_interpreter():
    run(
        "import atexit, builtins, sys, numpy as np\n"
        "from fusible import ops\n"
        "x = np.ones((300, 1024), np.float32)\n"
        "builtins.kept = [ops.add(x, x) for _ in range(4)]\n"
        "sys.modules['kept'] = ops.add(x, x)\n"
        "class Late:\n"
        "    def __init__(self): self.y = ops.add(x, x)\n"
        "    def __del__(self): assert self.y[0, 0] == 2\n"
        "late = Late()\n"
        "late.me = late\n"
        "atexit.register(lambda y=ops.add(x, x): y.sum())\n"
    )


def test_a_forked_child_takes_and_gives():
    out = run(
        "import os, sys, numpy as np, fusible\n"
        "from fusible import ops\n"
        "x = np.ones((300, 1024), np.float32)\n"
        "y = ops.add(x, x); ops.add(x, x)\n"
        "before = fusible.pool()\n"
        "child = os.fork()\n"
        "z = ops.mul(x, by=7.0 if child else 9.0)\n"
        "assert fusible.pool().hits == before.hits + 1\n"
        "assert np.all(y == 2) and np.all(z == (7 if child else 9))\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
        "if child: print('both')\n"
    )
    assert out == "both\n"
