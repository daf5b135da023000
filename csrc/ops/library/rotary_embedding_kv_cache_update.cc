#include "ops/library/library.h"

namespace fusible::library {

Op rotary_embedding_kv_cache_update() {
  return Op("rotary_embedding_kv_cache_update(k: F[..., N, D], v: F[..., N, E], "
            "positions: I[...] in L, cos_sin: F2[L, 2*R], slots: i64[...] in B*P?, "
            "k_cache: F[B, P, N, D], v_cache: F[B, P, N, E], *, "
            "style: \"neox\" | \"interleaved\" = \"neox\")"
            " -> k_cache@k_cache: F[B, P, N, D], v_cache@v_cache: F[B, P, N, E] where 2*R <= D")
      .Doc("rotary_embedding of new keys, then kv_cache_update with them and their values.")
      .Source("Su et al. 2021, arXiv:2104.09864, eq. 34; Kwon et al. 2023, arXiv:2309.06180")
      .Equals(R"(
        rotated = rotary_embedding(k, positions, cos_sin, style=style)
        keys, vals = kv_cache_update(rotated, v, slots, k_cache, v_cache)
        return keys, vals
      )");
}

}  // namespace fusible::library
