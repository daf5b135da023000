#include "kernels/sampling_plan.h"

#include <algorithm>

#include "hwy/base.h"
#include "kernels/philox.h"

namespace fusible::kernels {

Draw DrawOf(const SamplingArgs& args, int64_t row) {
  Draw draw;
  const auto columns = static_cast<size_t>(args.cols);
  const int32_t top_k = args.top_k ? *args.top_k.Row<int32_t>(row) : 0;
  draw.top_k = top_k < 1 ? columns : std::min(columns, static_cast<size_t>(top_k));
  if (args.top_p) draw.top_p = *args.top_p.Row<float>(row);
  if (args.temperature) draw.temperature = *args.temperature.Row<float>(row);
  draw.greedy = !args.seeds || !(draw.temperature > 0) || !IsFinite(draw.temperature);
  if (draw.greedy) return draw;
  const uint64_t number = args.draws ? *args.draws.Row<uint64_t>(row) : 0;
  draw.random = RandomBits(*args.seeds.Row<uint64_t>(row), number);
  return draw;
}

uint64_t WantedSum(float top_p, uint64_t total) {
  if (top_p >= 1) return total;
  if (!(top_p > 0)) return 1;
  return static_cast<uint64_t>(std::ceil(double{top_p} * static_cast<double>(total)));
}

float LowestWanted(uint64_t idle, size_t n) {
  // All integers up to idle / n may go. Rounded down to what a float holds.
  const uint64_t lowest = (idle / n + 1) & ~uint64_t{127};
  return std::max(static_cast<float>(lowest), 1.0f) / kUnit;
}

uint64_t Target(uint64_t random, uint64_t sum) {
  uint64_t upper = 0;
  hwy::Mul128(random, sum, &upper);
  return upper;
}

}  // namespace fusible::kernels
