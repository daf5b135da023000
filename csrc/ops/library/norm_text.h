// The norms that fused operators begin with, and the names of those that add first.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "core/cat.h"

namespace fusible::library {

struct NormText {
  std::string_view op;
  std::string_view source;
};

inline constexpr std::array<NormText, 2> kNormTexts = {{
    {"rms_norm", "Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4"},
    {"gemma_rms_norm",
     "Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295"},
}};

// "rms_norm" becomes "fused_add_rms_norm", "gemma_rms_norm" "gemma_fused_add_rms_norm".
inline std::string WithAdd(std::string_view norm) {
  const size_t at = norm.find("rms_norm");
  return Cat(norm.substr(0, at), "fused_add_", norm.substr(at));
}

}  // namespace fusible::library
