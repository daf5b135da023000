// Any text is refused with a GraphError, or is a signature; an operator with that signature binds
// operands of many types and symbolic or plain sizes, or says why not.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "ops/check.h"

namespace {

using fusible::Dim;
using fusible::DType;
using fusible::Shape;
using fusible::Type;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::abort();
}

void CheckExpr(const fusible::DimExpr& expr) {
  const std::string text = ToText(expr);
  Require(ToText(fusible::ParseDimExpr(text)) == text, "an expression reads back as itself");
}

void CheckExprs(const fusible::Signature& signature) {
  for (const fusible::ParamSpec& param : signature.params) {
    for (const fusible::DimExpr& dim : param.type.dims) CheckExpr(dim);
    if (param.bound) CheckExpr(*param.bound);
  }
  for (const fusible::ResultSpec& result : signature.results) {
    for (const fusible::DimExpr& dim : result.type.dims) CheckExpr(dim);
  }
}

void Bind(const fusible::Op& op, DType dtype, const Shape& shape) {
  const std::vector<std::optional<Type>> operands(op.signature().params.size(), Type{dtype, shape});
  try {
    const fusible::Binding binding = BindCall(op, operands, {});
    Require(binding.results.size() == op.signature().results.size(), "every result has a type");
  } catch (const fusible::Error&) {  // these operands do not fit this signature
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const fusible::Op op(text);
    CheckExprs(op.signature());
    for (const Shape& shape :
         {Shape{Dim(1, fusible::Symbol("T"), 0), 128}, Shape{4, 8, 8}, Shape{}}) {
      for (DType dtype : {DType::kBF16, DType::kE4M3FN, DType::kI32}) Bind(op, dtype, shape);
    }
  } catch (const fusible::GraphError&) {
  }
  return 0;
}
