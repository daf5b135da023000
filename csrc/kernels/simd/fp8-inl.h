// The 8-bit formats: three of floats, and int8. Stores round to nearest even and saturate.
// e4m3fn, e5m2: OCP 8-bit floating point specification, revision 1.0; e5m2 alone has infinities,
// which loads know and saturating stores never write. e4m3fnuz: bias 8, one NaN (0x80), no negative
// zero; as in ONNX and on AMD's CDNA3.
#include <type_traits>

#include "kernels/simd/byte_extensions.h"
#include "kernels/simd/lanes-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_FP8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_FP8_INL_H_
#undef FUSIBLE_KERNELS_SIMD_FP8_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_FP8_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// kMax: the largest finite value. kNaN: the canonical one's code.
template <class T>
struct Format8;

template <>
struct Format8<E4M3FN> {
  static constexpr int kMantissa = 3, kBias = 7;
  static constexpr float kMax = 448.0f;
  static constexpr uint32_t kNaN = 0x7F;
};
template <>
struct Format8<E4M3FNUZ> {
  static constexpr int kMantissa = 3, kBias = 8;
  static constexpr float kMax = 240.0f;
  static constexpr uint32_t kNaN = 0x80;
};
template <>
struct Format8<E5M2> {
  static constexpr int kMantissa = 2, kBias = 15;
  static constexpr float kMax = 57344.0f;
  static constexpr uint32_t kNaN = 0x7E;
};

// Codes in the low byte of a lane; what Encode and EncodeBounded leave above it means nothing.
template <class T>
struct Code8 : Format8<T> {
  using Format8<T>::kNaN;
  static constexpr int kShift = 23 - Format8<T>::kMantissa;
  static constexpr uint32_t kRebias = 127 - Format8<T>::kBias;  // to the exponent of an f32
  static constexpr uint32_t kSmallestNormal = (kRebias + 1) << 23;

  // The value of a code; nothing may stand above it.
  static HWY_INLINE VF Decode(VU code) {
    const VU magnitude = hn::And(code, SetBits(0x7F));
    const VU sign = hn::ShiftLeft<24>(hn::And(code, SetBits(0x80)));
    const VF value = FromBits(hn::Or(ToBits(DecodeMagnitude(magnitude)), sign));
    if constexpr (std::is_same_v<T, E4M3FNUZ>) {
      return hn::IfThenElse(Equal(code, kNaN), FromBits(SetBits(0x7FC00000)), value);
    } else if constexpr (std::is_same_v<T, E4M3FN>) {
      return hn::IfThenElse(Equal(magnitude, kNaN), FromBits(SetBits(0x7FC00000)), value);
    } else {
      const VF infinity = FromBits(hn::Or(SetBits(0x7F800000), sign));
      const auto is_nan = hn::RebindMask(DF(), hn::Gt(magnitude, SetBits(0x7C)));
      return hn::IfThenElse(is_nan, FromBits(SetBits(0x7FC00000)),
                            hn::IfThenElse(Equal(magnitude, 0x7C), infinity, value));
    }
  }

  // The code of v clamped to +-max (which is at most kMax).
  static HWY_INLINE VU Encode(VF v, float max) { return Encode(v, max, v); }

  // The same of a v that has no sign and no NaN of its own: they are those of `of`. A NaN counts as
  // infinity, as Min gives the number on x86 and Arm.
  static HWY_INLINE VU Encode(VF v, float max, VF of) {
    const VU code = WithSign(EncodeMagnitude(hn::Min(hn::Abs(v), hn::Set(DF(), max))), of);
    return ToBits(hn::IfThenElse(hn::IsNaN(of), FromBits(SetBits(kNaN)), FromBits(code)));
  }

  // The same for |v| <= kMax: no NaN either.
  static HWY_INLINE VU EncodeBounded(VF v) { return WithSign(EncodeMagnitude(hn::Abs(v)), v); }

  // A sum whose last place is the code's, that of the smallest normal for all below it, rounds to
  // it: one path for normals and subnormals. The sum's low bits are a in units of that place, and
  // its exponent in the place of a code's is 8 (4) codes each: together the code, but for a
  // constant that the sum brings along (a multiple of 4, so that even stays even).
  static HWY_INLINE VU EncodeMagnitude(VF a) {
    constexpr uint32_t kOffset = -((kRebias + 1 + kShift) << Format8<T>::kMantissa) & 0xFF;
    const VU exponent = hn::Max(hn::And(ToBits(a), SetBits(0x7F800000)), SetBits(kSmallestNormal));
    const VU magic = hn::Add(exponent, SetBits((uint32_t{kShift} << 23) + kOffset));
    const VU sum = ToBits(hn::Add(a, FromBits(magic)));
    return hn::Add(sum, hn::ShiftRight<kShift>(sum));
  }

