#include "kernels/attention.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "ops/library/library.h"

namespace fusible::library {
namespace {

// An operator of attention as it is called.
struct AttentionCall {
  const WholeCall& call;
  const TensorView &keys, &values;
  int table;  // the place of block_table among the operands; query_start and lengths follow

  int start() const { return table + 1; }
  int lengths() const { return table + 2; }
  const int32_t* Integers(int operand) const {
    return reinterpret_cast<const int32_t*>(call.in[operand].data);
  }

  template <class E, class... Parts>
  [[noreturn]] void Fail(int operand, const Parts&... parts) const {
    const Signature& s = call.op->signature();
    const size_t i = operand;
    const std::string& name = i < s.params.size() ? s.params[i].name : s.results[0].name;
    throw E(Cat(call.op->name(), ": ", name, ": expected ", parts...));
  }
};

// The elements from one row of a cache to the next. A cache may be the first columns of another,
// as values that lie in the rows of their keys are.
int64_t RowStride(const TensorView& cache) { return cache.strides[2]; }

bool LiesInRows(const TensorView& cache) {
  const int64_t row = RowStride(cache);
  return cache.Count() == 0 || (cache.strides[3] == 1 && row >= cache.shape[3] &&
                                cache.strides[1] == cache.shape[2] * row &&
                                cache.strides[0] == cache.shape[1] * cache.strides[1]);
}

void CheckLayout(const AttentionCall& a) {
  const int operands = static_cast<int>(a.call.in.size());
  for (int i = 0; i <= operands; ++i) {
    const TensorView& tensor = i < operands ? a.call.in[i] : a.call.out[0];
    if (tensor.IsContiguous() || (i > 0 && i < a.table && LiesInRows(tensor))) continue;
    a.Fail<ShapeError>(i, "a contiguous array, got strides ", tensor.strides, " of shape ",
                       tensor.shape, "; numpy.ascontiguousarray makes it so");
  }
}

void CheckStarts(const AttentionCall& a) {
  const int32_t* start = a.Integers(a.start());
  const int64_t sequences = a.call.Dim("S"), tokens = a.call.Dim("T");
  if (start[0] != 0) a.Fail<RangeError>(a.start(), "0 first, got ", start[0]);
  for (int64_t s = 0; s < sequences; ++s) {
    if (start[s + 1] >= start[s]) continue;
    a.Fail<RangeError>(a.start(), "values that do not fall, got ", start[s], " and then ",
                       start[s + 1], " at [", s + 1, "]");
  }
  if (start[sequences] != tokens) {
    a.Fail<RangeError>(a.start(), tokens, " (the rows of q) last, got ", start[sequences]);
  }
}

// Blocks are checked where they hold keys that some query may see.
void CheckSequence(const AttentionCall& a, int64_t s) {
  const WholeCall& c = a.call;
  const int64_t width = c.Dim("M"), page = c.Dim("P"), blocks = c.Dim("B");
  const int64_t length = a.Integers(a.lengths())[s];
  const int64_t queries = a.Integers(a.start())[s + 1] - a.Integers(a.start())[s];
  if (length < 0 || length > width * page) {
    a.Fail<RangeError>(a.lengths(), "values from 0 to ", width * page,
                       " (the keys of a row of block_table), got ", length, " at [", s, "]");
  }
  if (length != 0 && length < queries) {
    a.Fail<RangeError>(a.lengths(), "0, or at least the ", queries,
                       " queries of the sequence, got ", length, " at [", s, "]");
  }
  if (queries == 0) return;
  const int64_t window = c.Int("window");
  const int64_t seen = window > 0 ? std::min(window, length) + queries - 1 : length;
  const int64_t first = length > seen ? (length - seen) / page : 0;
  for (int64_t i = first; i * page < length; ++i) {
    const int64_t block = a.Integers(a.table)[s * width + i];
    if (block >= 0 && block < blocks) continue;
    a.Fail<RangeError>(a.table, "values from 0 to below ", blocks, ", got ", block, " at [", s,
                       ", ", i, "]");
  }
}

// Above 0 where it is: 0 in f32 would be none.
float SoftcapOf(const WholeCall& c) {
  const double given = c.Float("softcap");
  if (given == 0) return 0;
  return std::max(static_cast<float>(given), std::numeric_limits<float>::denorm_min());
}

void Run(const AttentionCall& a) {
  const WholeCall& c = a.call;
  CheckLayout(a);
  CheckStarts(a);
  for (int64_t s = 0; s < c.Dim("S"); ++s) CheckSequence(a, s);
  const int64_t heads = c.Dim("H"), size = c.Dim("D"), value_size = a.values.shape[3];
  const auto block = [](const TensorView& t, int64_t row_stride) {
    return kernels::Block{.data = t.data, .dtype = t.dtype, .row_stride = row_stride};
  };
  kernels::Attention({.q = block(c.in[0], heads * size),
                      .y = block(c.out[0], heads * value_size),
                      .k_cache = block(a.keys, RowStride(a.keys)),
                      .v_cache = block(a.values, RowStride(a.values)),
                      .block_table = a.Integers(a.table),
                      .query_start = a.Integers(a.start()),
                      .lengths = a.Integers(a.lengths()),
                      .sequences = c.Dim("S"),
                      .table_width = c.Dim("M"),
                      .page = c.Dim("P"),
                      .heads = heads,
                      .kv_heads = a.keys.shape[2],
                      .size = size,
                      .value_size = value_size,
                      .scale = static_cast<float>(c.Float("scale")),
                      .window = c.Int("window"),
                      .softcap = SoftcapOf(c)});
}

void RunAttention(const WholeCall& c) { Run({c, c.in[1], c.in[2], 3}); }

void RunLatentAttention(const WholeCall& c) {
  TensorView values = c.in[1];
  values.shape[3] = c.Int("rank");
  Run({c, c.in[1], values, 2});
}

Op PagedAttention() {
  return Op("attention(q: F[T, H, D], k_cache: F[B, P, N, D], v_cache: F[B, P, N, E],"
            " block_table: i32[S, M], query_start: i32[S+1], lengths: i32[S], *,"
            " scale: float, window: int >= 0 = 0, softcap: float >= 0 = 0.0)"
            " -> y: F[T, H, E] where H/N")
      .Doc(
          "Causal softmax attention over a paged cache: sequence s has the queries query_start[s] "
          "to query_start[s+1], the last of its lengths[s] keys, and key j lies in block "
          "block_table[s, j / P] at offset j % P. H/N query heads share a kv head. Scores are "
          "(q . k) * scale; softcap > 0 makes them softcap * tanh(score / softcap); with window > "
          "0 a query sees that many keys, itself the last. A sequence of length 0 gives zeros. f32 "
          "inside, in blocks of 128 keys: a query has the same bits in prefill and in decoding, on "
          "one instruction set. A cache may be the first columns of a wider one.")
      .Source("Kwon et al. 2023, arXiv:2309.06180; Dao et al. 2022, arXiv:2205.14135, section 3.1")
      .Kernel(RunAttention);
}

Op LatentAttention() {
  return Op("latent_attention(q: F[T, H, D], cache: F[B, P, 1, D], block_table: i32[S, M],"
            " query_start: i32[S+1], lengths: i32[S], *, rank: int >= 1, scale: float,"
            " window: int >= 0 = 0, softcap: float >= 0 = 0.0)"
            " -> y: F[T, H, rank] where rank <= D")
      .Doc(
          "Attention of DeepSeek's latent heads in absorbed form: all heads share one row of the "
          "cache for each token, of which all D elements are the key (rank of the compressed "
          "latent, then the rotated ones) and the first `rank` the value. Queries have taken in "
          "the projection of the keys, results go on to that of the values; the rest is as in "
          "attention.")
      .Source("DeepSeek-AI 2024, arXiv:2405.04434, section 2.1.2 and appendix C")
      .Equals(
          "values = slice(cache, dim=3, stop=rank)\n"
          "y = attention(q, cache, values, block_table, query_start, lengths, scale=scale, "
          "window=window, softcap=softcap)\n"
          "return y\n")
      .Kernel(RunLatentAttention);
}

}  // namespace

std::vector<Op> attention() { return {PagedAttention(), LatentAttention()}; }

}  // namespace fusible::library
