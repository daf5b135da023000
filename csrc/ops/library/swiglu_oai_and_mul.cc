#include "kernels/gated_activation.h"
#include "ops/library/library.h"

namespace fusible::library {

Op swiglu_oai_and_mul() {
  return Op("swiglu_oai_and_mul(x: F[..., 2*D], *, alpha: float >= 0 = 1.702, "
            "limit: float >= 0 = 7.0) -> y: F[..., D]")
      .Doc(
          "The gate of gpt-oss. A row holds gate and up in turns, in its even and odd columns; "
          "y = gate * sigmoid(alpha * gate) * (up + 1) with gate at most limit and up within "
          "+-limit, in f32 with one rounding.")
      .Source("OpenAI 2025, gpt-oss model card, arXiv:2508.10925; gpt_oss/torch/model.py, swiglu")
      .Cost(4)
      .AsksAhead()
      .Rows([](const RowCall& c) {
        kernels::GatedActivation({.x = c.in[0],
                                  .out = c.out[0],
                                  .rows = c.rows,
                                  .cols = c.Dim("D"),
                                  .activation = kernels::Activation::kSwigluOai,
                                  .limit = static_cast<float>(c.Float("limit")),
                                  .alpha = static_cast<float>(c.Float("alpha"))});
      });
}

}  // namespace fusible::library
