#include "digests/calls.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "core/digest.h"
#include "digests/values.h"
#include "runtime/eager.h"

namespace fusible::digests {
namespace {

constexpr int64_t kRows = kRowKinds;

// Operands that must fit each other: three sequences, one of them longer than a block of keys, one
// without a query.
struct Fixed {
  std::string_view op, param;
  std::vector<int32_t> values;
};
const std::vector<int32_t>* FixedValues(const Op& op, const ParamSpec& param) {
  static const Fixed kFixed[] = {{"attention", "query_start", {0, 1, 1, 3}},
                                 {"attention", "lengths", {140, 5, 3}},
                                 {"latent_attention", "query_start", {0, 1, 1, 3}},
                                 {"latent_attention", "lengths", {140, 5, 3}}};
  for (const Fixed& fixed : kFixed) {
    if (fixed.op == op.name() && fixed.param == param.name) return &fixed.values;
  }
  return nullptr;
}

// An array and its memory, aligned for stores past the caches; not zero before, and a little
// longer.
struct alignas(64) Line {
  std::byte bytes[64];
};
struct Array {
  std::vector<Line> memory;
  TensorView view;
};

Array MakeArray(DType dtype, const Sizes& shape, const Sizes& strides) {
  Array array;
  array.memory.resize(Span(shape, strides) * Bytes(dtype) / sizeof(Line) + 1);
  std::byte* data = array.memory.data()->bytes;
  std::memset(data, 0xA5, array.memory.size() * sizeof(Line));
  array.view = {data, dtype, shape, strides};
  return array;
}

DType DTypeOf(const std::string& word, const ClassDTypes& classes) {
  for (const auto& [name, dtype] : classes) {
    if (name == word) return dtype;
  }
  return *FindDType(word);
}

Sizes ShapeOf(const TypeSpec& spec, const Binding& sizes) {
  Sizes shape;
  if (spec.leading) shape.push_back(kRows);
  for (const DimExpr& dim : spec.dims) shape.push_back(Evaluate(dim, sizes)->offset);
  return shape;
}

// Numbers without a bound in the signature lie below 4: blocks of attention's cache, a top_k.
Contents ContentsOf(const Op& op, const ParamSpec& param, DType dtype, const Binding& sizes) {
  using Kind = Contents::Kind;
  const std::string_view dtype_class = Info(dtype).dtype_class;
  if (param.bound) {
    const int64_t end = Evaluate(*param.bound, sizes)->offset;
    return {Kind::kIntegers, param.skips_negative ? -1 : 0, end};
  }
  if (dtype_class == "F" || dtype_class == "Q8") {
    // A whole kernel's sum over one infinity or NaN of a weight is no finite number in any row.
    return {op.kernel() && !param.type.leading ? Kind::kOrdinary : Kind::kFloats};
  }
  if (param.type.dtype == "i32" || param.type.dtype == "i64") return {Kind::kIntegers, 0, 4};
  return {Kind::kBits};
}

Array MakeOperand(const Op& op, size_t place, const ClassDTypes& classes, const Binding& sizes) {
  const ParamSpec& param = op.signature().params[place];
  const DType dtype = DTypeOf(param.type.dtype, classes);
  const Sizes shape = ShapeOf(param.type, sizes);
  Array array = MakeArray(dtype, shape, ContiguousStrides(shape));
  if (const std::vector<int32_t>* fixed = FixedValues(op, param)) {
    std::ranges::copy(*fixed, reinterpret_cast<int32_t*>(array.view.data));
  } else {
    Fill(array.view, place, ContentsOf(op, param, dtype, sizes));
  }
  return array;
}

std::vector<Array> MakeResults(const Op& op, const Binding& binding) {
  std::vector<Array> results;
  for (size_t i = 0; i < binding.results.size(); ++i) {
    const Sizes shape = *ToSizes(binding.results[i].shape);
    const int64_t align = ColumnAlignment(op.signature().results[i].type, binding.attrs);
    results.push_back(MakeArray(binding.results[i].dtype, shape, LayoutStrides(shape, align)));
  }
  return results;
}

std::vector<TensorView> ViewsOf(const std::vector<Array>& arrays) {
  std::vector<TensorView> views;
  for (const Array& array : arrays) views.push_back(array.view);
  return views;
}

std::string DigestOf(const std::vector<Array>& arrays) {
  Sha256 hash;
  for (const Array& array : arrays) {
    hash.UpdateFramed(
        {reinterpret_cast<const char*>(array.memory.data()), array.memory.size() * sizeof(Line)});
  }
  return Hex(hash.Finish());
}

}  // namespace

std::string DigestOf(const Op& op, const ClassDTypes& classes, const Variant& variant,
                     const Binding& sizes) {
  std::vector<Array> operands;
  std::vector<std::optional<Type>> types;
  for (size_t i = 0; i < variant.present.size(); ++i) {
    operands.push_back(variant.present[i] ? MakeOperand(op, i, classes, sizes) : Array());
    const TensorView& view = operands.back().view;
    types.push_back(variant.present[i] ? std::optional(Type{view.dtype, ToShape(view.shape)})
                                       : std::nullopt);
  }
  const Binding binding = BindCall(op, types, variant.attrs);
  const std::vector<Array> results = MakeResults(op, binding);
  const std::vector<TensorView> in = ViewsOf(operands), out = ViewsOf(results);
  std::vector<std::byte*> memory;
  for (const TensorView& view : in) memory.push_back(view.data);
  for (const TensorView& view : out) memory.push_back(view.data);
  EagerCall(op, binding, in, out).Run(memory);
  return DigestOf(results);
}

}  // namespace fusible::digests
