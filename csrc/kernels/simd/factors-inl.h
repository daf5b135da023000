// What all rows of a call are multiplied by or added to, decoded once for all of them.
#include <limits>

#include "kernels/scratch.h"
#include "kernels/simd/lanes-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_FACTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_FACTORS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_FACTORS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_FACTORS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Fewer rows are not worth decoding for; more elements leave no room for rows in a first level.
inline constexpr int64_t kFewRows = 4, kMostFactors = 8192;

// f32 is what its elements are decoded to.
template <class T>
HWY_INLINE bool IsWorthDecoding(int64_t rows, int64_t cols) {
  return !std::is_same_v<T, float> && rows >= kFewRows && cols <= kMostFactors;
}

// Of what scales a row to a root mean square of one or to a deviation of one. With a finite sum of
// squares every element is finite, and so is its product with a finite scale, which is at most the
// root of their number.
HWY_INLINE bool IsFinite(float scale) {
  return scale > 0 && scale <= std::numeric_limits<float>::max();
}

// Values of a row's elements as f32, from their steps to `room`: whole steps of it. Rows whose
// steps begin elsewhere (BeforeStreams) cannot be read beside them.
template <class T>
class Factors {
 public:
  // load(at): the step there, zeros behind the row's end.
  template <class From>
  HWY_INLINE Factors(size_t n, float* room, const From& load) : values_(room) {
    VU largest = hn::Zero(DU());
    ForSteps(n, [&](auto at) HWY_ATTR {
      const Own<T> v = load(at);
      hn::StoreU(Front(v), DF(), room + at.i);
      hn::StoreU(Back(v), DF(), room + at.i + kLanes);
      largest = hn::Max(largest, hn::Max(Magnitude(Front(v)), Magnitude(Back(v))));
    });
    finite_ = hn::AllTrue(DU(), hn::Lt(largest, SetBits(0x7F800000)));
  }

  template <class At>
  HWY_INLINE Own<T> operator()(At at) const {
    return {hn::LoadU(DF(), values_ + at.i), hn::LoadU(DF(), values_ + at.i + kLanes)};
  }

  bool finite() const { return finite_; }

 private:
  static HWY_INLINE VU Magnitude(VF v) { return ToBits(hn::Abs(v)); }

  const float* values_;
  bool finite_;
};

// Floats of room that n elements take.
HWY_INLINE size_t RoomOf(int64_t n) { return (static_cast<size_t>(n) + kStep - 1) / kStep * kStep; }

// Whether steps of row r, of n elements, may begin where those of Factors do, without loss.
template <class T>
HWY_INLINE bool BeginsWithStep(const Block& out, int64_t r, size_t n) {
  const Writing row = WritingRow<T>(out, r);
  return !out.stream || !StreamsLines(row, n) || BeforeStreams(row, n) == 0;
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
