#include "ops/library/fp8_quant.h"

namespace fusible::library {

Op silu_and_mul_group_quant_fp8() {
  const QuantText quant = GroupQuantText("D");
  return Op(Cat("silu_and_mul_group_quant_fp8(x: F[..., 2*D], *, ", quant.attrs, ") -> ",
                quant.results))
      .Doc("silu_and_mul, then per_token_group_quant_fp8 of its result.")
      .Source(
          "Shazeer 2020, arXiv:2002.05202, eq. 5; DeepSeek-AI 2024, arXiv:2412.19437, section "
          "3.3.2")
      .Equals(Cat("y = silu_and_mul(x)\n", "q, scales = per_token_group_quant_fp8(y, ",
                  quant.passed, ")\n", "return q, scales\n"));
}

}  // namespace fusible::library