  static HWY_INLINE VU WithSign(VU code, VF v) {
    VU sign = hn::ShiftRight<24>(ToBits(v));
    if constexpr (std::is_same_v<T, E4M3FNUZ>) {
      const auto is_zero = Equal(hn::And(code, SetBits(0xFF)), 0);
      sign = ToBits(hn::IfThenZeroElse(is_zero, FromBits(sign)));
    }
    return hn::OrAnd(code, sign, SetBits(0x80));
  }

 private:
  static HWY_INLINE auto Equal(VU a, uint32_t b) {
    return hn::RebindMask(DF(), hn::Eq(a, SetBits(b)));
  }

  static HWY_INLINE VF DecodeMagnitude(VU magnitude) {
    const VU shifted = hn::ShiftLeft<kShift>(magnitude);
    const VF normal = FromBits(hn::Add(shifted, SetBits(kRebias << 23)));
    const VF smallest = FromBits(SetBits(kSmallestNormal));
    const VF tiny = FromBits(hn::Add(shifted, SetBits(kSmallestNormal)));
    return hn::IfThenElse(hn::Lt(normal, smallest), hn::Sub(tiny, smallest), normal);
  }
};

// int8, which has no NaN: 0 stands for it.
template <>
struct Code8<I8> {
  static constexpr float kMax = 127.0f;

  static HWY_INLINE VF Decode(VU code) {
    return hn::ConvertTo(DF(), hn::ShiftRight<24>(hn::BitCast(DI(), hn::ShiftLeft<24>(code))));
  }
  static HWY_INLINE VU Encode(VF v, float max) { return Encode(v, max, v); }
  static HWY_INLINE VU Encode(VF v, float max, VF of) {
    const VF bounded = hn::Max(hn::Min(v, hn::Set(DF(), max)), hn::Set(DF(), -1.0f - max));
    return ToBits(hn::IfThenZeroElse(hn::IsNaN(of), FromBits(EncodeBounded(bounded))));
  }
  // The sum's last place is 1.
  static HWY_INLINE VU EncodeBounded(VF v) {
    return ToBits(hn::Add(v, hn::Set(DF(), 12582912.0f)));  // 1.5 * 2^23
  }
};

// Ways of storing codes: of |v| <= kMax, no NaN among them; of such v >= 0 with these signs; and of
// v clamped to +-max, with the signs and NaNs of other numbers.
struct Bounded {};
struct Signs {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  __mmask32 negative;
#else
  VU words;  // of two 16-bit elements each, whose upper bits they are
#endif
};
struct Clamped {
  float max;
  Pair of;
};

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
// Of each lane of one vector and of another, the lowest bytes in turns.
struct alignas(64) LowByteIndex {
  uint8_t bytes[64] = {};
};
constexpr LowByteIndex MakeLowByteIndex() {
  LowByteIndex index;
  for (uint8_t lane = 0; lane < 16; ++lane) {
    index.bytes[2 * lane] = 4 * lane;
    index.bytes[2 * lane + 1] = 64 + 4 * lane;
  }
  return index;
}
inline constexpr LowByteIndex kLowByteIndex = MakeLowByteIndex();
#endif

