// The one line of text from which everything about an operator follows.
//
//   name(x: F[..., C], weight: F[C]?, ids: I[...] in V, *, eps: float = 1e-6) -> y@x: F[..., C]
//
//   F, Q8, I, f32      a class of dtypes, or one; every use of a class in a line is the same dtype,
//                      unless numbered (F1, F2); the name of a dtype attribute stands for its value
//   [..., C]           leading dimensions (rows), then letters and expressions: 2*D, C/g (exact),
//                      ceil(N/128), S+1; a bare letter is bound at its first use
//   F (no brackets)    any shape: operands and results of view operators
//   ?                  optional operand; `name: int?` an optional attribute without a default
//   in V, in V?        index values lie in [0, V); with `?` a negative index means "none" and is
//                      skipped
//   layout(col)        result stored column by column over the flattened leading dimensions;
//                      layout(a): as the attribute `a` says, "row", "col" or "col_aligned4"
//   y@x                the result may be given the very memory of operand x
//   a: "p" | "q" = "p" an attribute with its choices; `variant` after it: the choices are variants
//                      of one operator
//   a: float >= 0      the lowest value of a number; before `?` and the default
//   a: float in dtype  a positive value of the 8-bit format that the attribute `dtype` names
//   where 2*R <= D, H/N  behind the results: sizes must be so; a lone expression must be a size
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/attrs.h"
#include "ops/dim_expr.h"

namespace fusible {

struct TypeSpec {
  std::string dtype;          // "F", "F1", "Q8", "f32", or the name of a dtype attribute
  bool any_shape = false;     // no brackets
  bool leading = false;       // begins with `...`
  std::vector<DimExpr> dims;  // behind the leading ones
  std::string layout;         // "", "col", or the attribute that says so
};

struct ParamSpec {
  std::string name;
  TypeSpec type;
  bool optional = false;
  std::optional<DimExpr> bound;  // index values lie below it
  bool skips_negative = false;
};

enum class AttrKind : uint8_t { kInt, kFloat, kBool, kString, kDType, kInts };

struct AttrSpec {
  std::string name;
  AttrKind kind = AttrKind::kInt;
  bool optional = false;  // may be absent; has no default
  std::optional<AttrValue> default_value;
  std::vector<AttrValue> choices;
  std::optional<double> lowest;  // of a number
  std::string value_of;          // the dtype attribute whose positive values it may have, or ""
  bool variant = false;
};

struct ResultSpec {
  std::string name;
  TypeSpec type;
  std::string alias;  // the operand whose memory it may take, or ""
};

// `left <= right`, or that `left` is a size: a division without a rest.
struct SizeRule {
  DimExpr left;
  std::optional<DimExpr> right;
};

struct Signature {
  std::string text;
  std::string name;
  std::vector<ParamSpec> params;
  std::vector<AttrSpec> attrs;
  std::vector<ResultSpec> results;
  std::vector<SizeRule> rules;

  const AttrSpec* FindAttr(std::string_view name) const;
  int FindParam(std::string_view name) const;  // -1 when there is none
};

// Throws GraphError with the column of what is wrong.
Signature ParseSignature(std::string_view text);
DimExpr ParseDimExpr(std::string_view text);  // "2*K*N"

// "F" of F and F2, "Q8" of Q8: the class that a word stands for, numbered or not; "" for others.
std::string_view DTypeClassOf(std::string_view word);
// Whether `word` is a class of dtypes ("F", "Q8", "F2"), and whether `dtype` belongs to it.
bool IsDTypeClass(std::string_view word);
bool InDTypeClass(std::string_view word, DType dtype);

}  // namespace fusible
