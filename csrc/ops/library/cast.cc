#include "kernels/cast.h"

#include "ops/library/library.h"

namespace fusible::library {

Op cast() {
  return Op("cast(x: FQ[..., C], *, dtype: f32 | bf16 | f16 | e4m3fn | e4m3fnuz | e5m2 = bf16)"
            " -> y: dtype[..., C]")
      .Doc(
          "Converts to another float format: round to nearest even. What is too large for an 8-bit "
          "format, infinity included, becomes its largest finite value, in e5m2 too. NaN stays "
          "NaN.")
      .Source("IEEE 754-2019, section 5.4.2; OCP 8-bit floating point specification, revision 1.0")
      .Rows([](const RowCall& c) { kernels::Cast({c.in[0], c.out[0], c.rows, c.Dim("C")}); });
}

}  // namespace fusible::library
