// Steps of stored floats as pairs of f32 vectors, from memory and back.
//
// A step is 2 * kLanes neighbouring elements, held in one of two ways: as those of even and those
// of odd index, so that a pair of neighbours shares a lane, or in order.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/simd/storage.h"
#include "kernels/simd/targets.h"

#if defined(FUSIBLE_KERNELS_SIMD_STORAGE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_STORAGE_INL_H_
#undef FUSIBLE_KERNELS_SIMD_STORAGE_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_STORAGE_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Never more than 16 lanes: a group of the canonical sum has 16 pairs.
using DF = hn::CappedTag<float, 16>;
using DU = hn::RebindToUnsigned<DF>;
using DI = hn::RebindToSigned<DF>;
using D16 = hn::Rebind<uint16_t, DF>;
using VF = hn::Vec<DF>;
using VU = hn::Vec<DU>;

inline constexpr size_t kLanes = hn::MaxLanes(DF());
inline constexpr size_t kStep = 2 * kLanes;

struct Pair {
  VF even, odd;
};
struct InOrder {
  VF low, high;
};

HWY_INLINE VF Front(const Pair& v) { return v.even; }
HWY_INLINE VF Front(const InOrder& v) { return v.low; }
HWY_INLINE VF Back(const Pair& v) { return v.odd; }
HWY_INLINE VF Back(const InOrder& v) { return v.high; }

// f of both vectors of steps that are held in one way.
template <class F, class S, class... Others>
HWY_INLINE S Each(const F& f, const S& v, const Others&... others) {
  return {f(Front(v), Front(others)...), f(Back(v), Back(others)...)};
}

// Said of a step in which no element is a NaN, or where any other NaN is as good as the canonical
// one: what stores it need not look.
struct NoNan {};

// Neighbouring elements, `low` before `high`, as those of even and those of odd index.
HWY_INLINE Pair Split(VF low, VF high) {
#if HWY_TARGET == HWY_SCALAR
  return {low, high};
#else
  return {hn::ConcatEven(DF(), high, low), hn::ConcatOdd(DF(), high, low)};
#endif
}

HWY_INLINE VF FromBits(VU bits) { return hn::BitCast(DF(), bits); }
HWY_INLINE VU ToBits(VF v) { return hn::BitCast(DU(), v); }
HWY_INLINE VU SetBits(uint32_t bits) { return hn::Set(DU(), bits); }

// Vectors from and to memory of any type and alignment.
template <class D>
HWY_INLINE hn::Vec<D> LoadBytes(D d, const void* from) {
#if HWY_TARGET == HWY_SCALAR
  hn::TFromD<D> lane;
  std::memcpy(&lane, from, sizeof(lane));
  return hn::Set(d, lane);
#else
  const hn::Repartition<uint8_t, D> bytes;
  return hn::BitCast(d, hn::LoadU(bytes, static_cast<const uint8_t*>(from)));
#endif
}

template <class D>
HWY_INLINE void StoreBytes(hn::Vec<D> v, [[maybe_unused]] D d, void* to) {
#if HWY_TARGET == HWY_SCALAR
  const hn::TFromD<D> lane = hn::GetLane(v);
  std::memcpy(to, &lane, sizeof(lane));
#else
  const hn::Repartition<uint8_t, D> bytes;
  hn::StoreU(hn::BitCast(bytes, v), bytes, static_cast<uint8_t*>(to));
#endif
}

// Storage<T>: Load reads a step at p; Store writes one, rounded to nearest even, with canonical
// NaNs where none is a signalling one (else Canonical makes them so); LoadInOrder reads kLanes
// elements. Own: how T's steps are held at the least cost. 16-bit storage splits with a shift and a
// mask; where whole vectors are converted, or nothing is, a split takes a shuffle for each of them:
// rms_norm of f32 took 1.8 times as long that way on a Zen 4.
template <class T>
struct Storage;

template <class T>
using Own = typename Storage<T>::Own;

