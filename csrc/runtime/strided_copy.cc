#include "runtime/strided_copy.h"

#include <array>
#include <cstring>

#include "core/threads.h"
#include "ops/rows.h"

namespace fusible {
namespace {

// One element or run of `Bytes` bytes; a constant size lets the compiler use plain moves.
template <size_t kBytes>
void CopyLine(int64_t n, const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step) {
  for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * to_step, from + i * from_step, kBytes);
}

void CopyAnyLine(int64_t run, int64_t n, const std::byte* from, int64_t from_step, std::byte* to,
                 int64_t to_step) {
  switch (run) {
    case 1:
      return CopyLine<1>(n, from, from_step, to, to_step);
    case 2:
      return CopyLine<2>(n, from, from_step, to, to_step);
    case 4:
      return CopyLine<4>(n, from, from_step, to, to_step);
    case 8:
      return CopyLine<8>(n, from, from_step, to, to_step);
    default:
      for (int64_t i = 0; i < n; ++i) {
        std::memcpy(to + i * to_step, from + i * from_step, run);
      }
  }
}

// Adds a dimension in front of what is there, or folds it into the one behind it.
void PrependDim(CopyPlan& plan, int64_t size, int64_t from, int64_t to) {
  if (size == 1) return;
  if (plan.sizes.empty() && from == plan.run && to == plan.run) {
    plan.run *= size;
    return;
  }
  // Dimensions are collected last first, and turned round at the end.
  if (!plan.sizes.empty()) {
    const int64_t inner = plan.sizes.back();
    if (from == plan.from.back() * inner && to == plan.to.back() * inner) {
      plan.sizes.back() *= size;
      return;
    }
  }
  plan.sizes.push_back(size);
  plan.from.push_back(from);
  plan.to.push_back(to);
}

}  // namespace

CopyPlan PlanCopy(DType dtype, const Sizes& shape, const Sizes& from_strides,
                  const Sizes& to_strides) {
  CopyPlan plan;
  if (Product(shape) == 0) return plan;
  const auto bytes = static_cast<int64_t>(Bytes(dtype));
  plan.run = bytes;
  for (int i = shape.size() - 1; i >= 0; --i) {
    PrependDim(plan, shape[i], from_strides[i] * bytes, to_strides[i] * bytes);
  }
  std::reverse(plan.sizes.begin(), plan.sizes.end());
  std::reverse(plan.from.begin(), plan.from.end());
  std::reverse(plan.to.begin(), plan.to.end());
  return plan;
}

void RunCopy(const CopyPlan& plan, const std::byte* from, std::byte* to) {
  if (plan.run == 0) return;
  if (plan.IsPlain()) {
    std::memcpy(to, from, plan.run);
    return;
  }
  const int last = plan.sizes.size() - 1;
  std::array<int64_t, kMaxRank> index{};
  for (;;) {
    CopyAnyLine(plan.run, plan.sizes[last], from, plan.from[last], to, plan.to[last]);
    int d = last - 1;
    for (; d >= 0; --d) {
      from += plan.from[d];
      to += plan.to[d];
      if (++index[d] < plan.sizes[d]) break;
      from -= plan.from[d] * plan.sizes[d];
      to -= plan.to[d] * plan.sizes[d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

void RunCopyParallel(const CopyPlan& plan, const std::byte* from, std::byte* to) {
  if (plan.IsPlain()) {
    ParallelFor(plan.run, BytesPerThread(), [&](int64_t begin, int64_t end) {
      std::memcpy(to + begin, from + begin, end - begin);
    });
    return;
  }
  const int64_t slice = plan.run * Product(plan.sizes) / plan.sizes[0];
  ParallelFor(plan.sizes[0], BytesPerThread() / slice + 1, [&](int64_t begin, int64_t end) {
    CopyPlan part = plan;
    part.sizes[0] = end - begin;
    RunCopy(part, from + begin * plan.from[0], to + begin * plan.to[0]);
  });
}

}  // namespace fusible
