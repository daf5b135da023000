// Everything that follows from a signature before a call runs: legal operands, sizes, result types.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ops/op.h"

namespace fusible {

// What is known of an operand or a result without its memory. Sizes may be symbolic.
struct Type {
  DType dtype = DType::kF32;
  Shape shape;

  friend bool operator==(const Type&, const Type&) = default;
};

std::ostream& operator<<(std::ostream& out, const Type& type);  // bf16[T, 4096]

// A call that passed its checks.
struct Binding {
  std::vector<std::pair<std::string, Dim>> dims;  // each letter
  Shape leading;                                  // what `...` stands for
  Attrs attrs;                                    // defaults filled in
  std::vector<Type> results;
  bool packed = false;  // the operand that the operator takes packed is given so

  const Dim* FindDim(std::string_view letter) const;
};

// operands follow the signature; nullopt is an absent optional one (missing tail entries are
// absent). Throws ShapeError, DTypeError or ArgumentError that name operator, argument, expected
// and got. This is also the shape inference of graphs: sizes that stay symbolic must be provably
// equal.
Binding BindCall(const Op& op, std::span<const std::optional<Type>> operands, const Attrs& attrs);

// attrs with defaults filled in, each checked against its spec; unknown names are refused.
Attrs CompleteAttrs(const Op& op, const Attrs& attrs);

// The value of an expression; nullopt where it is not of the form factor * symbol + offset.
std::optional<Dim> Evaluate(const DimExpr& expr, const Binding& binding);

// The dtypes of a class ("F": "f32, bf16 or f16"); anything else stands for itself.
std::string DTypesText(std::string_view name);

// How a result of this call lies in memory: 0, row by row; else column by column, each of them a
// multiple of so many rows long. "col_aligned4" is what 16-byte copies of f32 columns ask for; the
// rows that fill a column up are neither written nor read.
int64_t ColumnAlignment(const TypeSpec& spec, const Attrs& attrs);
inline bool IsColumnLayout(const TypeSpec& spec, const Attrs& attrs) {
  return ColumnAlignment(spec, attrs) > 0;
}
// Strides of a fresh result of this shape.
Sizes LayoutStrides(const Sizes& shape, int64_t column_alignment);

// Call info with plain sizes; every dimension of the binding must be a constant.
CallInfo ToCallInfo(const Binding& binding);

}  // namespace fusible
