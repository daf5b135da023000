// Operators as callables, made from their signatures.
#include <pybind11/stl.h>

#include "bindings/attributes.h"
#include "bindings/bind.h"
#include "bindings/calls.h"
#include "bindings/prepared_calls.h"
#include "core/cat.h"
#include "ops/registry.h"

namespace fusible {
namespace {

std::string_view KindText(AttrKind kind) {
  static constexpr std::string_view kTexts[] = {"int", "float", "bool", "str", "dtype", "ints"};
  return kTexts[static_cast<size_t>(kind)];
}

py::list DescribeDims(const TypeSpec& type) {
  py::list dims;
  for (const DimExpr& dim : type.dims) dims.append(ToText(dim));
  return dims;
}

py::list DescribeParams(const Op& op) {
  py::list params;
  for (const ParamSpec& p : op.signature().params) {
    params.append(py::dict(
        py::arg("name") = p.name, py::arg("dtype") = p.type.dtype, py::arg("optional") = p.optional,
        py::arg("leading") = p.type.leading, py::arg("any_shape") = p.type.any_shape,
        py::arg("dims") = DescribeDims(p.type), py::arg("bound") = p.bound ? ToText(*p.bound) : "",
        py::arg("skips_negative") = p.skips_negative,
        py::arg("packs") = op.packs() == static_cast<int>(params.size())));
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
                  py::arg("commutes") = op.commutes(), py::arg("params") = DescribeParams(op),
                  py::arg("attrs") = DescribeAttrs(op.signature()),
                  py::arg("results") = DescribeResults(op.signature()));
}

}  // namespace

void BindOps(py::module_& m) {
  py::class_<Op>(m, "Op", "An operator of this build; call it with (operands, attributes, out).")
      .def(
          "__call__",
          [](const Op& op, const py::tuple& operands, const py::dict& attrs,
             const py::object& out) { return CallChecked(op, operands, attrs, out).result; },
          py::arg("operands"), py::arg("attrs"), py::arg("out") = py::none())
      .def_property_readonly("by_position", &MakeCaller,
                             "A function of operands, attributes and out, all of them in order.")
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
      "signature_names",
      [](std::string_view text) {
        const Signature signature = ParseSignature(text);
        std::vector<std::string> params, attrs;
        for (const ParamSpec& param : signature.params) params.push_back(param.name);
        for (const AttrSpec& attr : signature.attrs) attrs.push_back(attr.name);
        return std::tuple(signature.name, params, attrs);
      },
      py::arg("text"), "Names of the operator, of its operands and of its attributes.");
  m.def(
      "check_signature", [](std::string_view text) { ParseSignature(text); }, py::arg("text"),
      "GraphError with the column of what is wrong in the text of a signature.");
}

}  // namespace fusible
