#include "ops/check.h"

#include <algorithm>
#include <cmath>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {

std::ostream& operator<<(std::ostream& out, const Type& type) {
  return out << Name(type.dtype) << type.shape;
}

const Dim* Binding::FindDim(std::string_view letter) const {
  for (const auto& [name, dim] : dims) {
    if (name == letter) return &dim;
  }
  return nullptr;
}

std::optional<Dim> Evaluate(const DimExpr& expr, const Binding& binding) {
  using Kind = DimExpr::Kind;
  if (expr.kind == Kind::kNumber) return Dim(expr.number);
  if (expr.kind == Kind::kName) {
    if (const Dim* dim = binding.FindDim(expr.name)) return *dim;
    const AttrValue* attr = binding.attrs.Find(expr.name);
    if (attr && std::holds_alternative<int64_t>(*attr)) return Dim(std::get<int64_t>(*attr));
    return std::nullopt;
  }
  const auto left = Evaluate(expr.args[0], binding), right = Evaluate(expr.args[1], binding);
  if (!left || !right) return std::nullopt;
  if (expr.kind == Kind::kAdd) return Add(*left, *right);
  if (expr.kind == Kind::kMultiply) return Multiply(*left, *right);
  if (!right->IsConstant()) return std::nullopt;
  return expr.kind == Kind::kDivide ? Divide(*left, right->offset)
                                    : CeilDivide(*left, right->offset);
}

namespace {

std::string ChoicesText(const std::vector<AttrValue>& choices) {
  std::string text;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) text += i + 1 == choices.size() ? " or " : ", ";
    text += ToText(choices[i]);
  }
  return text;
}

std::string_view KindText(AttrKind kind) {
  switch (kind) {
    case AttrKind::kInt:
      return "an int";
    case AttrKind::kFloat:
      return "a finite float (in f32)";
    case AttrKind::kBool:
      return "true or false";
    case AttrKind::kString:
      return "a string";
    case AttrKind::kDType:
      return "a dtype";
    case AttrKind::kInts:
      return "a list of ints";
  }
  return "";
}

// Kernels compute in f32.
bool IsFiniteF32(double value) { return std::isfinite(static_cast<float>(value)); }

bool IsOfKind(const AttrValue& value, AttrKind kind) {
  switch (kind) {
    case AttrKind::kInt:
      return std::holds_alternative<int64_t>(value);
    case AttrKind::kFloat:
      return std::holds_alternative<double>(value) && IsFiniteF32(std::get<double>(value));
    case AttrKind::kBool:
      return std::holds_alternative<bool>(value);
    case AttrKind::kString:
      return std::holds_alternative<std::string>(value);
    case AttrKind::kDType:
      return std::holds_alternative<DType>(value);
    case AttrKind::kInts:
      return std::holds_alternative<std::vector<int64_t>>(value);
  }
  return false;
}

bool IsAtLeast(const std::optional<double>& lowest, const AttrValue& value) {
  if (!lowest) return true;
  const auto* whole = std::get_if<int64_t>(&value);
  return (whole ? static_cast<double>(*whole) : std::get<double>(value)) >= *lowest;
}

std::string ExpectedText(const AttrSpec& spec) {
  if (!spec.choices.empty()) return ChoicesText(spec.choices);
  if (!spec.lowest) return std::string(KindText(spec.kind));
  return Cat(KindText(spec.kind), ", at least ", *spec.lowest);
}

void CheckAttr(const Op& op, const AttrSpec& spec, const AttrValue& value) {
  const bool chosen = spec.choices.empty() || std::ranges::count(spec.choices, value) > 0;
  if (IsOfKind(value, spec.kind) && chosen && IsAtLeast(spec.lowest, value)) return;
  throw ArgumentError(
      Cat(op.name(), ": ", spec.name, ": expected ", ExpectedText(spec), ", got ", ToText(value)));
}

