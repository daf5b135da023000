#include "kernels/int8_scaled_mm.h"

#include "kernels/matmul_pack.h"
#include "ops/library/library.h"
#include "ops/rows.h"

namespace fusible::library {
namespace {

void RunInt8ScaledMm(const RowCall& c) {
  kernels::Block w = c.in[1];
  w.row_stride = c.Dim("K");
  kernels::Int8ScaledMm({.x = c.in[0],
                         .w = w,
                         .x_scale = c.in[2],
                         .w_scale = c.in[3],
                         .bias = c.in[4],
                         .y = c.out[0],
                         .rows = c.rows,
                         .cols = c.Dim("N"),
                         .depth = c.Dim("K"),
                         .packed = c.info->packed});
}

}  // namespace

Op int8_scaled_mm() {
  return Op(Cat("int8_scaled_mm(x: i8[..., K], w: i8[N, K], x_scale: f32[..., 1], w_scale: f32[N],"
                " bias: f32[N]?, *, dtype: f32 | bf16 | f16 = bf16) -> y: dtype[..., N]"
                " where K <= ",
                kernels::kMostCodeDepth))
      .Doc(
          "Multiplies int8 rows, each with a scale, by the transpose of an int8 weight with a "
          "scale for each of its rows: y[n] = round((sum over k of x[k] * w[n, k]) * x_scale * "
          "w_scale[n] + bias[n]). The sum is exact: K is so bounded that int32 holds it for all "
          "codes, -128 included. It is rounded to f32, multiplied by x_scale, then by w_scale, "
          "and bias is added, each step rounded to f32. So a row has the same bits alone and in "
          "any batch, on every instruction set. w may be packed (fusible.pack_weight): the same "
          "bits, sooner.")
      .Source("Jacob et al. 2017, arXiv:1712.05877, section 2.2")
      .Flops("2*K*N")
      .Packs("w")
      .Kernel([](const WholeCall& call) { RunAsRows(call, RunInt8ScaledMm, "x_scale"); });
}

}  // namespace fusible::library
