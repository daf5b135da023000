#include "core/arena.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "core/huge_pages.h"

namespace fusible {
namespace {

// What is large begins at a huge page, so that all of it can lie in such pages: a product of one
// row reads a packed weight of 16 MiB 1.9 times as fast as from small ones (Zen 4, virtualized).
std::byte* Allocate(int64_t bytes) {
  const auto size = static_cast<size_t>(std::max<int64_t>(bytes, 1));
  const size_t alignment = size >= kHugePage ? kHugePage : kAlignment;
  const size_t whole = (size + alignment - 1) / alignment * alignment;
  auto* data = static_cast<std::byte*>(std::aligned_alloc(alignment, whole));
  if (!data) throw std::bad_alloc();
  if (size >= kHugePage) AdviseHugePages(data, size);
  return data;
}

}  // namespace

Buffer::Buffer(int64_t bytes) : data_(Allocate(bytes)), bytes_(bytes) {}

void Buffer::Free::operator()(std::byte* data) const { std::free(data); }

ArenaPool::Lease ArenaPool::Take(int64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->bytes() >= bytes && (best == free_.end() || it->bytes() < best->bytes())) best = it;
    }
    if (best != free_.end()) {
      Buffer buffer = std::move(*best);
      free_.erase(best);
      return Lease(this, std::move(buffer));
    }
    // One too small makes room for the larger one: as many buffers as calls at once, not as sizes.
    if (!free_.empty()) free_.pop_back();
  }
  return Lease(this, Buffer(bytes));
}

void ArenaPool::Return(Buffer buffer) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(buffer));
}

}  // namespace fusible
