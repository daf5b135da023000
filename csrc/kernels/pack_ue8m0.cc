#include "kernels/pack_ue8m0.h"

#include <algorithm>
#include <cstring>

namespace fusible::kernels {

// One word for 512 elements that were quantized: plain code, on every instruction set the same.
void PackUe8m0(const PackUe8m0Args& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    const float* scales = a.scales.Row<float>(r);
    uint32_t* packed = a.packed.Row<uint32_t>(r);
    for (int64_t first = 0; first < a.cols; first += 4) {
      uint32_t bits[4] = {};
      std::memcpy(bits, scales + first, std::min<int64_t>(4, a.cols - first) * sizeof(float));
      uint32_t word = 0;
      for (int i = 0; i < 4; ++i) word |= (bits[i] >> 23 & 0xFF) << 8 * i;
      packed[first / 4 * a.packed.stride] = word;
    }
  }
}

}  // namespace fusible::kernels
