#include "kernels/static_quant.h"
#include "ops/library/fp8_quant.h"

namespace fusible::library {

Op static_quant_fp8() {
  return QuantOp(StaticQuantText("C"))
      .Doc(
          "Quantizes with one given scale: q = clamp(x / scale) to nearest even. fp8_max is 448 "
          "for "
          "e4m3fn and 224 for e4m3fnuz unless given.")
      .Source("Micikevicius et al. 2022, arXiv:2209.05433, section 3")
      .Rows([](const RowCall& c) {
        const float max = ClampOf(c);
        kernels::StaticQuant({c.in[0], c.in[1], c.out[0], c.rows, c.Dim("C"), max});
      });
}

}  // namespace fusible::library
