#include "ops/library/library.h"

namespace fusible::library {

Op gemma_fused_add_rms_norm() {
  return Op("gemma_fused_add_rms_norm(x: F[..., C], residual: F[..., C], weight: F[C], *, "
            "eps: float >= 0 = 1e-6) -> y@x: F[..., C], sum@residual: F[..., C]")
      .Doc("Adds to the residual stream, then gemma_rms_norm of the sum as it was stored.")
      .Source("Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295")
      .Equals(R"(
        sum = add(x, residual)
        y = gemma_rms_norm(sum, weight, eps=eps)
        return y, sum
      )");
}

}  // namespace fusible::library