template <>
struct Storage<float> {
#if HWY_TARGET == HWY_SCALAR
  using Own = Pair;
#else
  using Own = InOrder;
#endif

  static HWY_INLINE Pair Load(const float* p) {
    Pair pair;
    hn::LoadInterleaved2(DF(), p, pair.even, pair.odd);
    return pair;
  }
  static HWY_INLINE void Store(const Pair& v, float* p) {
    hn::StoreInterleaved2(CanonicalQuiet(v.even), CanonicalQuiet(v.odd), DF(), p);
  }
  static HWY_INLINE void Store(const InOrder& v, float* p) {
    hn::StoreU(CanonicalQuiet(v.low), DF(), p);
    hn::StoreU(CanonicalQuiet(v.high), DF(), p + kLanes);
  }
  static HWY_INLINE void Store(const Pair& v, float* p, NoNan) {
    hn::StoreInterleaved2(v.even, v.odd, DF(), p);
  }
  static HWY_INLINE void Store(const InOrder& v, float* p, NoNan) {
    hn::StoreU(v.low, DF(), p);
    hn::StoreU(v.high, DF(), p + kLanes);
  }
  static HWY_INLINE VF LoadInOrder(const float* p) { return hn::LoadU(DF(), p); }
  static HWY_INLINE VF Canonical(VF v) {
    return hn::IfThenElse(hn::IsNaN(v), FromBits(SetBits(0x7FC00000)), v);
  }
  // The same where no NaN is a signalling one, as none is that came out of arithmetic.
  static HWY_INLINE VF CanonicalQuiet(VF v) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
    // The smaller of two, which is the number if one is a NaN, and the first if both are.
    return VF{_mm512_range_ps(FromBits(SetBits(0x7FC00000)).raw, v.raw, 4)};
#else
    return Canonical(v);
#endif
  }
};

template <>
struct Storage<BF16> {
  using Own = Pair;

  static HWY_INLINE Pair Load(const BF16* p) {
    const VU both = LoadBytes(DU(), p);
    return {FromBits(hn::ShiftLeft<16>(both)), FromBits(hn::And(both, SetBits(0xFFFF0000)))};
  }
  static HWY_INLINE VF LoadInOrder(const BF16* p) {
    return FromBits(hn::ShiftLeft<16>(hn::PromoteTo(DU(), LoadBytes(D16(), p))));
  }
#if HWY_TARGET == HWY_SCALAR
  static HWY_INLINE void Store(const Pair& v, BF16* p) {
    StoreBytes(hn::Or(Encode(v.even), hn::ShiftLeft<16>(Encode(v.odd))), DU(), p);
  }
  static HWY_INLINE void Store(const Pair& v, BF16* p, NoNan) { Store(v, p); }
  static HWY_INLINE VU Encode(VF v) {
    const VU bits = ToBits(v);
    const VU last = hn::And(hn::ShiftRight<16>(bits), SetBits(1));
    const VU rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, SetBits(0x7FFF)), last));
    return ToBits(hn::IfThenElse(hn::IsNaN(v), FromBits(SetBits(0x7FC0)), FromBits(rounded)));
  }
#else
  using DHalf = hn::Repartition<uint16_t, DF>;

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  static HWY_INLINE void Store(const Pair& v, BF16* p) {
    if (HWY_LIKELY(HasBf16Conversion() && AreUsual(v))) return StoreBytes(Convert(v), DHalf(), p);
    StoreRounded(v, p);
  }
  // The CPU's conversion takes subnormals for zeros, and keeps the bits of a NaN.
  static HWY_INLINE bool AreUsual(const Pair& v) {
    constexpr int kUnusual = 0x81 | 0x20;  // quiet and signaling NaN, subnormal
    return _kortestz_mask16_u8(_mm512_fpclass_ps_mask(v.even.raw, kUnusual),
                               _mm512_fpclass_ps_mask(v.odd.raw, kUnusual)) != 0;
  }
  // This target does not have the instruction: it is said to the assembler, not to the compiler. It
  // gives the even elements below the odd ones.
  static HWY_INLINE hn::Vec<DHalf> Convert(const Pair& v) {
    __m512i halves;
    asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(halves) : "v"(v.odd.raw), "v"(v.even.raw));
    const __m512i order = _mm512_set_epi32(
        0x1F000F, 0x1E000E, 0x1D000D, 0x1C000C, 0x1B000B, 0x1A000A, 0x190009, 0x180008, 0x170007,
        0x160006, 0x150005, 0x140004, 0x130003, 0x120002, 0x110001, 0x100000);
    return hn::Vec<DHalf>{_mm512_permutexvar_epi16(order, halves)};
  }
