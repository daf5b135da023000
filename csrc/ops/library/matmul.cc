#include "kernels/matmul.h"

#include "ops/library/library.h"
#include "ops/rows.h"

namespace fusible::library {

Op matmul() {
  return Op("matmul(x: F[..., K], w: F[N, K], bias: F[N]?) -> y: F[..., N]")
      .Doc(
          "Multiplies rows by the transpose of w: y[n] = round(sum over k of x[k] * w[n, k] + "
          "bias[n]). Each output is one chain of f32 fused multiply-adds, k ascending, so a row "
          "has "
          "the same bits alone and in any batch.")
      .Source("Goto and van de Geijn 2008, doi:10.1145/1356052.1356053 (packed panels)")
      .Flops("2*K*N")
      .Kernel([](const WholeCall& call) {
        RunAsRows(call, [](const RowCall& c) {
          kernels::Block w = c.in[1];
          w.row_stride = c.Dim("K");
          kernels::Matmul({c.in[0], w, c.in[2], c.out[0], c.rows, c.Dim("N"), c.Dim("K")});
        });
      });
}

}  // namespace fusible::library
