#include "kernels/topk.h"

#include "ops/library/library.h"

namespace fusible::library {

Op topk() {
  return Op("topk(x: F[..., V], *, k: int >= 1) -> values: F[..., k], indices: i32[..., k]"
            " where k <= V, V <= 2147483647")
      .Doc(
          "The k largest elements of each row and their indices, larger ones first. Of equal ones, "
          "as zeros of either sign are, the lower index comes first; NaN counts as larger than "
          "every number.")
      .Source("Knuth 1998, The Art of Computer Programming 3, section 5.3.3 (selection)")
      .Cost(4)
      .Rows([](const RowCall& c) {
        kernels::TopK({c.in[0], c.out[0], c.out[1], c.rows, c.Dim("V"), c.Int("k")});
      });
}

}  // namespace fusible::library
