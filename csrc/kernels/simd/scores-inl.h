// Products of queries with panels of keys (kPanel keys, one a lane). Every score is one chain of
// fma over its elements, the second of each two before the first. That is what the dot product of
// pairs of bf16 does, as long as nothing is subnormal: where the CPU has it, it gives the same bits
// in half the time.
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "kernels/attention_plan.h"
#include "kernels/simd/dots-inl.h"
#include "kernels/simd/panels-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_SCORES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_SCORES_INL_H_
#undef FUSIBLE_KERNELS_SIMD_SCORES_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_SCORES_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// How a panel holds elements: as f32, each a row of the panel.
struct AsFloats {
  static HWY_INLINE size_t Count(size_t size) { return (size + 1) / 2 * 2; }  // zeros behind
  static HWY_INLINE size_t At(size_t i) { return i ^ 1; }
  static HWY_INLINE VF MulAdd(VF x, VF y, VF sum) { return hn::MulAdd(x, y, sum); }
};

// Two bf16 in a row of the panel, as they lie in memory.
struct AsWords {
  static HWY_INLINE size_t Count(size_t size) { return size / 2; }
  static HWY_INLINE size_t At(size_t i) { return i; }
  static HWY_INLINE VF MulAdd(VF x, VF y, VF sum) { return AddDots(ToBits(x), ToBits(y), sum); }
};

// The queries of a task: always as f32, zeros behind; as words where `dots`, with their floor.
struct QueryRows {
  FloatRows floats, words;
  bool dots;
  int32_t floor;
};

// Floats from one query of a task to the next: not a multiple of a large power of two, so that the
// rows of a tile do not share one set of the cache.
inline size_t QueryStride(const Task& task) { return hwy::RoundUpTo(task.a->size, 32) + 16; }
// The same of its elements as they are stored, for bf16.
inline size_t WordStride(const Task& task) { return hwy::RoundUpTo(task.a->size / 2, 32) + 32; }

inline size_t QueryFloats(const Task& task) {
  return task.rows() * (QueryStride(task) + WordStride(task));
}

// Copies the queries of a task, as f32 and, where dot products may be taken, as they are.
template <class T>
QueryRows Queries(const Task& task, float* memory) {
  const int64_t size = task.a->size, rows = task.rows();
  QueryRows q = {{memory, QueryStride(task)}, {nullptr, WordStride(task)}, false, 0};
  float* words = memory + rows * q.floats.stride;
  q.words.data = words;
  q.dots = kMayDot && std::is_same_v<T, BF16> && size % 2 == 0 && HasBf16Dots();
  if (q.dots) std::memset(words, 0, rows * q.words.stride * sizeof(float));
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = task.a->q.Row<T>(task.TokenOf(r)) + task.HeadOf(r) * size;
    float* floats = memory + r * q.floats.stride;
    ForSteps(size, [=](auto at) HWY_ATTR { Store(Load(row, at), floats, Full{at.i}); });
    if (q.dots) std::memcpy(words + r * q.words.stride, row, size * sizeof(T));
  }
  if constexpr (kMayDot) {
    if (q.dots) q.floor = FloorOfWords(words, rows * q.words.stride);
  }
  return q;
}

// Those of some tasks, in memory of the calling thread.
template <class T>
const QueryRows* QueriesOf(std::span<const Task> tasks) {
  static thread_local Scratch scratch;
  static thread_local std::vector<QueryRows> queries;
  const int64_t each = hwy::RoundUpTo(QueryFloats(tasks.front()), 16);
  float* memory = scratch.Floats(tasks.size() * each);
  queries.clear();
  for (const Task& task : tasks) {
    queries.push_back(Queries<T>(task, memory + queries.size() * each));
  }
  return queries.data();
}

template <class How, size_t kRows>
HWY_INLINE void ScoreTile(FloatRows x, const float* HWY_RESTRICT panel, size_t size,
                          float* HWY_RESTRICT out) {
  VF acc[kRows][kPanelVectors];
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) acc[r][v] = hn::Zero(DF());
  }
  const size_t count = How::Count(size);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = How::At(i);
    VF column[kPanelVectors];
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      column[v] = hn::Load(DF(), panel + at * kPanel + v * kLanes);
    }
    HWY_UNROLL(16)
    for (size_t r = 0; r < kRows; ++r) {
      const VF value = hn::Set(DF(), x.data[r * x.stride + at]);
      HWY_UNROLL(16)
      for (size_t v = 0; v < kPanelVectors; ++v) {
        acc[r][v] = How::MulAdd(value, column[v], acc[r][v]);
      }
    }
  }
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      hn::Store(acc[r][v], DF(), out + r * kKeys + v * kLanes);
    }
  }
}

// At most kRows rows of scores, each kKeys behind the one before.
template <class How, size_t kRows = kTileRows>
HWY_NOINLINE void ScoreFew(size_t rows, FloatRows x, const float* panel, size_t size, float* out) {
  if (rows == kRows) return ScoreTile<How, kRows>(x, panel, size, out);
  if constexpr (kRows > 1) ScoreFew<How, kRows - 1>(rows, x, panel, size, out);
}

template <class T>
inline constexpr size_t kLineElements = 64 / sizeof(T);

// How often PackKeys calls `meanwhile`.
template <class T>
constexpr int64_t PackSteps(int64_t size) {
  constexpr int64_t kLine = kLineElements<T>;
  return (size + kLine - 1) / kLine;
}

// Packs rows as a panel, a line of each at a time.
template <class T, class Meanwhile>
HWY_INLINE void PackLines(const T* const* rows, size_t size, float* panel,
                          const Meanwhile& meanwhile) {
  for (size_t i = 0; i < size; i += kLineElements<T>) {
    meanwhile();
    PackPanel(rows, i, HWY_MIN(kLineElements<T>, size - i), 0, panel + i * kPanel);
  }
}

// Packs keys as words where the queries are, and DotIsExact; else as f32. True for words.
template <class T, class Meanwhile>
HWY_INLINE bool PackKeys(const T* const* rows, size_t size, const QueryRows& q, float* panel,
                         const Meanwhile& meanwhile) {
  if constexpr (kMayDot && std::is_same_v<T, BF16>) {
    if (q.dots) {
      const float* words[kPanel];
      for (size_t i = 0; i < kPanel; ++i) words[i] = reinterpret_cast<const float*>(rows[i]);
      PackLines(words, size / 2, panel, meanwhile);
      if (DotIsExact(q.floor, FloorOfWords(panel, size / 2 * kPanel))) return true;
    }
  }
  PackLines(rows, size, panel, meanwhile);
  return false;
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
