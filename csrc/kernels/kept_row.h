// Memory of a core's first level for a row that a kernel reads again.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block.h"
#include "kernels/scratch.h"
#include "kernels/simd/targets.h"

namespace fusible::kernels {

// Where results lie a few lines behind what is read but for whole MiB, as allocators lay arrays one
// behind the other, norms of 512 rows of 4,096 took 3 times as long on a Sapphire Rapids as with
// other arrays: then a row is worth keeping. On a Zen 3 that took 1.03 to 1.08 times as long.
inline bool LoadsWait(const Block& read, const Block& written) {
  return LoadsWait(read.data, written.data);
}

class KeptRow {
 public:
  // A row too large to stay there is not kept.
  void Make(size_t bytes) {
    static thread_local Scratch scratch;
    if (bytes > kMostBytes) return;
    auto* room =
        reinterpret_cast<std::byte*>(scratch.Floats((bytes + 2 * kPage + kLine) / sizeof(float)));
    page_ = room + -reinterpret_cast<uintptr_t>(room) % kPage;
  }
  explicit operator bool() const { return page_ != nullptr; }

  // Its place, from where no load waits for stores to the rows at `to` and `other`.
  template <class T>
  T* ApartFrom(const T* to, const T* other) const {
    const auto first = reinterpret_cast<uintptr_t>(to), second = reinterpret_cast<uintptr_t>(other);
    uintptr_t place = (first + kPage / 4) % kPage / kLine * kLine;
    if ((second - place) % kPage < kPage / 4) place = (place + kPage / 4) % kPage;
    return reinterpret_cast<T*>(page_ + place);
  }

 private:
  static constexpr size_t kPage = 4096, kLine = 64, kMostBytes = 64 << 10;

  std::byte* page_ = nullptr;
};

}  // namespace fusible::kernels
