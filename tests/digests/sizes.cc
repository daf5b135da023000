#include "digests/sizes.h"

#include <algorithm>
#include <string_view>

namespace fusible::digests {
namespace {

constexpr int64_t kOtherLetters = 3;

// What the signature leaves open: several panels of a product; pages for the sequences of
// attention, two of its heads to one of keys; several of the largest.
struct Special {
  std::string_view op, name;
  int64_t size;
};
constexpr Special kSpecial[] = {
    {"attention", "B", 4},
    {"attention", "H", 6},
    {"attention", "M", 9},
    {"attention", "P", 16},
    {"block_scaled_matmul", "N", 130},
    {"int8_scaled_mm", "N", 70},
    {"latent_attention", "B", 4},
    {"latent_attention", "H", 6},
    {"latent_attention", "M", 9},
    {"latent_attention", "P", 16},
    {"latent_attention", "rank", 40},
    {"matmul", "N", 70},
    {"topk", "k", 7},
    {"w8a16_block_fp8_matmul", "N", 130},
};

int64_t SpecialSize(const Op& op, std::string_view name, int64_t otherwise) {
  for (const Special& special : kSpecial) {
    if (special.op == op.name() && special.name == name) return special.size;
  }
  return otherwise;
}

// Calls f(expr) for the dimensions of operands and results, and for the parts of each.
template <class F>
void VisitExpr(const DimExpr& expr, const F& f) {
  f(expr);
  for (const DimExpr& arg : expr.args) VisitExpr(arg, f);
}
template <class F>
void VisitDims(const Op& op, const F& f) {
  for (const ParamSpec& param : op.signature().params) {
    for (const DimExpr& dim : param.type.dims) VisitExpr(dim, f);
  }
  for (const ResultSpec& result : op.signature().results) {
    for (const DimExpr& dim : result.type.dims) VisitExpr(dim, f);
  }
}

std::string ColumnsLetter(const Op& op) {
  for (const ParamSpec& param : op.signature().params) {
    if (!param.type.dims.empty()) return FirstName(param.type.dims.back());
  }
  return "";
}

void SetSize(Binding& sizes, std::string_view letter, int64_t size) {
  for (auto& [name, dim] : sizes.dims) {
    if (name == letter) dim = size;
  }
}

int64_t SizeOf(const DimExpr& expr, const Binding& sizes) { return Evaluate(expr, sizes)->offset; }

// Up to the next size that the attribute in C/group_size divides.
int64_t RoundColumns(const Op& op, const Attrs& attrs, int64_t columns) {
  VisitDims(op, [&](const DimExpr& expr) {
    if (expr.kind != DimExpr::Kind::kDivide || !expr.args[1].IsName()) return;
    if (!attrs.Find(expr.args[1].name)) return;
    const int64_t group = attrs.Int(expr.args[1].name);
    columns = (columns + group - 1) / group * group;
  });
  return columns;
}

// `C/G`: as many groups as divide the columns.
void FitDivisor(const DimExpr& quotient, Binding& sizes) {
  const int64_t whole = SizeOf(quotient.args[0], sizes);
  for (int64_t part : {9, 7, 3, 2, 1}) {
    if (whole % part == 0) return SetSize(sizes, quotient.args[1].name, part);
  }
}

// `2*R <= D`: the largest R.
void FitBelow(const SizeRule& rule, Binding& sizes) {
  const int64_t most = SizeOf(*rule.right, sizes);
  for (int64_t size = most; size >= 0; --size) {
    SetSize(sizes, FirstName(rule.left), size);
    if (SizeOf(rule.left, sizes) <= most) return;
  }
}

}  // namespace

Binding ChooseSizes(const Op& op, const Attrs& attrs, int64_t columns) {
  Binding sizes;
  sizes.attrs = attrs;
  const std::string letter = ColumnsLetter(op);
  VisitDims(op, [&](const DimExpr& expr) {
    if (!expr.IsName() || sizes.FindDim(expr.name) || op.signature().FindAttr(expr.name)) return;
    const int64_t size = expr.name == letter ? RoundColumns(op, attrs, columns)
                                             : SpecialSize(op, expr.name, kOtherLetters);
    sizes.dims.emplace_back(expr.name, size);
  });
  for (const SizeRule& rule : op.signature().rules) {
    const std::string first = FirstName(rule.left);
    if (!rule.right) FitDivisor(rule.left, sizes);
    if (rule.right && first != letter && sizes.FindDim(first)) FitBelow(rule, sizes);
  }
  return sizes;
}

int64_t ColumnsOf(const Op& op, const Binding& sizes) {
  const Dim* columns = sizes.FindDim(ColumnsLetter(op));
  return columns ? columns->offset : 0;
}

int64_t RequiredInt(const Op& op, std::string_view attr, int64_t columns) {
  return std::min(SpecialSize(op, attr, 1), columns);
}

}  // namespace fusible::digests
