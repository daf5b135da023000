// Rows of stored floats step by step.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/dtype.h"
#include "kernels/block.h"
#include "kernels/simd/storage-inl.h"
#include "kernels/simd/targets.h"

#if defined(FUSIBLE_KERNELS_SIMD_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_LANES_INL_H_
#undef FUSIBLE_KERNELS_SIMD_LANES_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_LANES_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Where a step of a row begins: whole, or cut short by the row's end, or whole with stores that go
// past the caches.
struct Full {
  size_t i;
};
struct Tail {
  size_t i, count;
};
struct Streamed {
  size_t i;
};

inline constexpr size_t kLine = 64;  // bytes of a cache line

template <size_t kBytes, class T>
HWY_INLINE bool IsAligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % kBytes == 0;
}

// Copies a step past the caches, so many bytes at a time, of which `to` is a multiple.
template <size_t kChunk, class T>
HWY_INLINE void StreamChunks(const T* from, T* to) {
  const hn::CappedTag<uint8_t, kChunk> chunk;
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(from);
  uint8_t* out = reinterpret_cast<uint8_t*>(to);
  for (size_t b = 0; b < kStep * sizeof(T); b += kChunk) {
    hn::Stream(hn::LoadU(chunk, bytes + b), chunk, out + b);
  }
}

// A step, held as S.
template <class S, class T>
HWY_INLINE S LoadAs(const T* p) {
  if constexpr (std::is_same_v<S, Pair>) {
    return Storage<T>::Load(p);
  } else {
    return {Storage<T>::LoadInOrder(p), Storage<T>::LoadInOrder(p + kLanes)};
  }
}

template <class S = Pair, class T>
HWY_INLINE S Load(const T* row, Full at) {
  return LoadAs<S>(row + at.i);
}

template <class S = Pair, class T>
HWY_INLINE S Load(const T* row, Streamed at) {
  return LoadAs<S>(row + at.i);
}

// Elements behind the row's end are zero.
template <class S = Pair, class T>
HWY_INLINE S Load(const T* row, Tail at) {
  alignas(64) T buffer[kStep] = {};
  std::memcpy(buffer, row + at.i, at.count * sizeof(T));
  return LoadAs<S>(buffer);
}

// `how` goes to Storage<T>::Store: the bound that 8-bit formats clamp to.
template <class S = Pair, class T, class... How>
HWY_INLINE void Store(const S& v, T* row, Full at, How... how) {
  Storage<T>::Store(v, row + at.i, how...);
}

template <class S = Pair, class T, class... How>
HWY_INLINE void Store(const S& v, T* row, Tail at, How... how) {
  alignas(64) T buffer[kStep];
  Storage<T>::Store(v, buffer, how...);
  std::memcpy(row + at.i, buffer, at.count * sizeof(T));
}

// The step is aligned to a vector, or to all of itself. The buffer never leaves the registers.
template <class S = Pair, class T, class... How>
HWY_INLINE void Store(const S& v, T* row, Streamed at, How... how) {
  constexpr size_t kAtOnce = std::is_same_v<S, InOrder> ? kLanes : kStep;
  constexpr size_t kChunk = HWY_MIN(kAtOnce * sizeof(T), kLanes * sizeof(float));
  if constexpr (kChunk < 16) {  // no instruction streams so little
    Storage<T>::Store(v, row + at.i, how...);
  } else {
    alignas(64) T buffer[kStep];
    Storage<T>::Store(v, buffer, how...);
    StreamChunks<kChunk>(buffer, row + at.i);
  }
}

// Copies a step of a row as it is.
template <class T>
HWY_INLINE void CopyStep(const T* row, T* to, Full at) {
  std::memcpy(to + at.i, row + at.i, kStep * sizeof(T));
}
template <class T>
HWY_INLINE void CopyStep(const T* row, T* to, Tail at) {
  std::memcpy(to + at.i, row + at.i, at.count * sizeof(T));
}
template <class T>
HWY_INLINE void CopyStep(const T* row, T* to, Streamed at) {
  constexpr size_t kChunk = HWY_MIN(kStep * sizeof(T), kLanes * sizeof(float));
  if constexpr (kChunk < 16) {
    CopyStep(row, to, Full{at.i});
  } else {
    StreamChunks<kChunk>(row + at.i, to + at.i);
  }
}

// One element for each two of the step, in order: those that its pairs of neighbours share.
template <class T>
HWY_INLINE VF LoadHalf(const T* row, Full at) {
  return Storage<T>::LoadInOrder(row + at.i / 2);
}
template <class T>
HWY_INLINE VF LoadHalf(const T* row, Tail at) {
  alignas(64) T buffer[kLanes] = {};
  std::memcpy(buffer, row + at.i / 2, at.count / 2 * sizeof(T));
  return Storage<T>::LoadInOrder(buffer);
}

