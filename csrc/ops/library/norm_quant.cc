// A norm, with or without the residual's addition before it, and a quantizer behind it.
#include "ops/library/quant_text.h"

namespace fusible::library {
namespace {

struct NormText {
  std::string_view op;
  std::string_view source;
};

Op NormQuant(const NormText& norm, const QuantText& quant) {
  return Op(Cat(norm.op, "_", quant.suffix, "(x: F[..., C], weight: F[C]", quant.operands,
                ", *, eps: float >= 0 = 1e-6", quant.attrs.empty() ? "" : ", ", quant.attrs,
                ") -> ", quant.results))
      .Doc(Cat(norm.op, ", then ", quant.op, " of its result."))
      .Source(norm.source)
      .Equals(Cat("y = ", norm.op, "(x, weight, eps=eps)\n", QuantLine(quant, "y"), "return ",
                  quant.values, "\n"));
}

// "rms_norm" becomes "fused_add_rms_norm", "gemma_rms_norm" "gemma_fused_add_rms_norm".
std::string WithAdd(std::string_view norm) {
  const size_t at = norm.find("rms_norm");
  return Cat(norm.substr(0, at), "fused_add_", norm.substr(at));
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
  constexpr NormText kNorms[] = {
      {"rms_norm", "Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4"},
      {"gemma_rms_norm",
       "Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4; Gemma Team 2024, arXiv:2403.08295"},
  };
  std::vector<Op> ops;
  for (const NormText& norm : kNorms) {
    for (const QuantText& quant : AllQuantTexts("C")) {
      ops.push_back(NormQuant(norm, quant));
      ops.push_back(AddNormQuant(norm, quant));
    }
  }
  return ops;
}

}  // namespace fusible::library