// A quantizer's clamp must be a value of the format: what lies above it would become its largest.
void CheckValueOf(const Op& op, const AttrSpec& spec, const Attrs& attrs) {
  const AttrValue* given = attrs.Find(spec.name);
  if (spec.value_of.empty() || !given) return;
  const DType dtype = attrs.Type(spec.value_of);
  const auto [smallest, largest] = RangeOf(dtype);
  const double value = std::get<double>(*given);
  if (value >= smallest && value <= largest) return;
  throw ArgumentError(Cat(op.name(), ": ", spec.name, ": expected a finite float from ",
                          ToText(AttrValue(double{smallest})), " to ", largest, ", as ",
                          Name(dtype), " has, got ", ToText(*given)));
}

void RefuseUnknown(const Op& op, const Attrs& attrs) {
  for (const auto& [name, value] : attrs) {
    if (op.signature().FindAttr(name)) continue;
    std::string known;
    for (const AttrSpec& spec : op.signature().attrs)
      known += (known.empty() ? "" : ", ") + spec.name;
    throw ArgumentError(Cat(op.name(), ": ", name, ": expected one of its attributes (",
                            known.empty() ? "it has none" : known, "), got ", ToText(value)));
  }
}

// Binds one call, operand by operand, in the order of the signature.
class Binder {
 public:
  Binder(const Op& op, const Attrs& attrs) : op_(op) { binding_.attrs = CompleteAttrs(op, attrs); }

  Binding Bind(std::span<const std::optional<Type>> operands) {
    const auto& params = op_.signature().params;
    if (operands.size() > params.size()) {
      throw ArgumentError(Cat(op_.name(), ": expected at most ", params.size(), " operands, got ",
                              operands.size()));
    }
    for (size_t i = 0; i < params.size(); ++i) {
      if (i < operands.size() && operands[i]) {
        BindOperand(params[i], *operands[i]);
      } else if (!params[i].optional) {
        throw DTypeError(Cat(op_.name(), ": ", params[i].name, ": expected an array, got none"));
      }
    }
    for (const SizeRule& rule : op_.signature().rules) CheckRule(rule);
    for (const ResultSpec& result : op_.signature().results) AddResult(result, operands);
    return std::move(binding_);
  }

 private:
  void BindOperand(const ParamSpec& param, const Type& type) {
    BindDType(param, type.dtype);
    if (param.type.any_shape) return;
    const int trailing = static_cast<int>(param.type.dims.size());
    const int leading = type.shape.size() - trailing;
    if (leading < 0 || (leading > 0 && !param.type.leading)) {
      throw ShapeError(Cat(op_.name(), ": ", param.name, ": expected rank ", trailing,
                           param.type.leading ? " or more" : "", " (", SpecText(param.type),
                           "), got ", type.shape));
    }
    if (param.type.leading) BindLeading(param, type.shape, leading);
    for (int i = 0; i < trailing; ++i) {
      BindDim(param, param.type.dims[i], type.shape[leading + i], type.shape);
    }
  }

  void BindDType(const ParamSpec& param, DType dtype) {
    const std::string& want = param.type.dtype;
    if (IsDTypeClass(want)) {
      if (!InDTypeClass(want, dtype)) WrongDType(param, DTypesText(want), dtype);
      for (const auto& [name, bound] : classes_) {
        if (name == want && bound != dtype) WrongDType(param, std::string(Name(bound)), dtype);
      }
      classes_.emplace_back(want, dtype);
    } else if (ResolveDType(want) != dtype) {
      WrongDType(param, std::string(Name(ResolveDType(want))), dtype);
    }
  }

  [[noreturn]] void WrongDType(const ParamSpec& param, const std::string& want, DType got) const {
    throw DTypeError(Cat(op_.name(), ": ", param.name, ": expected ", want, ", got ", Name(got)));
  }

  DType ResolveDType(const std::string& name) const {
    for (const auto& [bound, dtype] : classes_) {
      if (bound == name) return dtype;
    }
    if (const auto dtype = FindDType(name)) return *dtype;
    if (binding_.attrs.Find(name)) return binding_.attrs.Type(name);
    throw DTypeError(Cat(op_.name(), ": expected an operand or attribute that says ", name,
                         ", the dtype of a result, got none"));
  }

