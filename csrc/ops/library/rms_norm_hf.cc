#include "ops/library/library.h"

namespace fusible::library {

Op rms_norm_hf() {
  return Op("rms_norm_hf(x: F[..., C], weight: F[C], *, eps: float >= 0 = 1e-6) -> y@x: F[..., C]")
      .Doc(
          "rms_norm in the rounding order of Hugging Face transformers: the scaled row is rounded "
          "to its dtype before it is multiplied by weight.")
      .Source("Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; transformers, LlamaRMSNorm")
      .Equals(R"(
        scaled = rms_norm(x, eps=eps)
        y = mul(scaled, none, weight)
        return y
      )");
}

}  // namespace fusible::library
