// The arithmetic of sampling that is the same on every instruction set. See sampling.h.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/largest.h"
#include "kernels/sampling.h"
#include "kernels/scratch.h"

namespace fusible::kernels {

inline constexpr float kUnit = 0x1p30f;  // what weight 1 counts for

inline uint32_t BitsOf(float value) { return std::bit_cast<uint32_t>(value); }
inline float FloatOf(uint32_t bits) { return std::bit_cast<float>(bits); }
inline bool IsFinite(float value) { return std::isfinite(value); }
inline uint64_t IntegerOf(float weight) { return static_cast<uint32_t>(weight * kUnit); }

// What a thread keeps for the rows of its calls.
struct SamplingMemory {
  Largest largest;
  Scratch weights;
};

// What the token of one row is drawn with.
struct Draw {
  bool greedy = true;
  uint64_t random = 0;
  size_t top_k = 0;  // at most the columns
  float top_p = 1, temperature = 1;
};

Draw DrawOf(const SamplingArgs& args, int64_t row);

// The tokens that are left: those of greater weight, and the first `equal` of this weight.
struct Cut {
  float weight = -1;
  uint64_t equal = 0;
  uint64_t sum = 0;  // of all that are left
};

// The sum that the most likely tokens must reach, from 1 to `total`.
uint64_t WantedSum(float top_p, uint64_t total);

// Of n weights all below this may go, as they cannot sum to more than `idle`.
float LowestWanted(uint64_t idle, size_t n);

// floor(sum * random / 2^64): each value from 0 to below `sum` is equally likely, to 2^-64.
uint64_t Target(uint64_t random, uint64_t sum);

}  // namespace fusible::kernels