#else
  static HWY_INLINE void Store(const Pair& v, BF16* p) { StoreRounded(v, p); }
#endif

  // Without a look for NaNs this takes fewer instructions than the CPU's conversion, which needs
  // one for subnormals: of the time of rms_norm, 0.93 on a Sapphire Rapids.
  static HWY_INLINE void Store(const Pair& v, BF16* p, NoNan) {
    StoreBytes(Rounded(HalvesOf(v)), DHalf(), p);
  }

  // A step at a time in 16-bit lanes: two thirds of the instructions that rounding its even and its
  // odd elements takes. A NaN is known by its upper half: one that came out of arithmetic is quiet.
  static HWY_INLINE void StoreRounded(const Pair& v, BF16* p) {
    const DHalf d;
    const Halves halves = HalvesOf(v);
    const hn::RebindToSigned<DHalf> di;  // AVX2 compares no unsigned numbers
    const auto magnitude = hn::BitCast(di, hn::And(halves.high, hn::Set(d, 0x7FFF)));
    const auto is_nan = hn::RebindMask(d, hn::Gt(magnitude, hn::Set(di, 0x7F80)));
    StoreBytes(hn::IfThenElse(is_nan, hn::Set(d, 0x7FC0), Rounded(halves)), d, p);
  }

  // The upper and the lower 16 bits of a step's elements, in order.
  struct Halves {
    hn::Vec<DHalf> high, low;
  };
  static HWY_INLINE Halves HalvesOf(const Pair& v) {
    const DHalf d;
    const VU even = ToBits(v.even), odd = ToBits(v.odd);
    return {hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<16>(even))),
            hn::OddEven(hn::BitCast(d, hn::ShiftLeft<16>(odd)), hn::BitCast(d, even))};
  }
  // A half, 0x8000, goes to even: up where the last place of `high` is odd.
  static HWY_INLINE hn::Vec<DHalf> Rounded(const Halves& halves) {
    const DHalf d;
    const auto high = halves.high, one = hn::Set(d, 1);
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3  // masks are registers of their own
    const auto up = hn::Gt(hn::OrAnd(halves.low, high, one), hn::Set(d, 0x8000));
    return hn::IfThenElse(up, hn::Add(high, one), high);
#else
    const auto lower = hn::SaturatedSub(halves.low, hn::AndNot(high, one));
    return hn::Add(high, hn::ShiftRight<15>(lower));
#endif
  }
#endif
};

// F16C converts whole vectors, from AVX2 on. Elsewhere the conversion is done in integers:
// Highway's own is not exact everywhere. Decode and Encode: codes in the low half of a lane.
template <>
struct Storage<F16> {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  using Own = InOrder;
  using DF16 = hn::Rebind<hwy::float16_t, DF>;

