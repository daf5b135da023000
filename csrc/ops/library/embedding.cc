#include "kernels/embedding.h"

#include "ops/library/library.h"

namespace fusible::library {

Op embedding() {
  return Op("embedding(ids: I[...] in V, table: A[V, C]) -> y: A[..., C]")
      .Doc("Looks up rows of a table: y[i] = table[ids[i]], bit for bit.")
      .Rows([](const RowCall& c) {
        kernels::Embedding({c.in[0], c.in[1], c.out[0], c.rows, c.Dim("C")});
      });
}

}  // namespace fusible::library
