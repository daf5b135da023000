#include "kernels/mul.h"

#include "ops/library/library.h"

namespace fusible::library {

Op mul() {
  return Op("mul(x: F[..., C], y: F[..., C]?, weight: F[C]?, *, by: float = 1.0) -> z@x: F[..., C]")
      .Doc(
          "Multiplies x by y, by a weight a column, and by a number; what is not given does not "
          "count. Each product is rounded in f32, the result once more to its dtype.")
      .Source("IEEE 754-2019, section 5.4.1")
      .Commutes()
      .Rows([](const RowCall& c) {
        const float by = static_cast<float>(c.Float("by"));
        kernels::Mul({c.in[0], c.in[1], c.in[2], c.out[0], c.rows, c.Dim("C"), by});
      });
}

}  // namespace fusible::library
