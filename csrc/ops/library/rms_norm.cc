#include "kernels/rms_norm.h"

#include "ops/library/library.h"

namespace fusible::library {

Op rms_norm() {
  return Op("rms_norm(x: F[..., C], weight: F[C]?, *, eps: float >= 0 = 1e-6) -> y@x: F[..., C]")
      .Doc(
          "Scales each row to a root mean square of one, then by weight: "
          "y = (x * (1 / sqrt(mean(x^2) + eps))) * weight, in f32 with one rounding at the end.")
      .Source("Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4")
      .Cost(2)
      .Rows([](const RowCall& c) {
        const float eps = static_cast<float>(c.Float("eps"));
        kernels::RmsNorm({c.in[0], c.in[1], c.out[0], c.rows, c.Dim("C"), eps, false});
      })
      .Joins("add", [](const RowCall& c) {
        const float eps = static_cast<float>(c.Float("eps"));
        kernels::RmsNorm(
            {c.out[0], c.in[2], c.out[1], c.rows, c.Dim("C"), eps, false, {c.in[0], c.in[1]}});
      });
}

}  // namespace fusible::library
