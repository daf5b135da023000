#include "kernels/gated_activation.h"
#include "ops/library/library.h"

namespace fusible::library {

Op silu_and_mul() {
  return Op("silu_and_mul(x: F[..., 2*D], *, limit: float >= 0?) -> y: F[..., D]")
      .Doc(
          "silu(first half of the row) * second half, in f32 with one rounding; silu(-inf) = -0. "
          "With a limit the first half is taken at most limit, the second within +-limit.")
      .Source("Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU)")
      .Cost(4)
      .AsksAhead()
      .Rows([](const RowCall& c) {
        using enum kernels::Activation;
        const bool clamped = c.Has("limit");
        const float limit = clamped ? static_cast<float>(c.Float("limit")) : 0;
        const auto silu = clamped ? kSiluClamped : kSilu;
        kernels::GatedActivation({c.in[0], c.out[0], c.rows, c.Dim("D"), silu, limit});
      });
}

}  // namespace fusible::library
