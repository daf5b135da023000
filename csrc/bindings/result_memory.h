// Memory of results, recycled: a fresh large array costs more in page faults than most kernels
// take, and a fresh small one more than a short kernel.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>
#include <cstdint>

namespace fusible {

// 64-byte aligned memory, not cleared, and the object that gives it back when nobody holds it: the
// base of an array (a new reference).
struct ResultMemory {
  std::byte* data;
  PyObject* owner;
};
ResultMemory TakeResultMemory(size_t bytes);

struct PoolState {
  size_t limit = 0;              // bytes that may wait for a next user
  size_t held = 0;               // bytes that wait
  size_t lent = 0;               // bytes of living arrays
  int64_t hits = 0, misses = 0;  // results that took waiting memory, and that did not
};
PoolState ResultPool();

// Gives memory back to the system where more waits. What living arrays hold is not touched.
void LimitResultPool(size_t bytes);

}  // namespace fusible
