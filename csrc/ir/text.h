// The text form of a graph, which reads like the Equals bodies of operators:
//
//   # a comment
//   input x: bf16[T, 4096]
//   constant w: bf16[4096]
//   updated cache: bf16[B, 16, 8, 128]
//   sum = add(x, residual)
//   q, s = rows rms_norm_group_quant_fp8 {
//     y = rms_norm(sum, w, eps=1e-05)
//     q, s = per_token_group_quant_fp8(y, group_size=64)
//     return q, s
//   }
//   a: bf16[T, 64] = opaque(q, s, name="flash", mutates=true)
//   return a, sum
//
// `return y -> cache` says that y is the new value of an updated input; a text without any `->`
// leaves that to be found (ir/updates.h).
// An absent optional operand is `none`. Attributes with their default value are not printed. Names
// are [A-Za-z_][A-Za-z0-9_.]*. ParseGraph(ToText(g)) == g for every graph that verifies (after
// Compact).
#pragma once

#include <string>
#include <string_view>

#include "ir/graph.h"

namespace fusible {

inline constexpr size_t kMaxGraphText = size_t{64} << 20;  // bytes; a larger text is refused

// Throws GraphError with line and column; signature errors name the line as well.
Graph ParseGraph(std::string_view text);
std::string ToText(const Graph& graph);
// A node of it alone; of a region without its body.
std::string StatementText(const Graph& graph, const Node& node);

}  // namespace fusible
