#include "bindings/result_memory.h"

#include <bit>
#include <map>
#include <mutex>
#include <new>
#include <vector>

namespace fusible {
namespace {

constexpr size_t kMaxKept = size_t{256} << 20;  // bytes that wait for a next user
constexpr std::align_val_t kAlignment{64};

struct Block {
  std::byte* data;
  size_t bytes;
};

// Free blocks by size. Sizes are rounded up so that results of slightly different length share
// them.
class FreeBlocks {
 public:
  Block Take(size_t bytes) {
    bytes = RoundUp(bytes);
    {
      const std::lock_guard lock(mutex_);
      auto& blocks = free_[bytes];
      if (!blocks.empty()) {
        std::byte* data = blocks.back();
        blocks.pop_back();
        kept_ -= bytes;
        return {data, bytes};
      }
    }
    return {static_cast<std::byte*>(::operator new(bytes, kAlignment)), bytes};
  }

  void Give(Block block) {
    {
      const std::lock_guard lock(mutex_);
      if (kept_ + block.bytes <= kMaxKept) {
        free_[block.bytes].push_back(block.data);
        kept_ += block.bytes;
        return;
      }
    }
    ::operator delete(block.data, kAlignment);
  }

 private:
  // To an eighth of the next power of two: at most 12.5 % is wasted.
  static size_t RoundUp(size_t bytes) {
    const size_t step = std::bit_ceil(bytes) / 8;
    return (bytes + step - 1) / step * step;
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<std::byte*>> free_;
  size_t kept_ = 0;
};

FreeBlocks& Free() {
  static FreeBlocks& blocks = *new FreeBlocks();
  return blocks;
}

}  // namespace

ResultMemory TakeResultMemory(size_t bytes) {
  auto* block = new Block(Free().Take(bytes));
  return {block->data, pybind11::capsule(block, [](void* pointer) {
            auto* owned = static_cast<Block*>(pointer);
            Free().Give(*owned);
            delete owned;
          })};
}

}  // namespace fusible
