#include "kernels/layer_norm.h"

#include "ops/library/library.h"

namespace fusible::library {

Op layer_norm() {
  return Op("layer_norm(x: F[..., C], weight: F[C]?, bias: F[C]?, *, eps: float >= 0 = 1e-5) -> "
            "y@x: F[..., C]")
      .Doc(
          "Shifts each row to a mean of zero and scales it to a variance of one, then by weight, "
          "plus bias: y = ((x - mean) * (1 / sqrt(mean((x - mean)^2) + eps))) * weight + bias. In "
          "f32 with two sums, the second of centred values, and one rounding at the end; weight "
          "and bias come in by one fma.")
      .Source("Ba, Kiros and Hinton 2016, arXiv:1607.06450, eq. 3 and 4")
      .Cost(2)
      .Rows([](const RowCall& c) {
        const float eps = static_cast<float>(c.Float("eps"));
        kernels::LayerNorm({c.in[0], c.in[1], c.in[2], c.out[0], c.rows, c.Dim("C"), eps});
      })
      .Joins("add", [](const RowCall& c) {
        const float eps = static_cast<float>(c.Float("eps"));
        kernels::LayerNorm(
            {c.out[0], c.in[2], c.in[3], c.out[1], c.rows, c.Dim("C"), eps, {c.in[0], c.in[1]}});
      });
}

}  // namespace fusible::library
