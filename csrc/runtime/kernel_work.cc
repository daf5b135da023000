#include "runtime/kernel_work.h"

#include <algorithm>

#include "ir/expand.h"
#include "ir/infer.h"
#include "runtime/node_body.h"
#include "runtime/reads.h"

namespace fusible {
namespace {

bool IsConstant(const Graph& graph, ValueId value) {
  return std::ranges::any_of(graph.inputs, [&](const Input& input) {
    return input.value == value && input.kind == InputKind::kConstant;
  });
}

void DescribeWeight(const Graph& graph, const Reads& reads, ValueId weight, KernelWork& work) {
  const Type& type = graph.TypeOf(weight);
  work.weight = graph.values[weight].name;
  work.weight_dtype = Name(type.dtype);
  work.weight_bytes = Product(*ToSizes(type.shape)) * static_cast<int64_t>(Bytes(type.dtype));
  work.packed = IsConstant(graph, reads.Origin(weight));
}

KernelWork Describe(const Graph& graph, const Reads& reads, const Node& node) {
  const Binding binding = BindCall(*node.op, OperandTypes(graph, node), node.attrs);
  const auto [bytes, flops] = WorkOf(graph, node);
  KernelWork work;
  work.op = node.op->name();
  work.result = LabelOf(graph, node);
  work.dims = ToCallInfo(binding).dims;
  work.rows = Product(*ToSizes(binding.leading));
  work.bytes = bytes;
  work.flops = flops;
  work.rows_dtype = Name(graph.TypeOf(node.inputs[0]).dtype);
  if (node.op->packs() >= 0) DescribeWeight(graph, reads, node.inputs[node.op->packs()], work);
  return work;
}

}  // namespace

std::vector<KernelWork> WorkOfKernels(Graph graph, const std::map<std::string, int64_t>& sizes) {
  Expand(graph, [](const Node& node) { return node.op && RunsAsGraph(*node.op); });
  const Graph bound = BindSymbols(graph, sizes);
  const Reads reads(bound);
  std::vector<KernelWork> works;
  for (const Node& node : bound.nodes) {
    if (node.op && node.op->kernel()) works.push_back(Describe(bound, reads, node));
  }
  return works;
}

}  // namespace fusible
