// Copies between two arrays of one shape that lie in memory differently.
#pragma once

#include "core/tensor.h"

namespace fusible {

// What a copy comes down to: `run` bytes that follow each other in both arrays, at every step of
// the dimensions that are left. Sizes, then strides in bytes.
struct CopyPlan {
  Sizes sizes, from, to;
  int64_t run = 0;  // 0: nothing to copy

  // One run of all bytes.
  bool IsPlain() const { return sizes.empty(); }
};

CopyPlan PlanCopy(DType dtype, const Sizes& shape, const Sizes& from_strides,
                  const Sizes& to_strides);

void RunCopy(const CopyPlan& plan, const std::byte* from, std::byte* to);

// The same, split over threads.
void RunCopyParallel(const CopyPlan& plan, const std::byte* from, std::byte* to);

}  // namespace fusible
