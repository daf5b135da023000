// Memory of a core's first level for a row that a kernel reads again.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block.h"
#include "kernels/scratch.h"
#include "kernels/simd/targets.h"

namespace fusible::kernels {

// On Intel's CPUs a load waits for a store before it whose address has the same low 20 bits until
// that is done. Where results lie a few lines behind what is read but for whole MiB, as allocators
// lay arrays one behind the other, norms of 512 rows of 4,096 took 3 times as long on a Sapphire
// Rapids as with other arrays. A Zen 3 makes no difference, and takes 1.03 to 1.08 times as long
// with rows kept.
inline bool LoadsWait(uintptr_t load, uintptr_t store) {
  static const bool may = CpuMixesFarStores();
  if (!may) return false;
  constexpr uintptr_t kSame = 1 << 20, kFar = 256;  // a load that far ahead runs before the store
  const uintptr_t apart = (store - load) % kSame;
  return apart != 0 && apart <= kFar;
}
inline bool LoadsWait(const Block& read, const Block& written) {
  return LoadsWait(reinterpret_cast<uintptr_t>(read.data),
                   reinterpret_cast<uintptr_t>(written.data));
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
