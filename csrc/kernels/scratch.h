// Memory that a thread keeps from call to call, so that kernels allocate only when they meet a
// larger size.
#pragma once

#include <cstddef>
#include <new>

#include "hwy/aligned_allocator.h"

namespace fusible::kernels {

class Scratch {
 public:
  // Room for `count` floats, aligned for every vector; what was there before is lost if it grows.
  float* Floats(size_t count) {
    if (count > count_) {
      memory_.reset();
      count_ = 0;
      memory_ = hwy::AllocateAligned<float>(count);
      if (!memory_) throw std::bad_alloc();
      count_ = count;
    }
    return memory_.get();
  }

 private:
  hwy::AlignedFreeUniquePtr<float[]> memory_;
  size_t count_ = 0;
};

}  // namespace fusible::kernels
