#include "kernels/group_quant.h"
#include "ops/library/fp8_quant.h"

namespace fusible::library {

Op per_token_group_quant_fp8() {
  return QuantOp(GroupQuantText("C"))
      .Doc(
          "Quantizes each group of a row with a scale of its own: a = max(amax, 1e-10), "
          "scale = a / fp8_max, q = clamp(x / scale) to nearest even. A NaN makes its group's "
          "scale "
          "and codes NaN. fp8_max is 448 for e4m3fn and 224 for e4m3fnuz unless given.")
      .Source("DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2")
      .Rows([](const RowCall& c) {
        const float max = ClampOf(c);
        kernels::GroupQuant(
            {c.in[0], c.out[0], c.out[1], c.rows, c.Dim("C"), c.Int("group_size"), max});
      });
}

}  // namespace fusible::library