  void BindLeading(const ParamSpec& param, const Shape& shape, int rank) {
    Shape leading;
    for (int i = 0; i < rank; ++i) leading.push_back(shape[i]);
    if (!has_leading_) {
      binding_.leading = leading;
      has_leading_ = true;
    } else if (!(leading == binding_.leading)) {
      throw ShapeError(Cat(op_.name(), ": ", param.name, ": expected leading dimensions ",
                           binding_.leading, ", got ", shape));
    }
  }

  void BindDim(const ParamSpec& param, const DimExpr& expr, const Dim& got, const Shape& shape) {
    if (const auto expected = Evaluate(expr, binding_)) {
      if (*expected == got) return;
      const std::string value = expr.kind == DimExpr::Kind::kNumber ? "" : Cat(" = ", *expected);
      throw ShapeError(
          Cat(op_.name(), ": ", param.name, ": expected ", ToText(expr), value, ", got ", shape));
    }
    if (expr.IsName()) {
      binding_.dims.emplace_back(expr.name, got);
    } else if (IsMultipleOfUnbound(expr)) {
      BindMultiple(param, expr, got, shape);
    } else {
      NotDefined(param.name, expr);
    }
  }

  // `2*D` with D not bound yet: D is the half.
  bool IsMultipleOfUnbound(const DimExpr& expr) const {
    return expr.kind == DimExpr::Kind::kMultiply && expr.args[0].kind == DimExpr::Kind::kNumber &&
           expr.args[1].IsName() && !binding_.FindDim(expr.args[1].name);
  }

  void BindMultiple(const ParamSpec& param, const DimExpr& expr, const Dim& got,
                    const Shape& shape) {
    const auto part = Divide(got, expr.args[0].number);
    if (!part) {
      throw ShapeError(Cat(op_.name(), ": ", param.name, ": expected a last dimension of ",
                           ToText(expr), ", got ", shape));
    }
    binding_.dims.emplace_back(expr.args[1].name, *part);
  }

  // What symbols leave open is checked again when they are bound to sizes.
  void CheckRule(const SizeRule& rule) const {
    const auto left = Evaluate(rule.left, binding_);
    if (!rule.right) {
      if (!left && AreConstant(rule.left)) NotDefined(ArgumentOf(rule), rule.left);
      return;
    }
    const auto right = Evaluate(*rule.right, binding_);
    if (!left || !right || left->factor != right->factor || left->offset <= right->offset) return;
    throw ShapeError(Cat(op_.name(), ": ", ArgumentOf(rule), ": expected ", ToText(rule.left),
                         " <= ", ToText(*rule.right), ", got ", *left, " and ", *right));
  }

  bool AreConstant(const DimExpr& expr) const {
    const auto value = expr.IsName() ? Evaluate(expr, binding_) : std::nullopt;
    return (!expr.IsName() || (value && value->IsConstant())) &&
           std::ranges::all_of(expr.args, [&](const DimExpr& arg) { return AreConstant(arg); });
  }

  // What a rule is about: the first operand whose shape has the letter that it begins with, or the
  // attribute of that name.
  std::string ArgumentOf(const SizeRule& rule) const {
    std::string name = FirstName(rule.left);
    if (name.empty() && rule.right) name = FirstName(*rule.right);
    return OperandWith(name).value_or(name);
  }

  std::optional<std::string> OperandWith(const std::string& letter) const {
    for (const ParamSpec& param : op_.signature().params) {
      for (const DimExpr& dim : param.type.dims) {
        if (FirstName(dim) == letter) return param.name;
      }
    }
    return std::nullopt;
  }

  // Which of the reasons kept `expr` from having a value: mostly a size that does not divide. Where
  // it is a result's, the operand of that size is at fault.
  [[noreturn]] void NotDefined(const std::string& argument, const DimExpr& expr) const {
    std::string sizes;
    AppendSizes(expr, &sizes);
    const bool divides = expr.kind == DimExpr::Kind::kDivide;
    throw ShapeError(Cat(op_.name(), ": ", OperandWith(FirstName(expr)).value_or(argument),
                         ": expected ",
                         divides ? Cat(ToText(expr.args[0]), " divisible by ", ToText(expr.args[1]))
                                 : ToText(expr) + " to be a size",
                         ", got ", sizes));
  }

