// A gated activation and a quantizer behind it.
#include "ops/library/quant_text.h"

namespace fusible::library {
namespace {

Op ActivationQuant(std::string_view activation, const QuantText& quant) {
  return Op(Cat(activation, "_", quant.suffix, "(x: F[..., 2*D]", quant.operands,
                quant.attrs.empty() ? "" : ", *, ", quant.attrs, ") -> ", quant.results))
      .Doc(Cat(activation, ", then ", quant.op, " of its result."))
      .Source("Shazeer 2020, arXiv:2002.05202, eq. 5 (SwiGLU) and GEGLU beside it")
      .Equals(
          Cat("y = ", activation, "(x)\n", QuantLine(quant, "y"), "return ", quant.values, "\n"));
}

}  // namespace

std::vector<Op> activation_quant() {
  std::vector<Op> ops;
  for (std::string_view activation : {"silu_and_mul", "gelu_tanh_and_mul"}) {
    for (const QuantText& quant : AllQuantTexts("D")) {
      ops.push_back(ActivationQuant(activation, quant));
    }
  }
  return ops;
}

}  // namespace fusible::library
