// Tokens from logits: the most likely one, or one drawn at random.
#include "kernels/sampling.h"

#include <algorithm>
#include <string_view>

#include "ops/library/library.h"

namespace fusible::library {
namespace {

constexpr std::string_view kDraw =
    "A token is drawn with probability w / sum of w of the tokens left, w = e^((logit - largest) "
    "/ temperature) in f32, each w counted as floor(2^30 w), so that sums are exact in any order: "
    "the first, by index, at which the running sum exceeds floor(sum * random / 2^64). random is "
    "word 1, then word 0 of Philox4x32-10 with the seed as key and the row's number in draws (0 "
    "unless given) as counter, low words first. Rows whose largest logit is no finite number, or "
    "whose temperature is no positive finite one (0, say), give greedy_sample's token. The token "
    "of a row depends on its own operands alone.";
constexpr std::string_view kTopK =
    "top_k leaves the top_k largest logits, of equal ones those of lower index; below 1 it "
    "leaves all.";
constexpr std::string_view kTopP =
    "top_p leaves the fewest most likely tokens whose sum of w is at least ceil(top_p * the sum "
    "before), of equal ones those of lower index, and one at least; 1 "
    "and above leave all, below 0 and NaN count as 0.";

template <int kTopKPlace, int kTopPPlace>
void SampleRows(const RowCall& c) {
  constexpr int kBehind = 1 + std::max(kTopKPlace, kTopPPlace);
  kernels::SamplingArgs args{.logits = c.in[0], .tokens = c.out[0], .seeds = c.in[1]};
  if (kTopKPlace > 0) args.top_k = c.in[kTopKPlace];
  if (kTopPPlace > 0) args.top_p = c.in[kTopPPlace];
  args.temperature = c.in[kBehind];
  args.draws = c.in[kBehind + 1];
  args.rows = c.rows;
  args.cols = c.Dim("V");
  kernels::Sample(args);
}

// `filters`: the operands that say which tokens are left.
Op Sampling(std::string_view name, std::string_view filters, std::string_view doc,
            Op::RowsFn rows) {
  return Op(Cat(name, "_sampling_from_logits(logits: F[..., V], seeds: u64[...], ", filters,
                ", temperature: f32[...]?, draws: u64[...]?) -> tokens: i32[...]"
                " where 1 <= V, V <= ",
                kernels::kMostTokens))
      .Doc(Cat("Draws one token a row. ", doc, " ", kDraw))
      .Source(
          "Fan et al. 2018, arXiv:1805.04833, section 5.1 (top-k); Holtzman et al. 2019, "
          "arXiv:1904.09751, section 3.1 (top-p); Salmon et al. 2011, doi:10.1145/2063384.2063405 "
          "(Philox)")
      .Cost(4)
      .Rows(rows);
}

Op Greedy() {
  return Op(Cat("greedy_sample(logits: F[..., V]) -> tokens: i32[...] where 1 <= V, V <= ",
                kernels::kMostTokens))
      .Doc(
          "The index of each row's largest logit, of equal ones the lowest; NaN counts as larger "
          "than every number.")
      .Source("Fan et al. 2018, arXiv:1805.04833, section 5.1 (k = 1)")
      .Cost(4)
      .Rows([](const RowCall& c) {
        kernels::Sample(
            {.logits = c.in[0], .tokens = c.out[0], .rows = c.rows, .cols = c.Dim("V")});
      });
}

}  // namespace

std::vector<Op> sampling() {
  std::vector<Op> ops;
  ops.push_back(Greedy());
  ops.push_back(Sampling("top_k", "top_k: i32[...]", kTopK, SampleRows<2, 0>));
  ops.push_back(Sampling("top_p", "top_p: f32[...]", kTopP, SampleRows<0, 2>));
  ops.push_back(Sampling("top_k_top_p", "top_k: i32[...], top_p: f32[...]", Cat(kTopK, " ", kTopP),
                         SampleRows<2, 3>));
  return ops;
}

}  // namespace fusible::library
