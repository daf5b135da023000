#include "kernels/cache_update.h"
#include "ops/library/library.h"

namespace fusible::library {

Op kv_cache_update() {
  return Op("kv_cache_update(k: F[..., N, D], v: F[..., N, E], slots: i64[...] in B*P?, "
            "k_cache: F[B, P, N, D], v_cache: F[B, P, N, E])"
            " -> k_cache@k_cache: F[B, P, N, D], v_cache@v_cache: F[B, P, N, E]")
      .Doc(
          "Writes the keys and values of new tokens into a paged cache: row i goes to slot "
          "slots[i] = "
          "block * P + offset; a negative slot is skipped, and of two equal ones the later row "
          "stays.")
      .Source("Kwon et al. 2023, arXiv:2309.06180, section 4.3")
      .Rows([](const RowCall& c) {
        const int64_t heads = c.Dim("N");
        kernels::CacheUpdate({c.in[0], c.in[2], c.out[0], c.rows, heads * c.Dim("D")});
        kernels::CacheUpdate({c.in[1], c.in[2], c.out[1], c.rows, heads * c.Dim("E")});
      });
}

}  // namespace fusible::library
