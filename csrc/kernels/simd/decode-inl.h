// 8-bit floats as bf16, which has all of them: the four codes of each 32-bit word at once.
#include "kernels/simd/fp8-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_DECODE_INL_H_
#undef FUSIBLE_KERNELS_SIMD_DECODE_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_DECODE_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// The bf16 of a code without its sign.
template <class T>
constexpr uint16_t Bf16OfCode(uint32_t code) {
  constexpr int kMantissa = Format8<T>::kMantissa;
  if (std::is_same_v<T, E4M3FN> && code == 0x7F) return 0x7FC0;
  if (std::is_same_v<T, E5M2> && code >= 0x7C) return code == 0x7C ? 0x7F80 : 0x7FC0;
  if (code == 0) return 0;
  uint32_t exponent = code >> kMantissa, fraction = code;
  if (exponent == 0) {
    exponent = 1;
    for (; fraction >> kMantissa == 0; fraction *= 2) --exponent;
  }
  fraction &= (1 << kMantissa) - 1;
  return static_cast<uint16_t>((exponent + 127 - Format8<T>::kBias) << 7 | fraction
                                                                               << (7 - kMantissa));
}

// The four codes of each word as bf16: first and third, second and fourth.
struct FourCodes {
  VU even, odd;
};

#if HWY_TARGET == HWY_SCALAR
inline constexpr bool kHasTables = false;

template <class T>
HWY_INLINE FourCodes DecodeFour(VU words) {
  return {words, words};
}
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
inline constexpr bool kHasTables = true;

struct alignas(64) CodeTable {
  uint16_t bf16[128];
};
template <class T>
constexpr CodeTable MakeCodeTable() {
  CodeTable table = {};
  for (uint32_t code = 0; code < 128; ++code) table.bf16[code] = Bf16OfCode<T>(code);
  return table;
}
template <class T>
inline constexpr CodeTable kCodes = MakeCodeTable<T>();

// Codes of 16-bit lanes as bf16, by a table: a third of the instructions that arithmetic takes.
template <class T>
HWY_INLINE VU DecodeByTable(VU codes) {
  const __m512i* table = reinterpret_cast<const __m512i*>(kCodes<T>.bf16);
  const __m512i low = _mm512_permutex2var_epi16(table[0], codes.raw, table[1]);
  const __m512i high = _mm512_permutex2var_epi16(table[2], codes.raw, table[3]);
  const __mmask32 upper = _mm512_test_epi16_mask(codes.raw, _mm512_set1_epi16(0x40));
  const VU magnitude{_mm512_mask_mov_epi16(low, upper, high)};
  const VU sign = hn::And(VU{_mm512_slli_epi16(codes.raw, 8)}, SetBits(0x80008000));
  const VU value = hn::Or(magnitude, sign);
  if constexpr (!std::is_same_v<T, E4M3FNUZ>) {
    return value;
  } else {
    const __mmask32 nan = _mm512_cmpeq_epi16_mask(codes.raw, _mm512_set1_epi16(0x80));
    return VU{_mm512_mask_mov_epi16(value.raw, nan, _mm512_set1_epi16(0x7FC0))};
  }
}
template <class T>
HWY_INLINE FourCodes DecodeFour(VU words) {
  const VU low = SetBits(0x00FF00FF);
  return {DecodeByTable<T>(hn::And(words, low)),
          DecodeByTable<T>(hn::And(hn::ShiftRight<8>(words), low))};
}
#else
inline constexpr bool kHasTables = true;

// Both bytes of the bf16 of the least codes.
struct alignas(16) SmallCodes {
  uint8_t low[16], high[16];
};
template <class T>
constexpr SmallCodes MakeSmallCodes() {
  SmallCodes codes = {};
  for (uint32_t code = 0; code < 16; ++code) {
    codes.low[code] = Bf16OfCode<T>(code) & 0xFF;
    codes.high[code] = Bf16OfCode<T>(code) >> 8;
  }
  return codes;
}
template <class T>
inline constexpr SmallCodes kSmallCodes = MakeSmallCodes<T>();

