// Memory of results, recycled: a fresh large array costs more in page faults than most kernels
// take.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

namespace fusible {

// 64-byte aligned memory, not cleared, and the capsule that gives it back when the array dies.
struct ResultMemory {
  std::byte* data;
  pybind11::capsule owner;
};
ResultMemory TakeResultMemory(size_t bytes);

inline constexpr size_t kRecycledBytes = 64 << 10;  // smaller arrays come from NumPy

}  // namespace fusible
