#include "kernels/block_scaled_matmul.h"

#include "ops/library/library.h"
#include "ops/rows.h"

namespace fusible::library {
namespace {

void RunBlockScaledMatmul(const RowCall& c) {
  const int64_t depth = c.Dim("K");
  kernels::Block w = c.in[1], w_scale = c.in[3];
  w.row_stride = depth;
  w_scale.row_stride = (depth + kernels::kScaleBlock - 1) / kernels::kScaleBlock;
  kernels::BlockScaledMatmul({.x = c.in[0],
                              .w = w,
                              .x_scale = c.in[2],
                              .w_scale = w_scale,
                              .bias = c.in[4],
                              .y = c.out[0],
                              .rows = c.rows,
                              .cols = c.Dim("N"),
                              .depth = depth,
                              .group_size = c.Int("group_size"),
                              .packed = c.info->packed});
}

}  // namespace

Op block_scaled_matmul() {
  return Op("block_scaled_matmul(x: Q8[..., K], w: Q8[N, K], x_scale: f32[..., K/group_size],"
            " w_scale: f32[ceil(N/128), ceil(K/128)], bias: f32[N]?, *,"
            " group_size: 32 | 64 | 128 = 128, dtype: f32 | bf16 | f16 = bf16)"
            " -> y: dtype[..., N]")
      .Doc(
          "Multiplies quantized rows by the transpose of quantized weights with a scale for every "
          "128 x 128 of them: y[n] = round(sum over groups g of k of (sum over k in g of x[k] * "
          "w[n, k]) * (x_scale[g] * w_scale[n/128, k/128]) + bias[n]), in f32. A row has the same "
          "bits alone and in any batch. x_scale may have any strides; w may be packed "
          "(fusible.pack_weight): the same bits, sooner.")
      .Source("DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2")
      .Flops("2*K*N")
      .Packs("w")
      .Kernel([](const WholeCall& call) { RunAsRows(call, RunBlockScaledMatmul, "x_scale"); });
}

}  // namespace fusible::library
