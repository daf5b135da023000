#include "kernels/gated_activation.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gated_activation.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <Activation kActivation>
HWY_INLINE VF Gated(VF gate, VF up, [[maybe_unused]] float limit) {
  if constexpr (kActivation == Activation::kSiluClamped) {
    gate = AtMost(gate, limit);
    up = AtLeast(AtMost(up, limit), -limit);
  }
  if constexpr (kActivation == Activation::kGelu) return hn::Mul(Gelu(gate), up);
  if constexpr (kActivation == Activation::kGeluTanh) return hn::Mul(GeluTanh(gate), up);
  return hn::Mul(Silu(gate), up);
}

// The writing of row r, which asks for a later row of gates and ups meanwhile. On a Zen 4, whose
// prefetchers begin anew with each page, silu took 0.64 to 0.83 of the time that way where rows
// come from memory, and as long where they do not. Half a kilobyte ahead won nothing, half of the
// lines a twentieth.
template <class T>
HWY_INLINE Writing WritingGated(const GatedActivationArgs& a, int64_t r) {
  return Asking<2>(WritingRow<T>(a.out, r), a.x.Row<T>(r + RowsAhead(a.cols)));
}

// Flattened: of steps this long the compiler makes functions, which load every constant anew.
template <Activation kActivation, class T>
HWY_FLATTEN void GateRow(const GatedActivationArgs& a, int64_t r) {
  const T *x = a.x.Row<T>(r), *ups = x + a.cols;
  T* out = a.out.Row<T>(r);
  const float limit = a.limit;
  ForSteps(a.cols, WritingGated<T>(a, r), [=](auto at) HWY_ATTR {
    const auto gated = [=](VF gate, VF up) HWY_ATTR { return Gated<kActivation>(gate, up, limit); };
    Store(Each(gated, Load<Own<T>>(x, at), Load<Own<T>>(ups, at)), out, at);
  });
}

HWY_INLINE VF SwigluOai(const Pair& v, float limit, float alpha) {
  const VF gate = AtMost(v.even, limit);
  const VF up = AtLeast(AtMost(v.odd, limit), -limit);
  return hn::Mul(Swish(gate, alpha), hn::Add(up, SetF(1.0f)));
}

// Gate and up are neighbours, and stand in one lane of a Pair already: a step of the results takes
// two of them.
template <class T>
HWY_FLATTEN void SwigluOaiRow(const GatedActivationArgs& a, int64_t r) {
  const T* x = a.x.Row<T>(r);
  T* out = a.out.Row<T>(r);
  const float limit = a.limit, alpha = a.alpha;
  ForSteps(a.cols, WritingGated<T>(a, r), [=](auto at) HWY_ATTR {
    const auto [low, high] = LoadTwo(x, at);
    Store(Split(SwigluOai(low, limit, alpha), SwigluOai(high, limit, alpha)), out, at);
  });
}

template <class T>
auto RowOf(Activation activation) {
  switch (activation) {
    case Activation::kSiluClamped:
      return &GateRow<Activation::kSiluClamped, T>;
    case Activation::kGelu:
      return &GateRow<Activation::kGelu, T>;
    case Activation::kGeluTanh:
      return &GateRow<Activation::kGeluTanh, T>;
    case Activation::kSwigluOai:
      return &SwigluOaiRow<T>;
    default:
      return &GateRow<Activation::kSilu, T>;
  }
}

void GatedActivationRows(const GatedActivationArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    const auto row = RowOf<decltype(type)>(a.activation);
    for (int64_t r = 0; r < a.rows; ++r) row(a, r);
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(GatedActivationRows);

void GatedActivation(const GatedActivationArgs& args) {
  HWY_DYNAMIC_DISPATCH(GatedActivationRows)(args);
}

}  // namespace fusible::kernels
#endif
