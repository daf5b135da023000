#include "kernels/group_dequant.h"
#include "ops/library/library.h"

namespace fusible::library {

Op per_token_group_dequant() {
  return Op("per_token_group_dequant(q: Q[..., C], scales: f32[..., G], *, "
            "dtype: f32 | bf16 | f16 = bf16) -> y: dtype[..., C] where C/G")
      .Doc(
          "The values of a row's codes, each times the scale of its group of C/G: the product is "
          "rounded to f32, then to dtype. One scale a row is a group of C.")
      .Source("DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2")
      .Rows([](const RowCall& c) {
        const int64_t columns = c.Dim("C");
        if (columns == 0) return;
        kernels::GroupDequant({c.in[0], c.in[1], c.out[0], c.rows, columns, columns / c.Dim("G")});
      });
}

}  // namespace fusible::library
