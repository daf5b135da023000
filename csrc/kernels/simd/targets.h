// The instruction sets the kernels are compiled for, and which of them calls run on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fusible::kernels {

// Names such as "avx3_bf16", "avx3", "avx2", "sse4", "neon", "scalar"; best first. avx3_bf16 is
// avx3 and the conversions and dot products of AVX512-BF16, with the same bits.
std::vector<std::string> CompiledIsas();
std::vector<std::string> PresentIsas();  // compiled, and this CPU has it
std::string ChosenIsa();

// Every later call runs on this one. ArgumentError unless it is present; "" chooses the best again.
// Not while kernels run.
void ForceIsa(std::string_view name);

inline bool CpuConvertsBf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

inline bool bf16_conversion = CpuConvertsBf16();  // as chosen; only read it by the next function

// Whether kernels may use AVX512-BF16's conversions, and its dot products.
inline bool HasBf16Conversion() { return bf16_conversion; }
inline bool HasBf16Dots() { return bf16_conversion; }

}  // namespace fusible::kernels
