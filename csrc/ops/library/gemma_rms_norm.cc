#include "kernels/rms_norm.h"
#include "ops/library/library.h"

namespace fusible::library {

Op gemma_rms_norm() {
  return Op("gemma_rms_norm(x: F[..., C], weight: F[C], *, eps: float >= 0 = 1e-6) -> y@x: F[..., "
            "C]")
      .Doc(
          "rms_norm of a model whose weights are stored less one: the factor is 1 + weight, formed "
          "in "
          "f32.")
      .Source("Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295")
      .Cost(2)
      .Rows([](const RowCall& c) {
        const float eps = static_cast<float>(c.Float("eps"));
        kernels::RmsNorm({c.in[0], c.in[1], c.out[0], c.rows, c.Dim("C"), eps, true});
      })
      .Joins("add", [](const RowCall& c) {
        const float eps = static_cast<float>(c.Float("eps"));
        kernels::RmsNorm(
            {c.out[0], c.in[2], c.out[1], c.rows, c.Dim("C"), eps, true, {c.in[0], c.in[1]}});
      });
}

}  // namespace fusible::library
