#include "runtime/node_body.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "core/cat.h"
#include "core/error.h"
#include "ir/expand.h"
#include "ir/infer.h"
#include "ir/rows.h"
#include "ir/updates.h"
#include "ir/views.h"

namespace fusible {
namespace {

std::vector<int> PresentInputs(const Node& node) {
  std::vector<int> positions;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] != kAbsent) positions.push_back(static_cast<int>(i));
  }
  return positions;
}

// The node alone in a graph of its own.
Graph Alone(const Graph& graph, const Node& node) {
  Graph alone;
  Node copy = node;
  for (ValueId& in : copy.inputs) {
    if (in == kAbsent) continue;
    in = alone.AddInput(alone.FreshName(graph.values[in].name), graph.TypeOf(in));
  }
  for (ValueId& out : copy.outputs) {
    out = alone.AddValue(graph.values[out].name, graph.TypeOf(out));
  }
  alone.outputs.assign(copy.outputs.begin(), copy.outputs.end());
  alone.nodes.push_back(std::move(copy));
  return alone;
}

Graph Equal(const Graph& graph, const Node& node) {
  Graph body = ExpandEquals(*node.op, OperandTypes(graph, node), node.attrs);
  Expand(body, [](const Node& node) { return node.op && !node.op->rows(); });
  return body;
}

// The letters by which index operands select: sizes of tables, caches and the like.
void AddNames(const DimExpr& expr, std::set<std::string>& names) {
  if (expr.IsName()) names.insert(expr.name);
  for (const DimExpr& arg : expr.args) AddNames(arg, names);
}

std::set<std::string> IndexedLetters(const Signature& signature) {
  std::set<std::string> letters;
  for (const ParamSpec& param : signature.params) {
    if (param.bound) AddNames(*param.bound, letters);
  }
  return letters;
}

bool Mentions(const TypeSpec& spec, const std::set<std::string>& letters) {
  std::set<std::string> own;
  for (const DimExpr& dim : spec.dims) AddNames(dim, own);
  return std::ranges::any_of(own, [&](const std::string& name) { return letters.contains(name); });
}

int64_t BytesOf(const Graph& graph, ValueId value) {
  const Type& type = graph.TypeOf(value);
  return Product(*ToSizes(type.shape)) * static_cast<int64_t>(Bytes(type.dtype));
}

// What one call of an operator moves of each of its values, results behind the operands.
class CallTraffic {
 public:
  CallTraffic(const Graph& graph, const Node& node)
      : graph_(graph), node_(node), letters_(IndexedLetters(node.op->signature())) {
    for (size_t i = 0; i < node.inputs.size(); ++i) Widen(Param(i), node.inputs[i]);
    for (size_t r = 0; r < node.outputs.size(); ++r) Widen(Result(r), node.outputs[r]);
  }

  int64_t OfInput(size_t i) const { return Of(Param(i), node_.inputs[i]); }
  int64_t OfResult(size_t r) const { return Of(Result(r), node_.outputs[r]); }

 private:
  const TypeSpec& Param(size_t i) const { return node_.op->signature().params[i].type; }
  const TypeSpec& Result(size_t r) const { return node_.op->signature().results[r].type; }

  void Widen(const TypeSpec& spec, ValueId value) {
    if (spec.leading && value != kAbsent) rows_ = std::max(rows_, BytesOf(graph_, value));
  }

  int64_t Of(const TypeSpec& spec, ValueId value) const {
    if (value == kAbsent) return 0;
    const int64_t all = BytesOf(graph_, value);
    return !spec.leading && Mentions(spec, letters_) ? std::min(all, rows_) : all;
  }

  const Graph& graph_;
  const Node& node_;
  const std::set<std::string> letters_;
  int64_t rows_ = 0;
};

int64_t FlopsOf(const Graph& graph, const Node& node) {
  if (!node.op || !node.op->flops()) return 0;
  const Binding binding = BindCall(*node.op, OperandTypes(graph, node), node.attrs);
  const auto flops = Evaluate(*node.op->flops(), binding);
  return flops ? flops->offset * Product(*ToSizes(binding.leading)) : 0;
}

}  // namespace

std::optional<NodeBody> BodyOf(const Graph& graph, const Node& node) {
  if (IsView(node) || (node.op && node.op->kernel())) return std::nullopt;
  if (node.op && node.op->rows()) {
    return NodeBody{.graph = Alone(graph, node),
                    .prefix = LeadingDims(graph, node).size(),
                    .positions = PresentInputs(node)};
  }
  if (!node.region && (!node.op || node.op->equals().empty())) {
    throw UnsupportedError(
        Cat(NodeName(node), ": expected a kernel or what it equals, got neither"));
  }
  NodeBody body{.graph = node.region ? node.region->body : Equal(graph, node),
                .positions = PresentInputs(node)};
  const auto prefix = CommonPrefix(body.graph);
  if (!prefix) {
    throw UnsupportedError(Cat(NodeName(node), ": expected rows over common leading dimensions"));
  }
  body.prefix = *prefix;
  return body;
}

std::vector<int> TakeableInputs(const Graph& body, int k) {
  const std::vector<int32_t> producers = Producers(body);
  std::vector<ValueId> todo{body.outputs[k]};
  std::vector<int> found;
  std::set<ValueId> seen;
  for (size_t at = 0; at < todo.size(); ++at) {
    const ValueId value = todo[at];
    if (value == kAbsent || !seen.insert(value).second) continue;
    if (producers[value] < 0) {
      const auto input = std::ranges::find(body.inputs, value, &Input::value);
      found.push_back(static_cast<int>(input - body.inputs.begin()));
      continue;
    }
    std::ranges::copy(MemoryOperands(body.nodes[producers[value]], value),
                      std::back_inserter(todo));
  }
  return found;
}

Work WorkOf(const Graph& body) {
  std::vector<int64_t> moved(body.values.size());
  Work work;
  for (const Node& node : body.nodes) {
    work.flops += FlopsOf(body, node);
    if (IsView(node)) continue;
    const CallTraffic traffic(body, node);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId in = node.inputs[i];
      if (in != kAbsent) moved[in] = std::max(moved[in], traffic.OfInput(i));
    }
    for (size_t r = 0; r < node.outputs.size(); ++r) moved[node.outputs[r]] = traffic.OfResult(r);
  }
  for (const Input& input : body.inputs) work.bytes += moved[input.value];
  for (const ValueId out : body.outputs) work.bytes += moved[out];
  return work;
}

Work WorkOf(const Graph& graph, const Node& node) { return WorkOf(Alone(graph, node)); }

}  // namespace fusible
