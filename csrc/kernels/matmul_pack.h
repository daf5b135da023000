// Packed weights: the rows of a matrix [cols][depth] as the kernels of products read them.
//
// 32 columns of the product (rows of the matrix) are a panel; word j of a panel, 4 bytes of
// neighbouring elements of a row, is there for one column after the other. The layout depends on
// no instruction set: each reads as many columns of a panel at a time as it has lanes. Behind the
// last element of a row come zeros up to a multiple of 16 bytes, behind the last column that column
// again, up to a whole panel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "kernels/block.h"

namespace fusible::kernels {

inline constexpr int64_t kPackedPanel = 32;  // columns
// Of int8: so many products of any two codes have a sum below 2^31.
inline constexpr int64_t kMostCodeDepth = ((int64_t{1} << 31) - 1) / (128 * 128);

// The first of the two elements of a word is its upper half: that one the dot product of pairs of
// bf16 adds first. After the panels of bf16 follows for each a number, see ExponentFloor; after
// those of int8 the sum of each column, int32.
struct PackedLayout {
  DType dtype;
  int64_t cols, depth;

  int64_t words() const;  // of a column
  int64_t panels() const { return (cols + kPackedPanel - 1) / kPackedPanel; }
  int64_t panel_bytes() const { return words() * kPackedPanel * int64_t{4}; }
  int64_t bytes() const;  // in all

  const std::byte* Panel(const std::byte* packed, int64_t panel) const;
  int32_t Floor(const std::byte* packed, int64_t panel) const;  // of bf16
  const int32_t* Sums(const std::byte* packed) const;           // of int8, by column
};

// The exponent field of the smallest number but zero among bf16; far below for subnormals, far
// above where there is none. `least`: the smallest of (bits without sign) - 1, modulo 2^16.
inline int32_t ExponentFloor(uint16_t least) {
  const int32_t field = (int32_t{least} + 1) >> 7;
  return field == 0 ? -(1 << 10) : field;
}

// The dot product of pairs takes subnormals for zero and makes zeros of them. With exponent fields
// a and b of the smallest numbers of two operands, all products, and all f32 sums of them, are
// multiples of 2^(a - 134) * 2^(b - 134). Where that is a normal number nothing is ever lost, and
// the dot product gives the very bits of a chain of fma.
inline constexpr bool DotIsExact(int32_t a, int32_t b) { return a + b >= 2 * 134 - 126; }

struct PackArgs {
  Block w;  // rows [cols][depth], of floats, 8-bit floats or int8
  PackedLayout layout;
  std::byte* packed;  // layout.bytes(), aligned to 64
};

void PackWeight(const PackArgs& args);

}  // namespace fusible::kernels
