#include "ops/library/library.h"

namespace fusible::library {

Op matmul_silu_and_mul() {
  return Op("matmul_silu_and_mul(x: F[..., K], w: F[2*D, K], bias: F[2*D]?, *,"
            " limit: float >= 0?) -> y: F[..., D]")
      .Doc(
          "The first half of a gated layer, its two weights in one: the first D rows of w give the "
          "gate, the others what it multiplies.")
      .Packs("w")
      .Equals(
          "h = matmul(x, w, bias)\n"
          "y = silu_and_mul(h, limit=limit)\n"
          "return y\n");
}

}  // namespace fusible::library
