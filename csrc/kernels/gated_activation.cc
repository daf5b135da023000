#include "kernels/gated_activation.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gated_activation.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <Activation kActivation>
VF Activate(VF x) {
  if constexpr (kActivation == Activation::kSilu) return Silu(x);
  return GeluTanh(x);
}

template <Activation kActivation, class T>
void GateRow(const T* x, T* out, size_t n, bool stream) {
  ForSteps(n, stream, out, [=](auto at) HWY_ATTR {
    const Pair gate = Load(x, at);
    const Pair active = {Activate<kActivation>(gate.even), Activate<kActivation>(gate.odd)};
    Store(Mul(active, Load(x + n, at)), out, at);
  });
}

void GatedActivationRows(const GatedActivationArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    const auto row = a.activation == Activation::kSilu ? &GateRow<Activation::kSilu, T>
                                                       : &GateRow<Activation::kGeluTanh, T>;
    for (int64_t r = 0; r < a.rows; ++r) row(a.x.Row<T>(r), a.out.Row<T>(r), a.cols, a.out.stream);
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
