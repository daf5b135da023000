#include "kernels/block_scaled_matmul.h"

#include "ops/library/library.h"
#include "ops/rows.h"

namespace fusible::library {
namespace {

// Operands of a call up to the scales of x, which may be absent.
kernels::BlockScaledMatmulArgs ArgsOf(const RowCall& c) {
  kernels::Block w = c.in[1];
  w.row_stride = c.Dim("K");
  return {.x = c.in[0],
          .w = w,
          .x_scale = {},
          .w_scale = {},
          .bias = {},
          .y = c.out[0],
          .rows = c.rows,
          .cols = c.Dim("N"),
          .depth = c.Dim("K"),
          .packed = c.info->packed};
}

kernels::Block Scales(const RowCall& c, size_t operand) {
  kernels::Block w_scale = c.in[operand];
  w_scale.row_stride = (c.Dim("K") + kernels::kScaleBlock - 1) / kernels::kScaleBlock;
  return w_scale;
}

void RunBlockScaledMatmul(const RowCall& c) {
  kernels::BlockScaledMatmulArgs args = ArgsOf(c);
  args.x_scale = c.in[2];
  args.w_scale = Scales(c, 3);
  args.bias = c.in[4];
  args.group_size = c.Int("group_size");
  kernels::BlockScaledMatmul(args);
}

void RunW8A16(const RowCall& c) {
  kernels::BlockScaledMatmulArgs args = ArgsOf(c);
  args.w_scale = Scales(c, 2);
  args.bias = c.in[3];
  kernels::BlockScaledMatmul(args);
}

Op BlockScaledMatmul() {
  return Op("block_scaled_matmul(x: Q8[..., K], w: Q8[N, K], x_scale: f32[..., K/group_size],"
            " w_scale: f32[ceil(N/128), ceil(K/128)], bias: f32[N]?, *,"
            " group_size: 32 | 64 | 128 = 128, dtype: f32 | bf16 | f16 = bf16)"
            " -> y: dtype[..., N]")
      .Doc(
          "Multiplies quantized rows by the transpose of quantized weights with a scale for every "
          "128 x 128 of them: y[n] = round(sum over groups g of k of (sum over k in g of x[k] * "
          "w[n, k]) * (x_scale[g] * w_scale[n/128, k/128]) + bias[n]), in f32, both sums as chains "
          "of fused multiply-adds, k ascending. A row has the same bits alone and in any batch. "
          "The "
          "sum is off by at most n * 2^-24 / (1 - n * 2^-24), n = group_size + ceil(K/group_size) "
          "+ 1 (2n without fused ones), times the sum of the magnitudes of x * w * scales. x_scale "
          "may have any strides; w may be packed (fusible.pack_weight): the same bits, sooner.")
      .Source("DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2")
      .Flops("2*K*N")
      .Packs("w")
      .Kernel([](const WholeCall& call) { RunAsRows(call, RunBlockScaledMatmul, "x_scale"); });
}

Op W8A16BlockFp8Matmul() {
  return Op("w8a16_block_fp8_matmul(x: F[..., K], w: Q8[N, K],"
            " w_scale: f32[ceil(N/128), ceil(K/128)], bias: f32[N]?) -> y: F[..., N]")
      .Doc(
          "Multiplies rows by the transpose of quantized weights with a scale for every 128 x 128 "
          "of them: block_scaled_matmul for rows that are not quantized. y[n] = round(sum over "
          "blocks b of k of (sum over k in b of x[k] * w[n, k]) * w_scale[n/128, b] + bias[n]): in "
          "a block one chain of f32 fused multiply-adds, k ascending, then one with the scale. A "
          "row has the same bits alone and in any batch. The sum is off by at most n * 2^-24 / (1 "
          "- n * 2^-24), n = 128 + ceil(K/128) (2n without fused ones), times the sum of the "
          "magnitudes of x * w * scale. w may be packed (fusible.pack_weight): "
          "the same bits, sooner.")
      .Source("DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2 (the scales of weights)")
      .Flops("2*K*N")
      .Packs("w")
      .Kernel([](const WholeCall& call) { RunAsRows(call, RunW8A16); });
}

}  // namespace

std::vector<Op> block_scaled_matmul() {
  std::vector<Op> ops;
  ops.push_back(BlockScaledMatmul());
  ops.push_back(W8A16BlockFp8Matmul());
  return ops;
}

}  // namespace fusible::library
