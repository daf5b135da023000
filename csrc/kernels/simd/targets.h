// The instruction sets the kernels are compiled for, and which of them calls run on.
#pragma once

#include <cstdint>
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

// AMD's dot products of bf16 are twice as fast as fma, and give the same bits where they are taken.
// Intel's take twice as long (77 GFLOP/s on a Sapphire Rapids, where fma does 155).
inline bool CpuDotsAreFast() {
#if defined(__x86_64__)
  return __builtin_cpu_is("amd") != 0;
#else
  return false;
#endif
}

// Whether it takes stores whose addresses have the same low 20 bits for stores to the same place,
// as long as they are under way: Intel's do, a Zen 3 does not.
inline bool CpuMixesFarStores() {
#if defined(__x86_64__)
  return __builtin_cpu_is("intel") != 0;
#else
  return false;
#endif
}

// Whether loads of a row from `load` on wait for stores of one from `store` on that is written from
// it: each would come before the store of its own step, which so many bytes of loads run ahead of.
inline bool LoadsWait(const void* load, const void* store) {
  static const bool may = CpuMixesFarStores();
  if (!may) return false;
  constexpr uintptr_t kSame = 1 << 20, kAhead = 256;
  const uintptr_t apart =
      (reinterpret_cast<uintptr_t>(store) - reinterpret_cast<uintptr_t>(load)) % kSame;
  return apart != 0 && apart <= kAhead;
}

inline bool bf16_conversion = CpuConvertsBf16();  // as chosen; only read it by the next functions

// Whether kernels may use AVX512-BF16's conversions, and whether they gain by its dot products.
inline bool HasBf16Conversion() { return bf16_conversion; }
inline bool HasBf16Dots() {
  static const bool fast = CpuDotsAreFast();
  return bf16_conversion && fast;
}

}  // namespace fusible::kernels
