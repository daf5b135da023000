#include "runtime/weight_copies.h"

#include <algorithm>

#include "runtime/strided_copy.h"

namespace fusible {

std::shared_ptr<const Buffer> WeightCopies::Get(int weight, int64_t offset,
                                                const ArrayLayout& layout, const std::byte* data) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
    return entry.weight == weight && entry.offset == offset && entry.layout == layout;
  });
  if (found != entries_.end()) return found->buffer;
  const auto buffer = std::make_shared<const Buffer>(layout.bytes());
  RunCopyParallel(
      PlanCopy(layout.dtype, layout.shape, layout.strides, ContiguousStrides(layout.shape)),
      data + offset, buffer->data());
  entries_.push_back({weight, offset, layout, buffer});
  return buffer;
}

}  // namespace fusible