// Two elements for each one of the step, as two steps.
struct Two {
  Pair low, high;
};
template <class T, class At>
HWY_INLINE Two LoadTwo(const T* row, At at) {
  return {Load(row, Full{2 * at.i}), Load(row, Full{2 * at.i + kStep})};
}
template <class T>
HWY_INLINE Two LoadTwo(const T* row, Tail at) {
  const size_t low = HWY_MIN(2 * at.count, kStep);
  return {Load(row, Tail{2 * at.i, low}), Load(row, Tail{2 * at.i + low, 2 * at.count - low})};
}

// Calls step(Full) over a row of n elements, and step(Tail) for what is left.
template <class At = Full, class Step>
HWY_INLINE void ForSteps(size_t n, const Step& step) {
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) step(At{i});
  if (i < n) step(Tail{i, n - i});
}

// How a row of results is written: where, past the caches or not, and what is asked for meanwhile.
struct Writing {
  const std::byte* out;
  size_t out_step;  // bytes of an element
  bool stream;
  bool anywhere = true;  // its steps may begin at any element
  const std::byte* ahead = nullptr;
  int64_t ahead_step = 0;  // bytes for an element
  bool backwards = false;  // its streamed steps, from the last to the first
};

template <class T>
HWY_INLINE Writing WritingRow(const Block& out, int64_t r) {
  Writing row = {reinterpret_cast<const std::byte*>(out.Row<T>(r)), sizeof(T), out.stream};
  if (out.ahead != nullptr) {
    row.ahead = out.ahead + r * out.ahead_row;
    row.ahead_step = out.ahead_step;
  }
  return row;
}

// How far below a row memory is asked for, in rows: the next one may be in use already, and a short
// one would come too late. On a Zen 4 layer_norm of rows of 576 took 1.5 times as long with two.
HWY_INLINE int64_t RowsAhead(int64_t cols) { return HWY_MAX(2, 4096 / HWY_MAX(cols, 1)); }

// The writing of a row that asks for row `next` meanwhile, of which kReads elements make one,
// unless it asks for something else.
template <size_t kReads = 1, class X>
HWY_INLINE Writing Asking(Writing row, const X* next) {
  if (row.ahead == nullptr) {
    row.ahead = reinterpret_cast<const std::byte*>(next);  // fetching it may go nowhere
    row.ahead_step = kReads * sizeof(X);
  }
  return row;
}

// A load waits for a streaming store to an address that has the same low 12 bits: where the results
// lie one or two lines behind the row that was read but for whole pages, as allocators lay arrays
// one behind the other, each step would wait for the one before, and is done after the one behind
// it. On a Zen 4 rms_norm took 1.4 times as long without this for one line, and 1.13 for two.
// Backwards everywhere it took 1.1 times as long.
HWY_INLINE bool IsJustBehind(const Writing& row, const void* in) {
  constexpr uintptr_t kPage = 4096, kFar = 128;
  const auto to = reinterpret_cast<uintptr_t>(row.out), from = reinterpret_cast<uintptr_t>(in);
  const uintptr_t apart = (to - from) % kPage;
  return apart != 0 && apart <= kFar;
}

// The same for a kernel that has read row `x` just now and reads row `next` later. Large results
// come from operands that are not in the caches either: unless something else is to be asked for,
// that row is fetched as far as L2. On a Zen 4 that made rms_norm take 0.83 of its time, on a
// Sapphire Rapids 0.75. Where results stay in the caches it made the Zen 4 slower by a tenth, and
// so did fetching into L1 anywhere.
template <class T, class X>
HWY_INLINE Writing WritingRow(const Block& out, int64_t r, const X* x, const X* next) {
  Writing row = WritingRow<T>(out, r);
  row.backwards = row.stream && IsJustBehind(row, x);
  return out.stream || out.large ? Asking(row, next) : row;
}

// Asks for what belongs to `count` elements from i on.
HWY_INLINE void AskFor(const Writing& row, int64_t i, int64_t count) {
  if (row.ahead == nullptr) return;
  const std::byte* end = row.ahead + (i + count) * row.ahead_step;
  for (const std::byte* at = row.ahead + i * row.ahead_step; at < end; at += kLine) {
    __builtin_prefetch(at, 0, 2);
  }
}

HWY_INLINE bool MayStream(const Writing& row) { return row.stream && IsAligned<kLine>(row.out); }

// Whether a row of n elements is whole steps; a line that it leaves in part, its neighbours fill.
HWY_INLINE bool IsWholeSteps(const Writing& row, size_t n) {
  const size_t vector = HWY_MIN(kLanes * sizeof(float), kStep * row.out_step);
  return reinterpret_cast<uintptr_t>(row.out) % vector == 0 && n % kStep == 0;
}

// The elements before the first from which steps are stored past the caches: NumPy lays rows at any
// 16 bytes. On a Sapphire Rapids rms_norm into such memory took 1.6 times as long with plain
// stores; with stores of 16 bytes, light kernels gained as much, and silu took 1.1 times as long.
HWY_INLINE size_t BeforeStreams(const Writing& row, size_t n) {
  return IsWholeSteps(row, n) ? 0 : -reinterpret_cast<uintptr_t>(row.out) % kLine / row.out_step;
}

