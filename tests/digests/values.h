// What operands hold: made of integers alone, so that every machine makes the same.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace fusible::digests {

// Each row (of the last dimension) of an array of floats is of another kind, in turns.
inline constexpr int64_t kRowKinds = 8;
// Columns of which the row of every code has all codes of 16 bits, as floats of any width.
inline constexpr int64_t kAllCodes = 1 << 16;

struct Contents {
  enum class Kind : uint8_t {
    kFloats,    // rows of all kinds
    kOrdinary,  // rows of the first kind alone: no infinity, no NaN
    kIntegers,  // from lowest to below end
    kBits
  };
  Kind kind = Kind::kBits;
  int64_t lowest = 0, end = 0;
};

// Fills a contiguous array; of another seed, with other values.
void Fill(const TensorView& tensor, uint64_t seed, const Contents& contents);

}  // namespace fusible::digests