  void AppendSizes(const DimExpr& expr, std::string* text) const {
    for (const DimExpr& arg : expr.args) AppendSizes(arg, text);
    if (!expr.IsName()) return;
    const auto value = Evaluate(expr, binding_);
    *text += Cat(text->empty() ? "" : ", ", expr.name, " = ", value ? Cat(*value) : "unknown");
  }

  static std::string SpecText(const TypeSpec& spec) {
    std::string text = spec.leading ? "[..." : "[";
    for (size_t i = 0; i < spec.dims.size(); ++i) {
      text += (i || spec.leading ? ", " : "") + ToText(spec.dims[i]);
    }
    return text + "]";
  }

  void AddResult(const ResultSpec& result, std::span<const std::optional<Type>> operands) {
    Type type{.dtype = ResolveDType(result.type.dtype), .shape = {}};
    if (op_.view()) {
      type.shape = op_.view()(operands[0]->shape, nullptr, binding_.attrs).shape;
    } else {
      if (result.type.leading) type.shape = binding_.leading;
      for (const DimExpr& expr : result.type.dims) {
        const auto dim = Evaluate(expr, binding_);
        if (!dim) NotDefined(result.name, expr);
        type.shape.push_back(*dim);
      }
    }
    binding_.results.push_back(type);
  }

  const Op& op_;
  Binding binding_;
  bool has_leading_ = false;
  std::vector<std::pair<std::string_view, DType>> classes_;
};

}  // namespace

Attrs CompleteAttrs(const Op& op, const Attrs& attrs) {
  RefuseUnknown(op, attrs);
  Attrs complete = attrs;
  for (const AttrSpec& spec : op.signature().attrs) {
    const AttrValue* given = attrs.Find(spec.name);
    if (given && spec.kind == AttrKind::kFloat && std::holds_alternative<int64_t>(*given)) {
      complete.Set(spec.name, static_cast<double>(std::get<int64_t>(*given)));
      given = complete.Find(spec.name);
    }
    if (given) {
      CheckAttr(op, spec, *given);
    } else if (spec.default_value) {
      complete.Set(spec.name, *spec.default_value);
    } else if (!spec.optional) {
      throw ArgumentError(Cat(op.name(), ": ", spec.name, ": expected a value, got none"));
    }
  }
  for (const AttrSpec& spec : op.signature().attrs) CheckValueOf(op, spec, complete);
  return complete;
}

Binding BindCall(const Op& op, std::span<const std::optional<Type>> operands, const Attrs& attrs) {
  return Binder(op, attrs).Bind(operands);
}

std::string DTypesText(std::string_view name) {
  if (!IsDTypeClass(name)) return std::string(name);
  std::vector<AttrValue> members;
  for (const DTypeInfo& info : AllDTypes()) {
    if (InDTypeClass(name, info.dtype)) members.emplace_back(info.dtype);
  }
  return ChoicesText(members);
}

int64_t ColumnAlignment(const TypeSpec& spec, const Attrs& attrs) {
  if (spec.layout.empty()) return 0;
  const std::string& layout = spec.layout == "col" ? spec.layout : attrs.Str(spec.layout);
  return layout == "col" ? 1 : layout == "col_aligned4" ? 4 : 0;
}

Sizes LayoutStrides(const Sizes& shape, int64_t column_alignment) {
  const bool columns = column_alignment > 0 && !shape.empty();
  return columns ? ColumnStrides(shape, column_alignment) : ContiguousStrides(shape);
}

CallInfo ToCallInfo(const Binding& binding) {
  CallInfo info;
  info.attrs = binding.attrs;
  info.packed = binding.packed;
  info.dims.reserve(binding.dims.size());
  for (const auto& [name, dim] : binding.dims) info.dims.emplace_back(name, dim.offset);
  return info;
}

}  // namespace fusible
