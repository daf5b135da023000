// The storage types of floats and codes, as kernels see them in memory.
#pragma once

#include <cstdint>

namespace fusible::kernels {

struct BF16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};
struct E4M3FN {
  uint8_t bits;
};
struct E4M3FNUZ {
  uint8_t bits;
};
struct E5M2 {
  uint8_t bits;
};
using I8 = int8_t;

}  // namespace fusible::kernels
