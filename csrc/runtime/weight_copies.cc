#include "runtime/weight_copies.h"

#include <algorithm>
#include <utility>

#include "runtime/packed_weight.h"
#include "runtime/row_draft.h"
#include "runtime/strided_copy.h"

namespace fusible {
namespace {

Buffer Contiguous(const ArrayLayout& layout, const std::byte* data) {
  Buffer buffer(layout.bytes());
  RunCopyParallel(
      PlanCopy(layout.dtype, layout.shape, layout.strides, ContiguousStrides(layout.shape)), data,
      buffer.data());
  return buffer;
}

}  // namespace

template <class Make>
WeightCopies::Copy WeightCopies::Find(Entry entry, const Make& make) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(entries_, [&](const Entry& other) {
    return other.source == entry.source && other.offset == entry.offset &&
           other.packed == entry.packed && other.layout == entry.layout;
  });
  if (found != entries_.end()) return found->copy;
  const auto buffer = std::make_shared<const Buffer>(make());
  entry.copy = {{buffer, buffer->data()}, buffer->bytes(), static_cast<int>(entries_.size())};
  return entries_.emplace_back(std::move(entry)).copy;
}

WeightCopies::Copy WeightCopies::Get(int source, int64_t offset, const ArrayLayout& layout,
                                     const std::byte* data) {
  return Find({source, offset, layout, false}, [&] { return Contiguous(layout, data + offset); });
}

WeightCopies::Copy WeightCopies::GetPacked(int source, int64_t offset, const ArrayLayout& layout,
                                           const std::byte* data) {
  return Find({source, offset, layout, true}, [&] {
    TensorView rows{.data = const_cast<std::byte*>(data) + offset,
                    .dtype = layout.dtype,
                    .shape = layout.shape,
                    .strides = layout.strides};
    Buffer laid_out;
    if (!IsPacked(layout.shape, layout.strides, 1)) {
      laid_out = Contiguous(layout, rows.data);
      rows.data = laid_out.data();
      rows.strides = ContiguousStrides(layout.shape);
    }
    return Pack(rows);
  });
}

void WeightCopies::UsePacked(int weight, const ArrayLayout& layout, const std::byte* packed) {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<const std::byte> kept(std::shared_ptr<const std::byte>(), packed);
  entries_.push_back(
      {weight,
       0,
       layout,
       true,
       {kept, PackedBytes(layout.dtype, layout.shape), static_cast<int>(entries_.size())},
       false});
}

int64_t WeightCopies::bytes() {
  const std::lock_guard lock(mutex_);
  int64_t sum = 0;
  for (const Entry& entry : entries_) sum += entry.made ? entry.copy.bytes : 0;
  return sum;
}

}  // namespace fusible
