// Operators as callables, made from their signatures.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/attributes.h"
#include "bindings/bind.h"
#include "core/cat.h"
#include "core/error.h"
#include "ops/registry.h"
#include "runtime/eager.h"

namespace fusible {
namespace {

// Work below this many bytes is over before another Python thread could use the time.
constexpr int64_t kReleaseBytes = 32 << 10;

struct Operands {
  std::vector<TensorView> views;
  std::vector<std::optional<Type>> types;
  std::vector<py::object> owners;
  int64_t bytes = 0;

  void Add(BorrowedArray array) {
    types.emplace_back(TypeOf(array.view));
    bytes += array.view.Count() * static_cast<int64_t>(Bytes(array.view.dtype));
    views.push_back(array.view);
    owners.push_back(std::move(array.owner));
  }
  void AddAbsent() {
    types.emplace_back(std::nullopt);
    views.emplace_back();
    owners.emplace_back();
  }
};

// An operand that is not an array may take the call over, as a value of a graph that is being
// traced does (the way of NumPy's __array_function__).
std::optional<py::object> TakenOver(const Op& op, const py::tuple& operands, const py::dict& attrs,
                                    const py::object& out) {
  for (const py::handle& operand : operands) {
    if (operand.is_none() || py::isinstance<py::array>(operand)) continue;
    if (!py::hasattr(operand, "__fusible_op__")) continue;
    return operand.attr("__fusible_op__")(op.name(), operands, attrs, out);
  }
  return std::nullopt;
}

Operands ReadOperands(const Op& op, const py::tuple& given) {
  const auto& params = op.signature().params;
  if (given.size() > params.size()) {
    throw ArgumentError(
        Cat(op.name(), ": expected at most ", params.size(), " operands, got ", given.size()));
  }
  Operands operands;
  for (size_t i = 0; i < params.size(); ++i) {
    if (i >= given.size() || given[i].is_none()) {
      operands.AddAbsent();
    } else {
      operands.Add(ReadArray(given[i], {op.name(), "", params[i].name, params[i].type.dtype}));
    }
  }
  return operands;
}

void CheckResult(const Argument& what, const Type& want, const TensorView& got) {
  if (got.dtype != want.dtype) {
    throw DTypeError(Cat(what, ": expected ", Name(want.dtype), ", got ", Name(got.dtype)));
  }
  if (!(ToShape(got.shape) == want.shape)) {
    throw ShapeError(Cat(what, ": expected shape ", want.shape, ", got ", got.shape));
  }
}

// Results that the caller gives: one array, or a tuple in the order of the signature.
Operands ReadResults(const Op& op, const Binding& binding, const py::object& out) {
  const auto& specs = op.signature().results;
  const bool many = py::isinstance<py::tuple>(out) || py::isinstance<py::list>(out);
  const py::tuple given = many ? py::tuple(out) : py::make_tuple(out);
  if (given.size() != specs.size()) {
    throw ArgumentError(
        Cat(op.name(), ": out: expected ", specs.size(), " arrays, got ", given.size()));
  }
  Operands results;
  for (size_t i = 0; i < specs.size(); ++i) {
    const Argument what{op.name(), "out ", specs[i].name};
    results.Add(ReadWritableArray(given[i], what));
    CheckResult(what, binding.results[i], results.views[i]);
    results.owners[i] = given[i];
  }
  return results;
}

Operands MakeResults(const Op& op, const Binding& binding) {
  Operands results;
  for (size_t i = 0; i < binding.results.size(); ++i) {
    const Sizes shape = *ToSizes(binding.results[i].shape);
    const int64_t align = ColumnAlignment(op.signature().results[i].type, binding.attrs);
    results.Add(NewArray(binding.results[i].dtype, shape, LayoutStrides(shape, align)));
  }
  return results;
}

py::object ToResult(const Operands& results) {
  if (results.owners.size() == 1) return results.owners[0];
  py::tuple tuple(results.owners.size());
  for (size_t i = 0; i < results.owners.size(); ++i) tuple[i] = results.owners[i];
  return tuple;
}

// The same memory under another shape: NumPy keeps the array that owns it.
py::object CallView(const Op& op, const Binding& binding, const Operands& operands) {
  const TensorView& x = operands.views[0];
  const ViewResult seen = op.view()(ToShape(x.shape), &x.strides, binding.attrs);
  if (!seen.strides) {
    throw ShapeError(Cat(op.name(), ": x: expected a layout that can be seen as ", seen.shape,
                         ", got strides ", x.strides, " of shape ", x.shape,
                         "; numpy.ascontiguousarray makes it so"));
  }
  const Sizes shape = *ToSizes(seen.shape);
  std::vector<py::ssize_t> strides;
  for (int64_t stride : *seen.strides) {
    strides.push_back(stride * static_cast<int64_t>(Bytes(x.dtype)));
  }
  int64_t offset = seen.offset * static_cast<int64_t>(Bytes(x.dtype));
  return py::array(NumpyDType(x.dtype), std::vector<py::ssize_t>(shape.begin(), shape.end()),
                   strides, x.data + offset, operands.owners[0]);
}

py::object Call(const Op& op, const py::tuple& given, const py::dict& values,
                const py::object& out) {
  if (auto taken = TakenOver(op, given, values, out)) return *taken;
  const Operands operands = ReadOperands(op, given);
  const Binding binding = BindCall(op, operands.types, ReadAttrs(op, values));
  if (op.view()) {
    if (!out.is_none()) throw ArgumentError(Cat(op.name(), ": out: expected none for a view"));
    return CallView(op, binding, operands);
  }
  const Operands results = out.is_none() ? MakeResults(op, binding) : ReadResults(op, binding, out);
  if (operands.bytes + results.bytes < kReleaseBytes) {
    RunEager(op, binding, operands.views, results.views);
  } else {
    const py::gil_scoped_release release;
    RunEager(op, binding, operands.views, results.views);
  }
  return ToResult(results);
}

std::string_view KindText(AttrKind kind) {
  static constexpr std::string_view kTexts[] = {"int", "float", "bool", "str", "dtype", "ints"};
  return kTexts[static_cast<size_t>(kind)];
}

py::list DescribeDims(const TypeSpec& type) {
  py::list dims;
  for (const DimExpr& dim : type.dims) dims.append(ToText(dim));
  return dims;
}

py::list DescribeParams(const Signature& s) {
  py::list params;
  for (const ParamSpec& p : s.params) {
    params.append(py::dict(
        py::arg("name") = p.name, py::arg("dtype") = p.type.dtype, py::arg("optional") = p.optional,
        py::arg("leading") = p.type.leading, py::arg("any_shape") = p.type.any_shape,
        py::arg("dims") = DescribeDims(p.type), py::arg("bound") = p.bound ? ToText(*p.bound) : "",
        py::arg("skips_negative") = p.skips_negative));
  }
  return params;
}

std::string BoundText(const AttrSpec& a) {
  if (!a.value_of.empty()) return Cat("in the range of ", a.value_of);
  return a.lowest ? Cat(">= ", *a.lowest) : "";
}

py::list DescribeAttrs(const Signature& s) {
  py::list attrs;
  for (const AttrSpec& a : s.attrs) {
    py::list choices;
    for (const AttrValue& choice : a.choices) choices.append(ToPython(choice));
    attrs.append(
        py::dict(py::arg("name") = a.name, py::arg("kind") = KindText(a.kind),
                 py::arg("optional") = a.optional, py::arg("choices") = choices,
                 py::arg("variant") = a.variant, py::arg("bound") = BoundText(a),
                 py::arg("default") = a.default_value ? ToPython(*a.default_value) : py::none()));
  }
  return attrs;
}

py::list DescribeResults(const Signature& s) {
  py::list results;
  for (const ResultSpec& r : s.results) {
    results.append(py::dict(py::arg("name") = r.name, py::arg("dtype") = r.type.dtype,
                            py::arg("leading") = r.type.leading,
                            py::arg("dims") = DescribeDims(r.type),
                            py::arg("any_shape") = r.type.any_shape,
                            py::arg("layout") = r.type.layout, py::arg("alias") = r.alias));
  }
  return results;
}

py::dict Describe(const Op& op) {
  const std::string kind = op.view()     ? "view"
                           : op.rows()   ? "rows"
                           : op.kernel() ? "kernel"
                                         : "equals";
  return py::dict(py::arg("name") = op.name(), py::arg("signature") = op.signature().text,
                  py::arg("doc") = op.doc(), py::arg("source") = op.source(),
                  py::arg("equals") = op.equals(), py::arg("kind") = kind,
                  py::arg("commutes") = op.commutes(),
                  py::arg("params") = DescribeParams(op.signature()),
                  py::arg("attrs") = DescribeAttrs(op.signature()),
                  py::arg("results") = DescribeResults(op.signature()));
}

}  // namespace

void BindOps(py::module_& m) {
  py::class_<Op>(m, "Op", "An operator of this build; call it with (operands, attributes, out).")
      .def("__call__", &Call, py::arg("operands"), py::arg("attrs"), py::arg("out") = py::none())
      .def_property_readonly("name", &Op::name)
      .def("describe", &Describe, "Signature, documentation and meaning, as plain data.")
      .def("__repr__",
           [](const Op& op) { return Cat("<fusible operator ", op.signature().text, ">"); });
  m.def(
      "find_op", [](std::string_view name) { return &RequireOp(name); }, py::arg("name"),
      py::return_value_policy::reference,
      "The operator of this name; ArgumentError if there is none.");
  m.def(
      "op_names",
      [] {
        std::vector<std::string> names;
        for (const Op& op : AllOps()) names.push_back(op.name());
        return names;
      },
      "Names of all operators, sorted.");
  m.def(
      "check_signature", [](std::string_view text) { ParseSignature(text); }, py::arg("text"),
      "GraphError with the column of what is wrong in the text of a signature.");
}

}  // namespace fusible
