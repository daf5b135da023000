// Philox4x32-10, the counter-based random numbers of Salmon, Moraes, Dror and Shaw, "Parallel
// random numbers: as easy as 1, 2, 3" (SC 2011), section 3.3. Checked against the known answers of
// Random123.
#pragma once

#include <array>
#include <cstdint>

namespace fusible::kernels {

using PhiloxWords = std::array<uint32_t, 4>;

inline PhiloxWords Philox(PhiloxWords counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// 64 random bits for a seed and the number of the draw: both are split low word first, the seed
// into the key, the draw into words 0 and 1 of the counter (2 and 3 are zero); the result is word 1
// of the output above word 0.
inline uint64_t RandomBits(uint64_t seed, uint64_t draw) {
  const auto low = [](uint64_t v) { return static_cast<uint32_t>(v); };
  const PhiloxWords words =
      Philox({low(draw), low(draw >> 32), 0, 0}, {low(seed), low(seed >> 32)});
  return uint64_t{words[1]} << 32 | words[0];
}

}  // namespace fusible::kernels