// Whether no line is stored in part so and in part plainly, which costs as much as dozens of lines:
// where a step is half of one, rows of 576 took 4 to 7 times as long on a Zen 3.
HWY_INLINE bool StreamsLines(const Writing& row, size_t n) {
  const bool meets = reinterpret_cast<uintptr_t>(row.out) % row.out_step == 0;  // some line
  return IsWholeSteps(row, n) || (meets && kStep * row.out_step % kLine == 0);
}

// Calls step(Streamed) from element `first` on, and step(Tail) for what is before and behind it.
template <class Step>
HWY_INLINE void ForStreamedSteps(size_t first, size_t n, bool backwards, const Step& step) {
  const size_t end = first + (n - first) / kStep * kStep;
  if (backwards) {
    for (size_t i = end; i > first; i -= kStep) step(Streamed{i - kStep});
  } else {
    for (size_t i = first; i < end; i += kStep) step(Streamed{i});
  }
  for (const Tail& cut : {Tail{end, n - end}, Tail{0, first}}) {
    if (cut.count > 0) step(cut);
  }
}

template <class Step>
HWY_INLINE void ForStepsInto(size_t n, const Writing& row, const Step& step) {
  const size_t first = BeforeStreams(row, n);
  if (!row.stream || !StreamsLines(row, n) || first > (row.anywhere ? n : 0))
    return ForSteps(n, step);
  ForStreamedSteps(first, n, row.backwards, step);
}

// ForSteps of a row that is written. Whoever calls the kernel sees to the order of what it stores
// past the caches: a fence a row made add take 2.5 times as long on rows of 576. For results of
// 8 MiB and more, add took 0.7 to 1.0 of the time with plain stores on a Zen 3.
template <class Step>
HWY_INLINE void ForSteps(size_t n, const Writing& row, const Step& step) {
  if (row.ahead == nullptr) return ForStepsInto(n, row, step);
  ForStepsInto(n, row, [&](auto at) HWY_ATTR {
    AskFor(row, static_cast<int64_t>(at.i), kStep);
    step(at);
  });
}

// The same for a kernel that does little but load rows `x` and `y` and store: from the end where
// its loads would wait for its stores.
template <class T, class Step>
HWY_INLINE void ForSteps(size_t n, Writing row, const T* x, const T* y, const Step& step) {
  row.backwards = LoadsWait(x, row.out) || LoadsWait(y, row.out);
  if (row.stream || !row.backwards) return ForSteps(n, row, step);
  size_t i = n / kStep * kStep;
  if (i < n) step(Tail{i, n - i});
  for (; i > 0; i -= kStep) step(Full{i - kStep});
}

// For values that come as they are, and not out of arithmetic, in which no NaN is a signalling one.
template <class S>
HWY_INLINE S Canonical(const S& v) {
  return Each([](VF x) HWY_ATTR { return Storage<float>::Canonical(x); }, v);
}
template <class S>
HWY_INLINE S Sum(const S& a, const S& b) {
  return Each([](VF x, VF y) HWY_ATTR { return hn::Add(x, y); }, a, b);
}
template <class S>
HWY_INLINE S Sum(const S& a, VF b) {
  return Each([b](VF x) HWY_ATTR { return hn::Add(x, b); }, a);
}
template <class S>
HWY_INLINE S Sub(const S& a, const S& b) {
  return Each([](VF x, VF y) HWY_ATTR { return hn::Sub(x, y); }, a, b);
}
template <class S>
HWY_INLINE S Sub(const S& a, VF b) {
  return Each([b](VF x) HWY_ATTR { return hn::Sub(x, b); }, a);
}
template <class S>
HWY_INLINE S Mul(const S& a, const S& b) {
  return Each([](VF x, VF y) HWY_ATTR { return hn::Mul(x, y); }, a, b);
}
template <class S>
HWY_INLINE S Mul(const S& a, VF b) {
  return Each([b](VF x) HWY_ATTR { return hn::Mul(x, b); }, a);
}
template <class S>
HWY_INLINE S MulAdd(const S& a, const S& b, const S& c) {
  return Each([](VF x, VF y, VF z) HWY_ATTR { return hn::MulAdd(x, y, z); }, a, b, c);
}
template <class S>
HWY_INLINE S Div(const S& a, VF b) {
  return Each([b](VF x) HWY_ATTR { return hn::Div(x, b); }, a);
}

// Makes the NaNs of a row canonical: those that its writer left to its reader.
template <class T>
void SettleNans(T* row, size_t n) {
  ForSteps(n, [=](auto at) HWY_ATTR { Store(Load<Own<T>>(row, at), row, at); });
}

// Copies a row as it is, past the caches where that is said.
template <class T>
void CopyRow(const T* row, T* to, size_t n, bool stream) {
  const Writing writing = {reinterpret_cast<const std::byte*>(to), sizeof(T), stream};
  ForSteps(n, writing, [=](auto at) HWY_ATTR { CopyStep(row, to, at); });
}

// Calls f(T{}) with the storage type of a float dtype.
template <class F>
HWY_INLINE void VisitFloat(DType dtype, const F& f) {
  if (dtype == DType::kF32) return f(float{});
  if (dtype == DType::kBF16) return f(BF16{});
  return f(F16{});
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
