#include "kernels/group_quant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/group_quant.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/fp8-inl.h"
#include "kernels/simd/quotient-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// The largest |x| of a group. Compared as integers, in which order a NaN is above infinity.
template <class T>
HWY_INLINE float MaxMagnitude(const T* x, size_t n) {
  VU max = hn::Zero(DU());
  ForSteps(n, [&](auto at) HWY_ATTR {
    const Pair v = Load(x, at);
    max = hn::Max(max, hn::Max(ToBits(hn::Abs(v.even)), ToBits(hn::Abs(v.odd))));
  });
  return hn::GetLane(FromBits(hn::MaxOfLanes(DU(), max)));
}

#if HWY_TARGET != HWY_SCALAR
// bf16 as it is stored: twice as many at a time.
HWY_INLINE float MaxMagnitude(const BF16* x, size_t n) {
  const hn::Repartition<int16_t, DF> d16;
  const auto magnitude = hn::Set(d16, 0x7FFF);
  auto max = hn::Zero(d16);
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    max = hn::Max(max, hn::And(LoadBytes(d16, x + i), magnitude));
  }
  if (i < n) {
    alignas(64) BF16 rest[kStep] = {};
    std::memcpy(rest, x + i, (n - i) * sizeof(BF16));
    max = hn::Max(max, hn::And(LoadBytes(d16, rest), magnitude));
  }
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

template <class T, class Code>
class RowQuantizer {
 public:
  explicit RowQuantizer(const GroupQuantArgs& a)
      : a_(a), max_(HWY_MIN(a.max, Code8<Code>::kMax)), max_is_code_(IsCode<Code>(max_)) {}

  // kLanes groups at a time, whose scales are computed together.
  void Row(int64_t r) const {
    const T* x = a_.x.Row<T>(r);
    float* scales = a_.scales.Row<float>(r);
    const int64_t size = a_.group_size, groups = size == a_.cols ? 1 : a_.cols / size;
    alignas(64) float amax[kLanes] = {}, scale[kLanes], reciprocal[kLanes];
    for (int64_t first = 0; first < groups; first += kLanes) {
      const int64_t count = HWY_MIN(groups - first, static_cast<int64_t>(kLanes));
      for (int64_t g = 0; g < count; ++g) amax[g] = MaxMagnitude(x + (first + g) * size, size);
      const VF computed = ScalesOf(hn::Load(DF(), amax), a_);
      hn::Store(computed, DF(), scale);
      hn::Store(hn::Div(hn::Set(DF(), 1.0f), computed), DF(), reciprocal);
      for (int64_t g = 0; g < count; ++g) {
        scales[(first + g) * a_.scales.stride] = scale[g];
        const int64_t begin = (first + g) * size;
        Group(x + begin, a_.codes.Row<Code>(r) + begin, scale[g], reciprocal[g]);
      }
    }
  }

 private:
  void Group(const T* x, Code* codes, float scale, float reciprocal) const {
    const size_t n = a_.group_size;
    // Not for a NaN. An infinite amax has an infinite scale.
    if (max_is_code_ && scale >= kLeastDivisor && scale <= kGreatestDivisor) {
      const Quotient<T> by{hn::Set(DF(), scale), hn::Set(DF(), reciprocal)};
      ForSteps(n, a_.codes.stream, codes, [=](auto at) HWY_ATTR {
        Store(by(Load(x, at)), codes, at, Bounded());
      });
    } else {
      const VF divisor = hn::Set(DF(), scale);
      ForSteps(n, [=, max = max_](auto at) HWY_ATTR {
        Store(Div(Load(x, at), divisor), codes, at, max);
      });
    }
  }

  const GroupQuantArgs& a_;
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
