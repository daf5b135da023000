// Norm, with or without the residual's addition before it, and a quantizer behind it.
#include "ops/library/fp8_quant.h"

namespace fusible::library {
namespace {

Op NormQuant(const QuantText& quant) {
  return Op(Cat("rms_norm_", quant.suffix, "(x: F[..., C], weight: F[C]", quant.operands,
                ", *, eps: float >= 0 = 1e-6, ", quant.attrs, ") -> ", quant.results))
      .Doc(Cat("rms_norm, then ", quant.op, " of its result."))
      .Source("Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4")
      .Equals(Cat("y = rms_norm(x, weight, eps=eps)\n",  //
                  quant.values, " = ", quant.op, "(y", quant.arguments, ", ", quant.passed, ")\n",
                  "return ", quant.values, "\n"));
}

Op AddNormQuant(const QuantText& quant) {
  return Op(Cat("fused_add_rms_norm_", quant.suffix,
                "(x: F[..., C], residual: F[..., C], weight: F[C]", quant.operands,
                ", *, eps: float >= 0 = 1e-6, ", quant.attrs, ") -> ", quant.results,
                ", sum@residual: F[..., C]"))
      .Doc(Cat("Adds to the residual stream, then rms_norm of the sum, then ", quant.op, "."))
      .Source("Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4")
      .Equals(Cat("sum = add(x, residual)\n", "y = rms_norm(sum, weight, eps=eps)\n", quant.values,
                  " = ", quant.op, "(y", quant.arguments, ", ", quant.passed, ")\n", "return ",
                  quant.values, ", sum\n"));
}

}  // namespace

std::vector<Op> norm_quant() {
  std::vector<Op> ops;
  for (const QuantText& quant : {StaticQuantText("C"), GroupQuantText("C")}) {
    ops.push_back(NormQuant(quant));
    ops.push_back(AddNormQuant(quant));
  }
  return ops;
}

}  // namespace fusible::library
