#include "bindings/bind.h"
#include "core/settings.h"
#include "kernels/simd/targets.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The native half of fusible; use the names of the package `fusible`.";
  // First: what a refused import has bound could not be bound again by the next one.
  fusible::kernels::ForceIsa(fusible::IsaSetting().value_or(""));
  fusible::BindErrors(m);
  fusible::BindSettings(m);
  fusible::BindOps(m);
  fusible::BindGraphs(m);
  fusible::BindTargets(m);
  fusible::BindPatterns(m);
  fusible::BindPasses(m);
  fusible::BindRuntime(m);
  fusible::BindPackedWeights(m);
}
