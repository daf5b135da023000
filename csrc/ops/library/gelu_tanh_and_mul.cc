#include "kernels/gated_activation.h"
#include "ops/library/library.h"

namespace fusible::library {

Op gelu_tanh_and_mul() {
  return Op("gelu_tanh_and_mul(x: F[..., 2*D]) -> y: F[..., D]")
      .Doc(
          "gelu(first half of the row), by its tanh formula, * second half, in f32 with one "
          "rounding; "
          "gelu(-inf) = -0.")
      .Source(
          "Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2; Shazeer 2020, arXiv:2002.05202")
      .Cost(4)
      .AsksAhead()
      .Rows([](const RowCall& c) {
        const auto gelu = kernels::Activation::kGeluTanh;
        kernels::GatedActivation({c.in[0], c.out[0], c.rows, c.Dim("D"), gelu});
      });
}

}  // namespace fusible::library
