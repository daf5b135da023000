#include "bindings/bind.h"
#include "core/settings.h"
#include "kernels/simd/targets.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The native half of fusible; use the names of the package `fusible`.";
  fusible::BindErrors(m);
  fusible::BindSettings(m);
  fusible::BindOps(m);
  fusible::BindGraphs(m);
  fusible::BindPasses(m);
  fusible::BindRuntime(m);
  fusible::kernels::ForceIsa(fusible::IsaSetting().value_or(""));
}