template <class T>
struct Storage8 {
  static HWY_INLINE Pair Load(const T* p) {
    const VU both = hn::PromoteTo(DU(), LoadBytes(D16(), p));
    return {Code8<T>::Decode(hn::And(both, SetBits(0xFF))),
            Code8<T>::Decode(hn::ShiftRight<8>(both))};
  }
  static HWY_INLINE void Store(const Pair& v, T* p, float max = Code8<T>::kMax) {
    StoreCodes(Code8<T>::Encode(v.even, max), Code8<T>::Encode(v.odd, max), p);
  }
  static HWY_INLINE void Store(const Pair& v, T* p, Bounded) {
    StoreCodes(Code8<T>::EncodeBounded(v.even), Code8<T>::EncodeBounded(v.odd), p);
  }
  static HWY_INLINE void Store(const Pair& v, T* p, const Signs& signs) {
    const VU even = Code8<T>::EncodeMagnitude(v.even), odd = Code8<T>::EncodeMagnitude(v.odd);
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
    const __m256i codes = LowBytes(even, odd).raw;
    __mmask32 negative = signs.negative;
    if constexpr (std::is_same_v<T, E4M3FNUZ>) {  // its zero has no sign
      negative = _mm256_mask_test_epi8_mask(negative, codes, codes);
    }
    const __m256i sign = _mm256_set1_epi8(static_cast<char>(0x80));
    StoreBytes(hn::Vec<D16>{_mm256_mask_add_epi8(codes, negative, codes, sign)}, D16(), p);
#else
    const VU codes = Words(even, odd);
    VU sign = hn::And(hn::ShiftRight<8>(signs.words), SetBits(0x00800080));
    if constexpr (std::is_same_v<T, E4M3FNUZ>) {
      const VU rest = SetBits(0x007F007F);
      sign = hn::And(sign, hn::Add(hn::And(codes, rest), rest));
    }
    StoreBytes(Narrow(hn::Or(codes, sign)), D16(), p);
#endif
  }
  static HWY_INLINE void Store(const Pair& v, T* p, const Clamped& how) {
    StoreCodes(Code8<T>::Encode(v.even, how.max, how.of.even),
               Code8<T>::Encode(v.odd, how.max, how.of.odd), p);
  }
  static HWY_INLINE void StoreCodes(VU even, VU odd, T* p) {
    StoreBytes(LowBytes(even, odd), D16(), p);
  }

 private:
  static HWY_INLINE hn::Vec<D16> LowBytes(VU even, VU odd) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
    if (HWY_LIKELY(HasVbmi())) return PickBytes(even, odd);
#endif
    return Narrow(Words(even, odd));
  }

  // The lower half of even lanes below that of odd ones.
  static HWY_INLINE VU Words(VU even, VU odd) {
    const VU high = hn::ShiftLeft<16>(odd);
#if HWY_TARGET == HWY_SCALAR
    return hn::OrAnd(high, even, SetBits(0xFFFF));
#else
    const hn::Repartition<uint16_t, DU> d;
    return hn::BitCast(DU(), hn::OddEven(hn::BitCast(d, high), hn::BitCast(d, even)));
#endif
  }

  // The low bytes of halves of lanes.
  static HWY_INLINE hn::Vec<D16> Narrow(VU words) {
#if HWY_TARGET == HWY_SCALAR
    const VU low = hn::And(words, SetBits(0xFF00FF));
    return hn::TruncateTo(D16(), hn::Or(low, hn::ShiftRight<8>(low)));
#else
    const hn::Repartition<uint16_t, DU> d;
    const hn::Rebind<uint8_t, decltype(d)> bytes;
    return hn::BitCast(D16(), hn::TruncateTo(bytes, hn::BitCast(d, words)));
#endif
  }

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  // One instruction for three. This target does not have it: it is said to the assembler, not to
  // the compiler.
  static HWY_INLINE hn::Vec<D16> PickBytes(VU even, VU odd) {
    VU index = LoadBytes(DU(), kLowByteIndex.bytes);
    asm("vpermi2b %2, %1, %0" : "+v"(index.raw) : "v"(even.raw), "v"(odd.raw));
    return hn::Vec<D16>{_mm512_castsi512_si256(index.raw)};
  }
#endif
};

template <>
struct Storage<E4M3FN> : Storage8<E4M3FN> {};
template <>
struct Storage<E4M3FNUZ> : Storage8<E4M3FNUZ> {};
template <>
struct Storage<E5M2> : Storage8<E5M2> {};
template <>
struct Storage<I8> : Storage8<I8> {};

// Calls f(T{}) with the storage type of an 8-bit float dtype.
template <class F>
HWY_INLINE void VisitFp8(DType dtype, const F& f) {
  if (dtype == DType::kE4M3FN) return f(E4M3FN{});
  if (dtype == DType::kE4M3FNUZ) return f(E4M3FNUZ{});
  return f(E5M2{});
}

// The same with int8, for what quantizers write.
template <class F>
HWY_INLINE void VisitCode(DType dtype, const F& f) {
  if (dtype == DType::kI8) return f(I8{});
  VisitFp8(dtype, f);
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
