// One token a row from logits: the largest, or drawn at random from the softmax of the most likely.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

// The last six have one element a row. Where absent: draws are greedy, number 0, from all tokens,
// at temperature 1.
struct SamplingArgs {
  Block logits;                // a float dtype
  Block tokens;                // i32
  Block seeds = {};            // u64
  Block draws = {};            // u64
  Block top_k = {};            // i32; less than 1, or the columns and more: all
  Block top_p = {};            // f32; 1 and more: all; the largest at least
  Block temperature = {};      // f32; unless positive and finite: greedy
  int64_t rows = 0, cols = 0;  // columns from 1 to kMostTokens
};

// So many weights of up to 2^30 add up to 2^53 at most: exact in 64 bits, and as a double.
inline constexpr int64_t kMostTokens = int64_t{1} << 23;

// Every weight is w = e^((logit - largest) / temperature) in f32, and counts as the integer
// floor(2^30 w): sums of these have one value in any order. Of the n tokens that top_k leaves,
// top_p leaves the fewest of greatest w (among equal ones the lower index) whose sum is at least
// ceil(top_p * sum of all n), the product as a double. Drawn is the first token, by index, at which
// the sum of those left exceeds floor(sum of all left * random / 2^64), random of kernels/philox.h.
void Sample(const SamplingArgs& args);

}  // namespace fusible::kernels