  static HWY_INLINE Pair Load(const F16* p) {
    return Split(LoadInOrder(p), LoadInOrder(p + kLanes));
  }
  static HWY_INLINE VF LoadInOrder(const F16* p) {
    return hn::PromoteTo(DF(), hn::BitCast(DF16(), LoadBytes(D16(), p)));
  }
  static HWY_INLINE VF Decode(VU code) {
    const auto codes = hn::DemoteTo(D16(), hn::BitCast(DI(), code));
    return hn::PromoteTo(DF(), hn::BitCast(DF16(), codes));
  }
  static HWY_INLINE void Store(const InOrder& v, F16* p) {
    StoreBytes(Halve(v.low), D16(), p);
    StoreBytes(Halve(v.high), D16(), p + kLanes);
  }
  static HWY_INLINE void Store(const InOrder& v, F16* p, NoNan) {
    StoreBytes(Narrow(v.low), D16(), p);
    StoreBytes(Narrow(v.high), D16(), p + kLanes);
  }
  static HWY_INLINE hn::Vec<D16> Halve(VF v) { return Narrow(Storage<float>::CanonicalQuiet(v)); }
  static HWY_INLINE hn::Vec<D16> Narrow(VF v) {
    return hn::BitCast(D16(), hn::DemoteTo(DF16(), v));
  }
  static HWY_INLINE VU Encode(VF v) { return hn::PromoteTo(DU(), Halve(v)); }
#else
  using Own = Pair;

  static HWY_INLINE Pair Load(const F16* p) {
    const VU both = LoadBytes(DU(), p);
    return {Decode(hn::And(both, SetBits(0xFFFF))), Decode(hn::ShiftRight<16>(both))};
  }
  static HWY_INLINE VF LoadInOrder(const F16* p) {
    return Decode(hn::PromoteTo(DU(), LoadBytes(D16(), p)));
  }
  static HWY_INLINE VF Decode(VU code) {
    const VU magnitude = hn::ShiftLeft<13>(hn::And(code, SetBits(0x7FFF)));
    const VF normal = FromBits(hn::Add(magnitude, SetBits(112u << 23)));
    // A subnormal's bits behind an exponent of 2^-14, less that 2^-14: exact.
    const VF tiny = FromBits(hn::Add(magnitude, SetBits(113u << 23)));
    const VF subnormal = hn::Sub(tiny, FromBits(SetBits(113u << 23)));
    const VF special = FromBits(hn::Or(magnitude, SetBits(0x7F800000)));
    const VF small = FromBits(SetBits(113u << 23));
    const VF large = FromBits(SetBits(143u << 23));  // 2^16: infinity and NaN came out here
    VF value = hn::IfThenElse(hn::Lt(normal, small), subnormal, normal);
    value = hn::IfThenElse(hn::Ge(normal, large), special, value);
    const VU sign = hn::ShiftLeft<16>(hn::And(code, SetBits(0x8000)));
    return FromBits(hn::Or(ToBits(value), sign));
  }
  static HWY_INLINE VU Encode(VF v) {
    const VF a = hn::Abs(v);
    const VU bits = ToBits(a);
    const VU last = hn::And(hn::ShiftRight<13>(bits), SetBits(1));
    const VU rounded = hn::Add(hn::Add(bits, SetBits(0xFFF)), last);
    const VU normal = hn::Sub(hn::ShiftRight<13>(rounded), SetBits(112u << 10));
    // Adding 1/2, whose last place is 2^-24, rounds to a multiple of the smallest subnormal.
    const VF half = hn::Set(DF(), 0.5f);
    const VU subnormal = hn::Sub(ToBits(hn::Add(a, half)), ToBits(half));
    VF code = hn::IfThenElse(hn::Lt(a, FromBits(SetBits(113u << 23))), FromBits(subnormal),
                             FromBits(normal));
    code = hn::IfThenElse(hn::Ge(a, hn::Set(DF(), 65520.0f)), FromBits(SetBits(0x7C00)), code);
    const VU sign = hn::And(hn::ShiftRight<16>(ToBits(v)), SetBits(0x8000));
    const VF with_sign = FromBits(hn::Or(ToBits(code), sign));
    return ToBits(hn::IfThenElse(hn::IsNaN(v), FromBits(SetBits(0x7E00)), with_sign));
  }
#endif
  static HWY_INLINE void Store(const Pair& v, F16* p) {
    StoreBytes(hn::Or(Encode(v.even), hn::ShiftLeft<16>(Encode(v.odd))), DU(), p);
  }
  static HWY_INLINE void Store(const Pair& v, F16* p, NoNan) { Store(v, p); }
};

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
