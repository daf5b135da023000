#include "kernels/gated_activation.h"
#include "ops/library/library.h"

namespace fusible::library {

Op silu_and_mul() {
  return Op("silu_and_mul(x: F[..., 2*D]) -> y: F[..., D]")
      .Doc("silu(first half of the row) * second half, in f32 with one rounding; silu(-inf) = -0.")
      .Source("Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU)")
      .Cost(4)
      .Rows([](const RowCall& c) {
        const auto silu = kernels::Activation::kSilu;
        kernels::GatedActivation({c.in[0], c.out[0], c.rows, c.Dim("D"), silu});
      });
}

}  // namespace fusible::library
