#include "kernels/group_quant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/group_quant.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/fp8-inl.h"
#include "kernels/simd/quotient-inl.h"
#include "kernels/simd/signs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// ForSteps over a group. One of 16 elements that is less than a step is computed as a whole step
// where the row goes on behind it: what follows is quantized again, by its own scale. Copying so
// few elements to and from a buffer took three times as long on a Zen 4.
template <class At = Full, class Step>
HWY_INLINE void ForGroup(size_t n, bool row_goes_on, const Step& step) {
  if constexpr (kStep == 32) {
    if (n == 16) return row_goes_on ? step(Full{0}) : step(Tail{0, 16});
  }
  ForSteps<At>(n, step);
}

// The largest |x| of a group. Compared as integers, in which order a NaN is above infinity.
template <class T>
HWY_INLINE float MaxMagnitude(const T* x, size_t n, bool /*row_goes_on*/) {
  VU max = hn::Zero(DU());
  ForSteps(n, [&](auto at) HWY_ATTR {
    const Pair v = Load(x, at);
    max = hn::Max(max, hn::Max(ToBits(hn::Abs(v.even)), ToBits(hn::Abs(v.odd))));
  });
  return hn::GetLane(FromBits(hn::MaxOfLanes(DU(), max)));
}

#if HWY_TARGET != HWY_SCALAR
// bf16 as it is stored: twice as many at a time.
using DI16 = hn::Repartition<int16_t, DF>;

HWY_INLINE float MaxMagnitude(const BF16* x, size_t n, bool row_goes_on) {
  // Zeros for what a step has behind the group.
  const auto magnitude =
      hn::IfThenElseZero(hn::FirstN(DI16(), HWY_MIN(n, kStep)), hn::Set(DI16(), int16_t{0x7FFF}));
  auto max = hn::Zero(DI16());
  ForGroup(n, row_goes_on, [&](auto at) HWY_ATTR {
    max = hn::Max(max, hn::And(hn::BitCast(DI16(), LoadBits(x, at)), magnitude));
  });
  const VU pairs = hn::BitCast(DU(), max);
  const VU both = hn::Max(hn::ShiftLeft<16>(pairs), hn::And(pairs, SetBits(0xFFFF0000)));
  return hn::GetLane(FromBits(hn::MaxOfLanes(DU(), both)));
}
#endif

// max and amax_floor of the arguments. Rounding the quotient never crosses a power of two: its
// distance from one is at least half a unit of the quotient, as it is one of amax.
HWY_INLINE VF ScalesOf(VF amax, const GroupQuantArgs& a) {
  const VF floor = hn::Set(DF(), a.amax_floor);
  const VF exact = hn::Div(hn::IfThenElse(hn::Lt(amax, floor), floor, amax), hn::Set(DF(), a.max));
  if (!a.power_of_two) return Storage<float>::Canonical(exact);
  const VU up = hn::And(hn::Add(ToBits(exact), SetBits(0x7FFFFF)), SetBits(0x7F800000));
  return Storage<float>::Canonical(hn::IfThenElse(hn::IsNaN(exact), exact, FromBits(up)));
}

// Whether all that rounds to at most `max`, or to an f32 beside it, has at most its code.
template <class Code>
bool IsCode(float max) {
  if constexpr (std::is_same_v<Code, I8>) {
    return true;
  } else {
    uint32_t bits;
    std::memcpy(&bits, &max, sizeof(bits));
    return bits >= Code8<Code>::kSmallestNormal && (bits & ((1u << Code8<Code>::kShift) - 1)) == 0;
  }
}

// Scales, and what else is needed, of the groups that are quantized together.
struct GroupScales {
  alignas(64) float amax[kLanes] = {};
  alignas(64) float scale[kLanes], reciprocal[kLanes], rest[kLanes];
  bool bounded = false;  // Quotient is right, and Bounded codes are

  HWY_INLINE void Compute(const GroupQuantArgs& a, bool max_is_code) {
    const VF computed = ScalesOf(hn::Load(DF(), amax), a);
    const Reciprocal of_scale = ReciprocalOf(computed);
    hn::Store(computed, DF(), scale);
    hn::Store(of_scale.rounded, DF(), reciprocal);
    hn::Store(of_scale.rest, DF(), rest);
    // Not those of a NaN. An infinite amax has an infinite scale.
    bounded = max_is_code && hn::AllTrue(DF(), MayMultiply(computed));
  }

