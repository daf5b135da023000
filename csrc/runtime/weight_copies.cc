#include "runtime/weight_copies.h"

#include <algorithm>
#include <utility>

#include "runtime/packed_weight.h"
#include "runtime/strided_copy.h"

namespace fusible {

template <class Make>
WeightCopies::Copy WeightCopies::Find(Entry entry, const Make& make) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(entries_, [&](const Entry& other) {
    return other.weight == entry.weight && other.offset == entry.offset &&
           other.packed == entry.packed && other.layout == entry.layout;
  });
  if (found != entries_.end()) return found->buffer;
  entry.buffer = std::make_shared<const Buffer>(make());
  return entries_.emplace_back(std::move(entry)).buffer;
}

WeightCopies::Copy WeightCopies::Get(int weight, int64_t offset, const ArrayLayout& layout,
                                     const std::byte* data) {
  return Find({weight, offset, layout, false, nullptr}, [&] {
    Buffer buffer(layout.bytes());
    RunCopyParallel(
        PlanCopy(layout.dtype, layout.shape, layout.strides, ContiguousStrides(layout.shape)),
        data + offset, buffer.data());
    return buffer;
  });
}

WeightCopies::Copy WeightCopies::GetPacked(int weight, int64_t offset, const ArrayLayout& layout,
                                           const std::byte* data) {
  return Find({weight, offset, layout, true, nullptr}, [&] {
    return Pack({.data = const_cast<std::byte*>(data) + offset,
                 .dtype = layout.dtype,
                 .shape = layout.shape,
                 .strides = layout.strides});
  });
}

}  // namespace fusible
