// What the kernels of whole tensors of a graph have to do, for certain sizes.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace fusible {

struct KernelWork {
  std::string op, result;
  std::vector<std::pair<std::string, int64_t>> dims;  // each letter of the operator's signature
  int64_t rows = 1;                                   // what `...` stands for
  int64_t bytes = 0;                                  // of operands and results, once each
  int64_t flops = 0;                                  // 0 where the operator does not say
  // Of the operand that is a weight; "" where the operator takes none packed.
  std::string weight, weight_dtype;
  int64_t weight_bytes = 0;
  bool packed = false;     // an executable packs it: a constant, or a view of one
  std::string rows_dtype;  // of the first operand
};

// In the order of nodes. Fused operators that run as a graph of smaller ones are taken apart.
// ArgumentError for a symbol without a size.
std::vector<KernelWork> WorkOfKernels(Graph graph, const std::map<std::string, int64_t>& sizes);

}  // namespace fusible
