#include "core/arena.h"

#include <algorithm>
#include <new>
#include <utility>

namespace fusible {
namespace {

constexpr std::align_val_t kAlign{kAlignment};

}  // namespace

Buffer::Buffer(int64_t bytes)
    : data_(static_cast<std::byte*>(::operator new(AlignUp(std::max<int64_t>(bytes, 1)), kAlign))),
      bytes_(bytes) {}

void Buffer::Free::operator()(std::byte* data) const { ::operator delete(data, kAlign); }

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
