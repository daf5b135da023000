"""A call of an executable allocates its results and what Python needs, and nothing by operator.

A settled call of one operator allocates nothing at all: even its result comes from the pool.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

# The C library's malloc under our name, counted.
COUNTER = """
#include <stddef.h>
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
static long count;
long allocations(void) { return __atomic_load_n(&count, __ATOMIC_RELAXED); }
static void counted(void) { __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED); }
void *malloc(size_t size) { counted(); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { counted(); return __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { counted(); return __libc_realloc(old, size); }
void *memalign(size_t align, size_t size) { counted(); return __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { counted(); return __libc_memalign(align, size); }
int posix_memalign(void **to, size_t align, size_t size) {
  counted();
  *to = __libc_memalign(align, size);
  return *to ? 0 : 12;
}
"""

# Prints how many allocations a settled call makes: of graphs that hold an operator 1, 2 and 12
# times; of one operator called alone; and of NumPy, to find out a counter that counts nothing.
MEASURE = """
import ctypes
import json
import numpy as np
import fusible
from fusible import _core, ops
from support.calls import legal_call, numpy_dtype
allocations = ctypes.CDLL(None).allocations
allocations.restype = ctypes.c_long
names = {numpy_dtype(name): name for name in _core.dtypes()}

def count(call):
    for _ in range(5):
        call()
    before = allocations()
    call()
    return allocations() - before

def of_graph(name, times):
    operands, attrs = legal_call(name)

    def repeated(**values):
        return [getattr(ops, name)(*values.values(), **attrs) for _ in range(times)][0]

    types = {key: fusible.spec(f"{names[a.dtype]}{list(a.shape)}") for key, a in operands.items()}
    # A pass that leaves what nothing needs, and equal calls, as they are.
    result = fusible.optimize(fusible.trace(repeated, **types), pipeline="canonicalize")
    run = fusible.compile(result)
    assert len(run.profile(**operands).steps) >= times
    return count(lambda: run(**operands))

x = legal_call("softmax")[0]["x"]
report = {
    name: [of_graph(name, times) for times in (1, 2, 12)]
    for name in _core.op_names()
    if _core.find_op(name).describe()["kind"] != "view"
}
alone, numpy = count(lambda: ops.softmax(x)), count(lambda: np.empty(1 << 20))
print(json.dumps({"operators": report, "alone": alone, "numpy": numpy}))
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None,
    reason="counts by a library that is preloaded, made with cc",
)
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="malloc is the sanitizer's")
def test_no_operator_of_an_executable_allocates(tmp_path):
    source, library = tmp_path / "count.c", tmp_path / "count.so"
    source.write_text(COUNTER)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    environment = {"LD_PRELOAD": str(library), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env=os.environ | environment | {"FUSIBLE_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["numpy"] > 0
    assert counts["alone"] == 0
    by_operator = counts["operators"].items()
    assert {name: found for name, found in by_operator if len(set(found)) > 1} == {}
