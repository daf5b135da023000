#include <algorithm>

#include "ir/views.h"
#include "passes/edit.h"
#include "passes/list.h"

namespace fusible::passes {
namespace {

// One sweep in topological order, so that each node sees what has become of its operands.
class Canonicalizer {
 public:
  Canonicalizer(Graph& graph, Rewrites& rewrites)
      : graph_(graph), rewrites_(rewrites), position_(graph.values.size(), 0) {
    producers_ = Producers(graph);
  }

  void Run() {
    for (const Input& input : graph_.inputs) position_[input.value] = next_position_++;
    for (Node& node : graph_.nodes) {
      for (ValueId& input : node.inputs) input = replaced_.Of(input);
      for (ValueId output : node.outputs) position_[output] = next_position_++;
      if (node.op) Rewrite(node);
    }
    if (rewrites_.made().empty()) return;
    std::erase_if(graph_.nodes,
                  [](const Node& node) { return !node.op && node.opaque.empty() && !node.region; });
    replaced_.Apply(graph_);
    Compact(graph_);
  }

 private:
  void Rewrite(Node& node) {
    if (IsView(node)) {
      MergeReshapes(node);
      MergeTransposes(node);
      SpellView(node);
    }
    if (IsIdentity(node) && Take("identity", node)) {
      replaced_.Set(node.outputs[0], node.inputs[0]);
      node = Node();  // erased behind the sweep
      return;
    }
    SortOperands(node);
    DropUsualMaximum(node);
  }

  bool Take(std::string_view rule, const Node& node) {
    return rewrites_.Take(rule, LabelOf(graph_, node));
  }

  bool IsIdentity(const Node& node) const {
    if (IsView(node)) return IsIdentityView(graph_, node);
    return node.op->name() == "cast" &&
           graph_.TypeOf(node.inputs[0]) == graph_.TypeOf(node.outputs[0]);
  }

  void MergeReshapes(Node& node) {
    const int32_t before = producers_[node.inputs[0]];
    if (node.op->name() != "reshape" || before < 0 || graph_.nodes[before].op != node.op) return;
    const ValueId base = graph_.nodes[before].inputs[0];
    const auto attrs = CanonicalViewAttrs(*node.op, node.attrs, graph_.TypeOf(base).shape,
                                          graph_.TypeOf(node.outputs[0]).shape);
    if (!attrs || !Take("merge-reshapes", node)) return;
    node.inputs[0] = base;
    node.attrs = *attrs;
  }

  // Dimension i of the result is dimension before[dims[i]] of what the first one was given.
  void MergeTransposes(Node& node) {
    const int32_t before = producers_[node.inputs[0]];
    if (node.op->name() != "transpose" || before < 0 || graph_.nodes[before].op != node.op) return;
    if (!Take("merge-transposes", node)) return;
    std::vector<int64_t> dims = node.attrs.Ints("dims");
    for (int64_t& dim : dims) dim = graph_.nodes[before].attrs.Ints("dims")[dim];
    node.inputs[0] = graph_.nodes[before].inputs[0];
    node.attrs.Set("dims", dims);
  }

  void SpellView(Node& node) {
    const auto attrs = CanonicalViewAttrs(*node.op, node.attrs, graph_.TypeOf(node.inputs[0]).shape,
                                          graph_.TypeOf(node.outputs[0]).shape);
    if (!attrs || *attrs == node.attrs || !Take("spell-view", node)) return;
    node.attrs = *attrs;
  }

  void SortOperands(Node& node) {
    if (!node.op->commutes() || node.inputs[0] == kAbsent || node.inputs[1] == kAbsent) return;
    if (position_[node.inputs[0]] <= position_[node.inputs[1]]) return;
    if (!Take("sort-operands", node)) return;
    std::swap(node.inputs[0], node.inputs[1]);
  }

  // A quantizer's `fp8_max` that is the usual one of its dtype is the same as none.
  void DropUsualMaximum(Node& node) {
    const AttrValue* maximum = node.attrs.Find("fp8_max");
    const AttrValue* dtype = node.attrs.Find("dtype");
    if (!maximum || !dtype || !std::holds_alternative<DType>(*dtype)) return;
    if (*maximum != AttrValue(static_cast<double>(QuantMax(std::get<DType>(*dtype))))) return;
    if (!Take("usual-maximum", node)) return;
    node.attrs.Erase("fp8_max");
  }

  Graph& graph_;
  Rewrites& rewrites_;
  std::vector<int32_t> producers_;
  std::vector<int64_t> position_;  // of each value: inputs first, then results in order
  int64_t next_position_ = 0;
  Replacements replaced_;
};

class Canonicalize final : public Pass {
 public:
  std::string_view name() const override { return "canonicalize"; }
  std::string_view doc() const override {
    return "Drops views and casts that change nothing, merges reshapes and transposes, sorts the "
           "operands of commuting operators, and writes equal attributes one way.";
  }
  void Run(Graph& graph, const Target&, Report& report) const override {
    Canonicalizer(graph, report.rewrites).Run();
  }
};

}  // namespace

std::unique_ptr<Pass> canonicalize() { return std::make_unique<Canonicalize>(); }

}  // namespace fusible::passes
