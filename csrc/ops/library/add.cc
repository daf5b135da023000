#include "kernels/add.h"

#include "ops/library/library.h"

namespace fusible::library {

Op add() {
  return Op("add(x: F[..., C], y: F[..., C]) -> sum@x: F[..., C]")
      .Doc("Adds two arrays element by element: the residual connection of a block.")
      .Source("He et al. 2015, arXiv:1512.03385, eq. 1")
      .Commutes()
      .Rows(
          [](const RowCall& c) { kernels::Add({c.in[0], c.in[1], c.out[0], c.rows, c.Dim("C")}); });
}

}  // namespace fusible::library
