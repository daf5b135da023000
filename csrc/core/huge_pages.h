// Large pages of memory, where the system has them.
#pragma once

#include <cstddef>

namespace fusible {

inline constexpr size_t kHugePage = size_t{2} << 20;

// Asks for huge pages where `memory` has whole ones. A wish: the system may refuse it.
void AdviseHugePages(std::byte* memory, size_t bytes);

}  // namespace fusible
