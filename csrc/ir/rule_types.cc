#include "ir/rule_types.h"

#include <algorithm>
#include <map>

#include "core/cat.h"
#include "core/error.h"
#include "ir/expand.h"

namespace fusible {
namespace {

constexpr size_t kMostSamples = 64;
constexpr int64_t kLetterSize = 256;  // the first letter's; groups and halves of it exist
constexpr int64_t kInt = 128;         // of an integer attribute that says nothing of its values

using Operands = Predicate::Operands;
using Classes = std::map<std::string, DType>;

// What the call in the pattern that takes an attribute says of its values.
const AttrSpec* FindTaker(const Pattern& pattern, const std::string& name) {
  for (const PatternNode& node : pattern.nodes) {
    for (const auto& [attr, value] : node.attrs) {
      const auto* bound = std::get_if<BoundAttr>(&value);
      if (bound && bound->name == name) return node.op->signature().FindAttr(attr);
    }
  }
  return nullptr;
}

AttrValue ValueOfKind(AttrKind kind) {
  switch (kind) {
    case AttrKind::kInt:
      return kInt;
    case AttrKind::kFloat:
      return 1.0;
    case AttrKind::kBool:
      return false;
    case AttrKind::kString:
      return std::string();
    case AttrKind::kDType:
      return DType::kBF16;
    case AttrKind::kInts:
      return std::vector<int64_t>{0};
  }
  return kInt;
}

// A value that the rule and the call that is found take.
AttrValue SampleAttr(const Rule& rule, const AttrSpec& spec) {
  if (!spec.choices.empty()) return spec.choices.front();
  if (spec.default_value) return *spec.default_value;
  const AttrSpec* taker = FindTaker(rule.pattern, spec.name);
  if (taker && !taker->choices.empty()) return taker->choices.front();
  if (taker && taker->default_value) return *taker->default_value;
  return ValueOfKind(spec.kind);
}

// Every way to give the classes of dtypes in a signature a dtype, up to kMostSamples.
std::vector<Classes> SampleClasses(const Signature& signature) {
  std::vector<Classes> samples = {{}};
  for (const ParamSpec& param : signature.params) {
    const std::string& name = param.type.dtype;
    if (!IsDTypeClass(name) || samples.front().contains(name)) continue;
    std::vector<Classes> more;
    for (const Classes& sample : samples) {
      for (const DTypeInfo& info : AllDTypes()) {
        if (!InDTypeClass(name, info.dtype) || more.size() == kMostSamples) continue;
        more.push_back(sample);
        more.back()[name] = info.dtype;
      }
    }
    samples = std::move(more);
  }
  return samples;
}

void BindLetters(const DimExpr& expr, Binding* sizes) {
  for (const DimExpr& arg : expr.args) BindLetters(arg, sizes);
  if (!expr.IsName() || Evaluate(expr, *sizes)) return;
  const auto size = kLetterSize * static_cast<int64_t>(sizes->dims.size() + 1);
  sizes->dims.emplace_back(expr.name, Dim(size));
}

std::optional<Type> SampleType(const TypeSpec& spec, const Classes& classes, const Binding& sizes) {
  Type type;
  const auto in_class = classes.find(spec.dtype);
  const auto fixed = FindDType(spec.dtype);
  if (in_class == classes.end() && !fixed && !sizes.attrs.Find(spec.dtype)) return std::nullopt;
  type.dtype = in_class != classes.end() ? in_class->second
               : fixed                   ? *fixed
                                         : sizes.attrs.Type(spec.dtype);
  if (spec.leading || spec.any_shape) type.shape.push_back(Dim(1, Symbol("T"), 0));
  if (spec.any_shape) type.shape.push_back(Dim(kLetterSize));
  for (const DimExpr& expr : spec.dims) {
    const auto dim = Evaluate(expr, sizes);
    if (!dim) return std::nullopt;
    type.shape.push_back(*dim);
  }
  return type;
}

// Operands of some types that the signature allows; empty where these sizes fit none.
std::optional<Operands> SampleOperands(const Signature& signature, const Classes& classes,
                                       const Binding& sizes) {
  Operands operands;
  for (const ParamSpec& param : signature.params) {
    operands.push_back(SampleType(param.type, classes, sizes));
    if (!operands.back()) return std::nullopt;
  }
  return operands;
}

enum class Outcome : uint8_t { kFits, kOtherTypes, kNoCall };

struct Trial {
  Outcome outcome = Outcome::kFits;
  std::string why;  // where it does not fit
};

Trial Try(const Op& op, const Operands& operands, const Attrs& attrs) {
  try {
    ExpandEquals(op, operands, attrs);
    return {};
  } catch (const GraphError& error) {  // results of other types than the signature says
    return {Outcome::kOtherTypes, BodyProblem(error.what())};
  } catch (const Error& error) {
    return {Outcome::kNoCall, error.what()};
  }
}

}  // namespace

std::string BodyProblem(std::string_view message) {
  constexpr std::string_view kMark = "Equals: ";
  const size_t at = message.find(kMark);
  return std::string(at == std::string_view::npos ? message : message.substr(at + kMark.size()));
}

void CheckTypes(const Rule& rule, const Op& find) {
  const Signature& signature = rule.op->signature();
  Binding sizes;
  for (const AttrSpec& attr : signature.attrs) {
    if (!attr.optional) sizes.attrs.Set(attr.name, SampleAttr(rule, attr));
  }
  for (const ParamSpec& param : signature.params) {
    for (const DimExpr& dim : param.type.dims) BindLetters(dim, &sizes);
  }
  std::string found, replaced;
  for (const Classes& classes : SampleClasses(signature)) {
    const auto operands = SampleOperands(signature, classes, sizes);
    if (!operands) return;
    const Trial before = Try(find, *operands, sizes.attrs);
    if (before.outcome == Outcome::kOtherTypes) found = before.why;
    if (before.outcome != Outcome::kFits) continue;
    const Trial after = Try(*rule.op, *operands, sizes.attrs);
    if (after.outcome == Outcome::kFits) return;
    replaced = after.why;
  }
  if (!replaced.empty()) throw GraphError(Cat(rule.name(), ": replace: ", replaced));
  if (!found.empty()) throw GraphError(Cat(rule.name(), ": find: ", found));
}

}  // namespace fusible
