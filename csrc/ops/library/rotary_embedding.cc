#include "kernels/rotary.h"
#include "ops/library/library.h"

namespace fusible::library {
namespace {

void RotateRows(const RowCall& c) {
  kernels::Rotary({c.in[0], c.out[0], c.in[1], c.in[2], c.rows, c.Dim("H"), c.Dim("D"),
                   2 * c.Dim("R"), c.Str("style") == "interleaved"});
}

}  // namespace

Op rotary_embedding() {
  return Op("rotary_embedding(x: F[..., H, D], positions: I[...] in P, cos_sin: F2[P, 2*R], *, "
            "style: \"neox\" | \"interleaved\" = \"neox\") -> y@x: F[..., H, D] where 2*R <= D")
      .Doc(
          "Rotates the first 2*R elements of each head by the angles of its row's position. A row "
          "of cos_sin is R cosines and then R sines; partners are (i, i + R) in style neox and "
          "(2i, 2i + 1) in style interleaved. The other elements of a head pass through.")
      .Source("Su et al. 2021, arXiv:2104.09864, eq. 34")
      .Cost(2)
      .Rows(RotateRows);
}

}  // namespace fusible::library
