// The residual's addition, and a norm of the sum.
#include "ops/library/library.h"
#include "ops/library/norm_text.h"

namespace fusible::library {
namespace {

Op AddNorm(const NormText& norm) {
  return Op(Cat(WithAdd(norm.op), "(x: F[..., C], residual: F[..., C], weight: F[C], *, ",
                "eps: float >= 0 = 1e-6) -> y@x: F[..., C], sum@residual: F[..., C]"))
      .Doc(Cat("Adds to the residual stream, then ", norm.op, " of the sum as it was stored."))
      .Source(norm.source)
      .Equals(Cat("sum = add(x, residual)\n", "y = ", norm.op, "(sum, weight, eps=eps)\n",
                  "return y, sum\n"));
}

}  // namespace

std::vector<Op> add_norm() {
  std::vector<Op> ops;
  for (const NormText& norm : kNormTexts) ops.push_back(AddNorm(norm));
  return ops;
}

}  // namespace fusible::library
