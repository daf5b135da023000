#include "ops/library/library.h"

namespace fusible::library {

Op embedding_group_dequant() {
  return Op("embedding_group_dequant(ids: I[...] in V, table: Q[V, C], scales: f32[V, G], *, "
            "dtype: f32 | bf16 | f16 = bf16) -> y: dtype[..., C] where C/G")
      .Doc("Looks up rows of a quantized table: embedding of codes and scales, then dequantized.")
      .Source("DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2")
      .Equals(R"(
        q = embedding(ids, table)
        s = embedding(ids, scales)
        y = per_token_group_dequant(q, s, dtype=dtype)
        return y
      )");
}

}  // namespace fusible::library
