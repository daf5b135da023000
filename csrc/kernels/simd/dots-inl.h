// The dot product of pairs of bf16 that AVX512-BF16 has, at twice the rate of fma. AMD's Zen 4 adds
// the product of the upper halves of two words to the sum as one fma, then that of the lower
// halves, as Intel's manual has it too. It takes subnormals for zero and makes zeros of them; where
// none can occur, its bits are those of two fma.
#include "kernels/matmul_pack.h"
#include "kernels/simd/lanes-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_DOTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_DOTS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_DOTS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_DOTS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Whether a CPU of this target may have it; HasBf16Dots() says whether this one does.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
inline constexpr bool kMayDot = true;

// This target does not have the instruction: it is said to the assembler, not to the compiler.
HWY_INLINE VF AddDots(VU a, VU b, VF sum) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
}

// ExponentFloor of the bf16 of `count` words, a multiple of kLanes.
HWY_INLINE int32_t FloorOfWords(const void* words, size_t count) {
  const hn::Repartition<uint16_t, DU> d;
  auto least = hn::Set(d, 0xFFFF);  // of (bits without sign) - 1, where a zero is the largest
  for (size_t i = 0; i < count; i += kLanes) {
    const auto bits = LoadBytes(d, static_cast<const uint32_t*>(words) + i);
    least = hn::Min(least, hn::Sub(hn::And(bits, hn::Set(d, 0x7FFF)), hn::Set(d, 1)));
  }
  const VU both = hn::BitCast(DU(), least);
  const VU halves = hn::Min(hn::And(both, SetBits(0xFFFF)), hn::ShiftRight<16>(both));
  return ExponentFloor(static_cast<uint16_t>(hn::GetLane(hn::MinOfLanes(DU(), halves))));
}
#else
inline constexpr bool kMayDot = false;

HWY_INLINE VF AddDots(VU, VU, VF sum) { return sum; }
HWY_INLINE int32_t FloorOfWords(const void*, size_t) { return 0; }
#endif

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
