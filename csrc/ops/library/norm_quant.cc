// A norm, with or without the residual's addition before it, and a quantizer behind it.
#include "ops/library/norm_text.h"
#include "ops/library/quant_text.h"

namespace fusible::library {
namespace {

Op NormQuant(const NormText& norm, const QuantText& quant) {
  return Op(Cat(norm.op, "_", quant.suffix, "(x: F[..., C], weight: F[C]", quant.operands,
                ", *, eps: float >= 0 = 1e-6", quant.attrs.empty() ? "" : ", ", quant.attrs,
                ") -> ", quant.results))
      .Doc(Cat(norm.op, ", then ", quant.op, " of its result."))
      .Source(norm.source)
      .Equals(Cat("y = ", norm.op, "(x, weight, eps=eps)\n", QuantLine(quant, "y"), "return ",
                  quant.values, "\n"));
}

Op AddNormQuant(const NormText& norm, const QuantText& quant) {
  return Op(Cat(WithAdd(norm.op), "_", quant.suffix,
                "(x: F[..., C], residual: F[..., C], weight: F[C]", quant.operands,
                ", *, eps: float >= 0 = 1e-6", quant.attrs.empty() ? "" : ", ", quant.attrs,
                ") -> ", quant.results, ", sum@residual: F[..., C]"))
      .Doc(Cat("Adds to the residual stream, then ", norm.op, " of the sum, then ", quant.op, "."))
      .Source(norm.source)
      .Equals(Cat("sum = add(x, residual)\n", "y = ", norm.op, "(sum, weight, eps=eps)\n",
                  QuantLine(quant, "y"), "return ", quant.values, ", sum\n"));
}

}  // namespace

std::vector<Op> norm_quant() {
  std::vector<Op> ops;
  for (const NormText& norm : kNormTexts) {
    for (const QuantText& quant : AllQuantTexts("C")) {
      ops.push_back(NormQuant(norm, quant));
      ops.push_back(AddNormQuant(norm, quant));
    }
  }
  return ops;
}

}  // namespace fusible::library
