// What some CPUs with AVX-512 have for bytes: VNNI, the dot product of four unsigned bytes with
// four signed ones, added to an int32; VBMI, the choice of bytes from two registers.
#pragma once

namespace fusible::kernels {

struct ByteExtensions {
  bool vnni = false, vbmi = false;
};

inline ByteExtensions ByteExtensionsOfCpu() {
#if defined(__x86_64__)
  return {__builtin_cpu_supports("avx512vnni") != 0, __builtin_cpu_supports("avx512vbmi") != 0};
#else
  return {};
#endif
}

// As targets.cc chose; only read it by the next functions.
inline ByteExtensions byte_extensions = ByteExtensionsOfCpu();

// Whether kernels may use them.
inline bool HasVnni() { return byte_extensions.vnni; }
inline bool HasVbmi() { return byte_extensions.vbmi; }

}  // namespace fusible::kernels
