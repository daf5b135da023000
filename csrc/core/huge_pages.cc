#include "core/huge_pages.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdint>

namespace fusible {

void AdviseHugePages([[maybe_unused]] std::byte* memory, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
  constexpr size_t kPage = size_t{4} << 10;
  const size_t unaligned = reinterpret_cast<uintptr_t>(memory) % kPage;
  const size_t skipped = unaligned ? kPage - unaligned : 0;
  if (skipped < bytes) madvise(memory + skipped, bytes - skipped, MADV_HUGEPAGE);
#endif
}

}  // namespace fusible