// Byte by byte, four times as many at once as in f32: a normal code is shifted and gets another
// bias, a subnormal is looked up. Any NaN will do. With AVX2 one row by a weight of fp8 takes 0.6
// of the time that Code8's arithmetic takes (Zen 3).
template <class T>
class ByteDecoder {
  static constexpr int kLeft = 7 - Format8<T>::kMantissa, kRight = 8 - kLeft;
  static constexpr uint32_t kBase = (127 - Format8<T>::kBias) << 7;
  static constexpr hn::Repartition<uint8_t, DU> kBytes = {};
  static constexpr hn::Repartition<uint16_t, DU> kHalves = {};
  static constexpr hn::Repartition<int8_t, DU> kSigned = {};
  using V = hn::Vec<hn::Repartition<uint8_t, DU> >;

  static HWY_INLINE V Bytes(uint32_t value) { return hn::Set(kBytes, static_cast<uint8_t>(value)); }
  static HWY_INLINE auto Halves(V v) { return hn::BitCast(kHalves, v); }
  template <class Other>
  static HWY_INLINE V FromHalves(Other v) {
    return hn::BitCast(kBytes, v);
  }
  // Of magnitudes, which have no sign.
  static HWY_INLINE auto Above(V v, int bound) {
    const auto above = hn::Gt(hn::BitCast(kSigned, v), hn::Set(kSigned, bound));
    return hn::RebindMask(kBytes, above);
  }
  static HWY_INLINE auto IsSpecial(V codes, V magnitude) {
    if constexpr (std::is_same_v<T, E4M3FNUZ>) return hn::Eq(codes, Bytes(0x80));
    return Above(magnitude, std::is_same_v<T, E5M2> ? 0x7B : 0x7E);  // infinity, NaN
  }

 public:
  static HWY_INLINE FourCodes Decode(VU words) {
    const V codes = hn::BitCast(kBytes, words), magnitude = hn::And(codes, Bytes(0x7F));
    const V based = hn::Add(magnitude, Bytes((kBase & 0xFF) >> kLeft));
    V low = hn::And(FromHalves(hn::ShiftLeft<kLeft>(Halves(based))), Bytes(0xFF << kLeft));
    V high = hn::And(FromHalves(hn::ShiftRight<kRight>(Halves(based))), Bytes(0xFF >> kRight));
    high = hn::Add(high, Bytes(kBase >> 8));

    const auto normal = Above(magnitude, (1 << Format8<T>::kMantissa) - 1);
    const V index = hn::And(codes, Bytes(0x0F));
    const auto& small = kSmallCodes<T>;
    low =
        hn::IfThenElse(normal, low, hn::TableLookupBytes(hn::LoadDup128(kBytes, small.low), index));
    high = hn::IfThenElse(normal, high,
                          hn::TableLookupBytes(hn::LoadDup128(kBytes, small.high), index));

    const V special = hn::VecFromMask(kBytes, IsSpecial(codes, magnitude));
    high = hn::OrAnd(hn::OrAnd(high, special, Bytes(0x7F)), codes, Bytes(0x80));
    if constexpr (std::is_same_v<T, E4M3FNUZ>) low = hn::OrAnd(low, special, Bytes(0xC0));
    const V above = FromHalves(hn::ShiftLeft<8>(Halves(high)));
    const V below = FromHalves(hn::ShiftRight<8>(Halves(low)));
    return {hn::BitCast(DU(), hn::OddEven(above, low)),
            hn::BitCast(DU(), hn::OddEven(high, below))};
  }
};

template <class T>
HWY_INLINE FourCodes DecodeFour(VU words) {
  return ByteDecoder<T>::Decode(words);
}
#endif

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
