#include "kernels/pack_ue8m0.h"

#include "ops/library/library.h"

namespace fusible::library {

Op pack_ue8m0() {
  return Op("pack_ue8m0(scales: f32[..., G], *, "
            "layout: \"row\" | \"col\" | \"col_aligned4\" = \"row\" variant)"
            " -> packed: i32[..., ceil(G/4)] layout(layout)")
      .Doc(
          "Packs scales that are powers of two into their exponent bytes. Four of them an int32, "
          "the first in the low byte; bytes behind a row's last scale are 0. The mantissa of any "
          "other number is dropped; infinity and NaN become 255, which is NaN in UE8M0.")
      .Source("OCP Microscaling formats (MX) specification, version 1.0, section 5.4.1 (E8M0)")
      .Rows([](const RowCall& c) { kernels::PackUe8m0({c.in[0], c.out[0], c.rows, c.Dim("G")}); });
}

}  // namespace fusible::library