  template <class T>
  HWY_INLINE Quotient<T> By(int64_t g) const {
    return {hn::Set(DF(), scale[g]), {hn::Set(DF(), reciprocal[g]), hn::Set(DF(), rest[g])}};
  }
};

// Only a division gives a quotient of -0 its sign.
template <class T, class Code, class At>
HWY_INLINE void StoreQuotients(const Quotient<T>& by, const T* x, Code* codes, At at) {
  if constexpr (Quotient<T>::kDivides || std::is_same_v<Code, I8>) {
    Store(by(Load(x, at)), codes, at, Bounded());
  } else {
    Store(by(Magnitudes(x, at)), codes, at, SignsOf(x, at));
  }
}

inline constexpr int64_t kAskedAtOnce = 512;  // elements

template <class T, class Code>
class RowQuantizer {
 public:
  explicit RowQuantizer(const GroupQuantArgs& a)
      : a_(a),
        size_(a.group_size),
        groups_(size_ == a.cols ? 1 : a.cols / size_),
        max_(HWY_MIN(a.max, Code8<Code>::kMax)),
        max_is_code_(IsCode<Code>(max_)) {}

  // kLanes groups at a time, whose scales are computed together.
  void Row(int64_t r) const {
    const T* x = a_.x.Row<T>(r);
    Code* codes = a_.codes.Row<Code>(r);
    float* out = a_.scales.Row<float>(r);
    const Writing row = WritingRow<Code>(a_.codes, r, x, a_.x.Row<T>(r + RowsAhead(a_.cols)));
    const bool stream = MayStream(row);
    GroupScales scales;
    for (int64_t first = 0; first < groups_; first += kLanes) {
      const int64_t count = HWY_MIN(groups_ - first, static_cast<int64_t>(kLanes));
      const int64_t begin = first * size_;
      for (int64_t g = 0; g < count; ++g) {
        scales.amax[g] = MaxMagnitude(x + begin + g * size_, size_, first + g + 1 < groups_);
      }
      scales.Compute(a_, max_is_code_);
      for (int64_t g = 0; g < count; ++g) out[(first + g) * a_.scales.stride] = scales.scale[g];
      if (!scales.bounded) {
        DivideGroups(x + begin, codes + begin, scales, count);
      } else if (stream) {
        Multiply<Streamed>(x, codes, begin, scales, count, row);
      } else {
        Multiply<Full>(x, codes, begin, scales, count, row);
      }
    }
  }

 private:
  // Groups from element `begin` of the row on. What is to be asked for is asked for a few lines at
  // a time, of a group as long as the row in pieces: all at once, rms_norm_per_token_quant took 1.2
  // times as long.
  template <class At>
  void Multiply(const T* x, Code* codes, int64_t begin, const GroupScales& scales, int64_t count,
                const Writing& row) const {
    const int64_t most = row.ahead != nullptr ? HWY_MIN(size_, kAskedAtOnce) : size_;
    for (int64_t g = 0; g < count; ++g) {
      const Quotient<T> by = scales.By<T>(g);
      for (const int64_t end = begin + size_; begin < end; begin += most) {
        const int64_t n = HWY_MIN(end - begin, most);
        AskFor(row, begin, n);
        ForGroup<At>(n, begin + n < a_.cols,
                     [by, from = x + begin, to = codes + begin](auto at)
                         HWY_ATTR { StoreQuotients(by, from, to, at); });
      }
    }
  }

  void DivideGroups(const T* x, Code* codes, const GroupScales& scales, int64_t count) const {
    for (int64_t g = 0; g < count; ++g, x += size_, codes += size_) {
      const VF divisor = hn::Set(DF(), scales.scale[g]);
      ForSteps(size_, [=, max = max_](auto at)
                          HWY_ATTR { Store(Div(Load(x, at), divisor), codes, at, max); });
    }
  }

  const GroupQuantArgs& a_;
  const int64_t size_, groups_;
  const float max_;
  const bool max_is_code_;
};

void GroupQuantRows(const GroupQuantArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    VisitCode(a.codes.dtype, [&](auto code) HWY_ATTR {
      const RowQuantizer<decltype(type), decltype(code)> quantizer(a);
      for (int64_t r = 0; r < a.rows; ++r) quantizer.Row(r);
    });
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(GroupQuantRows);

void GroupQuant(const GroupQuantArgs& args) { HWY_DYNAMIC_DISPATCH(GroupQuantRows)(args); }

}  // namespace fusible::kernels
#endif
