#include "bindings/calls.h"

#include <new>

#include "bindings/arrays.h"
#include "bindings/attributes.h"
#include "bindings/packed_weights.h"
#include "bindings/unlocked.h"
#include "core/cat.h"
#include "core/error.h"
#include "ir/infer.h"
#include "ops/check.h"
#include "ops/dispatch.h"

namespace fusible {
namespace {

// Work below this many bytes is over before another Python thread could use the time.
constexpr int64_t kReleaseBytes = 128 << 10;

struct Operands {
  std::vector<TensorView> views;
  std::vector<std::optional<Type>> types;
  std::vector<py::object> owners;
  int64_t bytes = 0;
  bool packed = false;  // the operand that the operator takes packed is given so

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
    } else if (static_cast<int>(i) == op.packs() && IsPackedWeight(given[i])) {
      operands.Add(ReadPackedWeight(given[i], {op.name(), "", params[i].name}));
      operands.packed = true;
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

BorrowedArray MakeResult(const Op& op, const ResultSpec& spec, const Binding& binding,
                         const Type& type) {
  const std::string problem = ShapeProblem(type.shape);
  if (!problem.empty()) throw ShapeError(Cat(op.name(), ": ", spec.name, ": ", problem));
  const Sizes shape = *ToSizes(type.shape);
  try {
    return NewArray(type.dtype, shape,
                    LayoutStrides(shape, ColumnAlignment(spec.type, binding.attrs)));
  } catch (const std::bad_alloc&) {
    const std::string text = Cat(op.name(), ": ", spec.name, ": no memory for ", type);
    PyErr_SetString(PyExc_MemoryError, text.c_str());
    throw py::error_already_set();
  }
}

Operands MakeResults(const Op& op, const Binding& binding) {
  Operands results;
  for (size_t i = 0; i < binding.results.size(); ++i) {
    results.Add(MakeResult(op, op.signature().results[i], binding, binding.results[i]));
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
  const int64_t offset = seen.offset * static_cast<int64_t>(Bytes(x.dtype));
  const TensorView view{.data = x.data + offset,
                        .dtype = x.dtype,
                        .shape = *ToSizes(seen.shape),
                        .strides = *seen.strides};
  return ArrayOf(view, operands.owners[0]);
}

CheckedCall ResultAlone(py::object result) {
  CheckedCall checked;
  checked.result = std::move(result);
  return checked;
}

}  // namespace

void RunUnlocked(const EagerCall& call, std::span<std::byte* const> memory, int64_t bytes) {
  if (bytes < kReleaseBytes) return call.Run(memory);
  const Unlocked unlocked;
  call.Run(memory);
}

CheckedCall CallChecked(const Op& op, const py::tuple& given, const py::dict& values,
                        const py::object& out) {
  if (auto taken = TakenOver(op, given, values, out)) return ResultAlone(*std::move(taken));
  Operands operands = ReadOperands(op, given);
  Binding binding = BindCall(op, operands.types, ReadAttrs(op, values));
  binding.packed = operands.packed;
  if (op.view()) {
    if (!out.is_none()) throw ArgumentError(Cat(op.name(), ": out: expected none for a view"));
    return ResultAlone(CallView(op, binding, operands));
  }
  Operands results = out.is_none() ? MakeResults(op, binding) : ReadResults(op, binding, out);
  CheckOverlap(op, operands.views, results.views);
  const auto call = std::make_shared<const EagerCall>(op, binding, operands.views, results.views);
  std::vector<std::byte*> memory;
  for (const TensorView& operand : operands.views) memory.push_back(operand.data);
  for (const TensorView& result : results.views) memory.push_back(result.data);
  RunUnlocked(*call, memory, operands.bytes + results.bytes);
  return {.result = ToResult(results),
          .call = call,
          .operands = std::move(operands.views),
          .results = std::move(results.views)};
}

}  // namespace fusible
