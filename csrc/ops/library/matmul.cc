#include "kernels/matmul.h"

#include "ops/library/library.h"
#include "ops/rows.h"

namespace fusible::library {

Op matmul() {
  return Op("matmul(x: F[..., K], w: F[N, K], bias: F[N]?) -> y: F[..., N]")
      .Doc(
          "Multiplies rows by the transpose of w: y[n] = round(sum over k of x[k] * w[n, k] + "
          "bias[n]). Each output is one chain of f32 fused multiply-adds (multiplications and "
          "additions where the instruction set has none), k ascending, so a row has the same bits "
          "alone and in any batch. A sum of K products is off by at most g times the sum of their "
          "magnitudes, g = K * 2^-24 / (1 - K * 2^-24), twice that without fused ones, and K * "
          "2^-149 where products underflow. w may be packed (fusible.pack_weight): the same bits, "
          "sooner.")
      .Source("Goto and van de Geijn 2008, doi:10.1145/1356052.1356053 (packed panels)")
      .Flops("2*K*N")
      .Packs("w")
      .Kernel([](const WholeCall& call) {
        RunAsRows(call, [](const RowCall& c) {
          kernels::Block w = c.in[1];
          w.row_stride = c.Dim("K");
          kernels::Matmul({.x = c.in[0],
                           .w = w,
                           .bias = c.in[2],
                           .y = c.out[0],
                           .rows = c.rows,
                           .cols = c.Dim("N"),
                           .depth = c.Dim("K"),
                           .packed = c.info->packed});
        });
      });
}

}  // namespace fusible::library
