// VNNI: the dot product of four unsigned bytes with four signed ones, added to an int32.
#pragma once

namespace fusible::kernels {

inline bool CpuHasVnni() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

inline bool vnni = CpuHasVnni();  // as targets.cc chose; only read it by the next function

// Whether kernels may use AVX512-VNNI.
inline bool HasVnni() { return vnni; }

}  // namespace fusible::kernels
