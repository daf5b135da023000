#include "kernels/softmax.h"

#include "ops/library/library.h"

namespace fusible::library {

Op softmax() {
  return Op("softmax(x: F[..., C]) -> y@x: F[..., C]")
      .Doc("e^(x - max(x)) / sum of these over the row, in f32 with one rounding.")
      .Source("Milakov and Gimelshein 2018, arXiv:1805.02867, algorithm 2")
      .Cost(4)
      .Rows([](const RowCall& c) { kernels::Softmax({c.in[0], c.out[0], c.rows, c.Dim("C")}); });
}

}  // namespace fusible::library
