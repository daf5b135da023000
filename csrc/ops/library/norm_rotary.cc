// The norm of queries and keys, head by head, and rotary embedding behind it. x may be a slice of a
// row that holds queries, keys and values: rows may be any distance apart.
#include "ops/library/library.h"

namespace fusible::library {
namespace {

Op NormRotary(std::string_view norm) {
  return Op(Cat(norm,
                "_rotary_embedding(x: F[..., H, D], weight: F[D], positions: I[...] in P, "
                "cos_sin: F2[P, 2*R], *, eps: float >= 0 = 1e-6, "
                "style: \"neox\" | \"interleaved\" = \"neox\") -> y@x: F[..., H, D]"
                " where 2*R <= D"))
      .Doc(Cat(norm,
               " of each head, then rotary_embedding: what queries and keys go through in "
               "Qwen 3 and Gemma 3."))
      .Source("Henry et al. 2020, arXiv:2010.04245; Su et al. 2021, arXiv:2104.09864, eq. 34")
      .Equals(Cat("n = ", norm, "(x, weight, eps=eps)\n",
                  "y = rotary_embedding(n, positions, cos_sin, style=style)\n", "return y\n"));
}

}  // namespace

std::vector<Op> norm_rotary() {
  std::vector<Op> ops;
  for (const std::string_view norm : {"rms_norm", "gemma_rms_norm"})
    ops.push_back(NormRotary(norm));
  return ops;
}

}  // namespace fusible::library
