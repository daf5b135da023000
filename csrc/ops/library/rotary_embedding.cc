#include "core/error.h"
#include "kernels/rotary.h"
#include "ops/library/library.h"

namespace fusible::library {
namespace {

void RotateRows(const RowCall& c) {
  const int64_t rotated = c.Dim("R"), head_size = c.Dim("D");
  if (rotated % 2 != 0 || rotated > head_size) {
    throw ShapeError(
        Cat("rotary_embedding: cos_sin: expected an even number of columns, at most the "
            "head size ",
            head_size, ", got ", rotated));
  }
  kernels::Rotary({c.in[0], c.out[0], c.in[1], c.in[2], c.rows, c.Dim("H"), head_size, rotated,
                   c.Str("style") == "interleaved"});
}

}  // namespace

Op rotary_embedding() {
  return Op("rotary_embedding(x: F[..., H, D], positions: I[...] in P, cos_sin: F2[P, R], *, "
            "style: \"neox\" | \"interleaved\" = \"neox\") -> y@x: F[..., H, D]")
      .Doc(
          "Rotates the first R elements of each head by the angles of its row's position. A row of "
          "cos_sin is R/2 cosines and then R/2 sines; partners are (i, i + R/2) in style neox and "
          "(2i, 2i + 1) in style interleaved. The other elements of a head pass through.")
      .Source("Su et al. 2021, arXiv:2104.09864, eq. 34")
      .Rows(RotateRows);
}

}  // namespace fusible::library
