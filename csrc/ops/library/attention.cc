#include "kernels/attention.h"

#include <algorithm>

#include "core/error.h"
#include "ops/library/library.h"

namespace fusible::library {
namespace {

// Operands by their place in the signature, and the result behind them.
enum : uint8_t { kQ, kKeys, kValues, kTable, kStart, kLengths, kResult };
constexpr const char* kNames[] = {"q",           "k_cache", "v_cache", "block_table",
                                  "query_start", "lengths", "y"};

template <class E, class... Parts>
[[noreturn]] void Fail(int operand, const Parts&... parts) {
  throw E(Cat("attention: ", kNames[operand], ": expected ", parts...));
}

const int32_t* Integers(const WholeCall& c, int operand) {
  return reinterpret_cast<const int32_t*>(c.in[operand].data);
}

void CheckLayout(const WholeCall& c) {
  for (int i = 0; i <= kResult; ++i) {
    const TensorView& tensor = i < kResult ? c.in[i] : c.out[0];
    if (tensor.IsContiguous()) continue;
    Fail<ShapeError>(i, "a contiguous array, got strides ", tensor.strides, " of shape ",
                     tensor.shape, "; numpy.ascontiguousarray makes it so");
  }
}

void CheckStarts(const WholeCall& c) {
  const int32_t* start = Integers(c, kStart);
  const int64_t sequences = c.Dim("S"), tokens = c.Dim("T");
  if (start[0] != 0) Fail<RangeError>(kStart, "0 first, got ", start[0]);
  for (int64_t s = 0; s < sequences; ++s) {
    if (start[s + 1] >= start[s]) continue;
    Fail<RangeError>(kStart, "values that do not fall, got ", start[s], " and then ", start[s + 1],
                     " at [", s + 1, "]");
  }
  if (start[sequences] != tokens) {
    Fail<RangeError>(kStart, tokens, " (the rows of q) last, got ", start[sequences]);
  }
}

// Blocks are checked where they hold keys that some query may see.
void CheckSequence(const WholeCall& c, int64_t s) {
  const int64_t width = c.Dim("M"), page = c.Dim("P"), blocks = c.Dim("B");
  const int64_t length = Integers(c, kLengths)[s];
  const int64_t queries = Integers(c, kStart)[s + 1] - Integers(c, kStart)[s];
  if (length < 0 || length > width * page) {
    Fail<RangeError>(kLengths, "values from 0 to ", width * page,
                     " (the keys of a row of block_table), got ", length, " at [", s, "]");
  }
  if (length != 0 && length < queries) {
    Fail<RangeError>(kLengths, "0, or at least the ", queries, " queries of the sequence, got ",
                     length, " at [", s, "]");
  }
  const int64_t window = c.Int("window");
  const int64_t seen = window > 0 ? std::min(window, length) + queries - 1 : length;
  const int64_t first = length > seen ? (length - seen) / page : 0;
  for (int64_t i = first; queries > 0 && i * page < length; ++i) {
    const int64_t block = Integers(c, kTable)[s * width + i];
    if (block >= 0 && block < blocks) continue;
    Fail<RangeError>(kTable, "values from 0 to below ", blocks, ", got ", block, " at [", s, ", ",
                     i, "]");
  }
}

void RunAttention(const WholeCall& c) {
  CheckLayout(c);
  CheckStarts(c);
  for (int64_t s = 0; s < c.Dim("S"); ++s) CheckSequence(c, s);
  const int64_t heads = c.Dim("H"), size = c.Dim("D"), value_size = c.Dim("E");
  const auto block = [](const TensorView& t, int64_t row_stride) {
    return kernels::Block{.data = t.data, .dtype = t.dtype, .row_stride = row_stride};
  };
  kernels::Attention({.q = block(c.in[kQ], heads * size),
                      .y = block(c.out[0], heads * value_size),
                      .k_cache = block(c.in[kKeys], size),
                      .v_cache = block(c.in[kValues], value_size),
                      .block_table = Integers(c, kTable),
                      .query_start = Integers(c, kStart),
                      .lengths = Integers(c, kLengths),
                      .sequences = c.Dim("S"),
                      .table_width = c.Dim("M"),
                      .page = c.Dim("P"),
                      .heads = heads,
                      .kv_heads = c.Dim("N"),
                      .size = size,
                      .value_size = value_size,
                      .scale = static_cast<float>(c.Float("scale")),
                      .window = c.Int("window"),
                      .softcap = static_cast<float>(c.Float("softcap"))});
}

}  // namespace

Op attention() {
  return Op("attention(q: F[T, H, D], k_cache: F[B, P, N, D], v_cache: F[B, P, N, E],"
            " block_table: i32[S, M], query_start: i32[S+1], lengths: i32[S], *,"
            " scale: float, window: int >= 0 = 0, softcap: float >= 0 = 0.0)"
            " -> y: F[T, H, E] where H/N")
      .Doc(
          "Causal softmax attention over a paged cache: sequence s has the queries query_start[s] "
          "to query_start[s+1], the last of its lengths[s] keys, and key j lies in block "
          "block_table[s, j / P] at offset j % P. H/N query heads share a kv head. Scores are "
          "(q . k) * scale; softcap > 0 makes them softcap * tanh(score / softcap); with window > "
          "0 "
          "a query sees that many keys, itself the last. A sequence of length 0 gives zeros. f32 "
          "inside, in blocks of 128 keys: a query has the same bits in prefill and in decoding, on "
          "one "
          "instruction set.")
      .Source("Kwon et al. 2023, arXiv:2309.06180; Dao et al. 2022, arXiv:2205.14135, section 3.1")
      .Kernel(RunAttention);
}

}  // namespace fusible::library
