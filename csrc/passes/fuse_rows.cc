#include <algorithm>
#include <iterator>
#include <utility>

#include "ir/pattern.h"
#include "ir/rows.h"
#include "ir/views.h"
#include "passes/apply_rules.h"
#include "passes/edit.h"
#include "passes/groups.h"
#include "passes/list.h"
#include "passes/region_name.h"

namespace fusible::passes {
namespace {

// The one operand that differs from row to row; -1 where there are several.
int OnlyRowOperand(const Node& node) {
  int only = -1;
  const auto& params = node.op->signature().params;
  for (size_t i = 0; i < params.size(); ++i) {
    if (node.inputs[i] == kAbsent || !params[i].type.leading) continue;
    if (only >= 0) return -1;
    only = static_cast<int>(i);
  }
  return only;
}

// The reshape in front of a row operator that parts it from the row operator which makes its rows:
// it changes how the rows are counted and nothing else, so it can as well stand behind. nullptr:
// none.
const Node* FindParting(const Graph& graph, const std::vector<int32_t>& producers,
                        const Node& node) {
  const int operand = IsRowOp(node) ? OnlyRowOperand(node) : -1;
  if (operand < 0 || producers[node.inputs[operand]] < 0) return nullptr;
  const Node& view = graph.nodes[producers[node.inputs[operand]]];
  if (!IsView(view) || view.op->name() != "reshape" || producers[view.inputs[0]] < 0)
    return nullptr;
  const Node& maker = graph.nodes[producers[view.inputs[0]]];
  if (!IsRowOp(maker) || CommonDims(LeadingDims(graph, maker), LeadingDims(graph, node)) > 0) {
    return nullptr;
  }
  const auto& made = maker.op->signature().results;
  const auto result = std::ranges::find(maker.outputs, view.inputs[0]) - maker.outputs.begin();
  const int trailing = static_cast<int>(std::max(
      made[result].type.dims.size(), node.op->signature().params[operand].type.dims.size()));
  return KeepsTrailing(graph, view, trailing) ? &view : nullptr;
}

// Takes the reshape of the results instead of the operand. False where that cannot be written.
bool SinkView(Graph& graph, const Node& view, Node node) {
  std::vector<std::optional<Type>> operands;
  node.inputs[OnlyRowOperand(node)] = view.inputs[0];
  for (ValueId input : node.inputs) {
    operands.push_back(input == kAbsent ? std::nullopt : std::optional(graph.TypeOf(input)));
  }
  const Binding binding = BindCall(*node.op, operands, node.attrs);
  std::vector<Node> views;
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const auto attrs = ReplayAttrs(graph, view, binding.results[i]);
    if (!attrs) return false;
    Node behind;
    behind.op = view.op;
    behind.attrs = *attrs;
    behind.outputs = {node.outputs[i]};
    views.push_back(behind);
  }
  for (size_t i = 0; i < views.size(); ++i) {
    const std::string name = graph.values[node.outputs[i]].name;
    node.outputs[i] = graph.AddValue(name, binding.results[i]);
    views[i].inputs = {node.outputs[i]};
  }
  graph.nodes.push_back(std::move(node));
  std::ranges::move(views, std::back_inserter(graph.nodes));
  return true;
}

// Moves reshapes that only count rows otherwise behind the row operators that follow them. Returns
// whether there was one. Going down once is enough: what a reshape was moved behind comes later.
bool SinkViews(Graph& graph) {
  bool any = false;
  std::vector<int32_t> producers(graph.values.size(), -1);
  for (Node& node : std::exchange(graph.nodes, {})) {
    const size_t first = graph.nodes.size();
    const Node* view = FindParting(graph, producers, node);
    if (view && SinkView(graph, *view, node)) {
      any = true;
    } else {
      graph.nodes.push_back(std::move(node));
    }
    producers.resize(graph.values.size(), -1);
    for (size_t i = first; i < graph.nodes.size(); ++i) {
      for (ValueId output : graph.nodes[i].outputs) producers[output] = static_cast<int32_t>(i);
    }
  }
  if (any) DropDeadNodes(graph);
  return any;
}

// Makes regions of the groups, as far as there is fuel.
void ReplaceByRegions(Graph& graph, std::vector<RowGroup> groups, Rewrites& rewrites) {
  std::vector<Node> regions;
  std::vector<int32_t> last(graph.nodes.size(), -1);  // the number of the region that ends there
  std::vector<bool> gone(graph.nodes.size(), false);
  for (RowGroup& group : groups) {
    const int32_t end = group.members.back();
    auto region = std::make_shared<Region>();
    region->name = RegionName(group.body);
    if (!rewrites.Take(region->name, LabelOf(graph, graph.nodes[end]))) break;
    for (int32_t member : group.replaced) gone[member] = true;
    region->body = std::move(group.body);
    Node node;
    node.region = std::move(region);
    node.inputs = std::move(group.inputs);
    node.outputs = std::move(group.outputs);
    last[end] = static_cast<int32_t>(regions.size());
    regions.push_back(std::move(node));
  }
  std::vector<Node> nodes;
  nodes.reserve(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!gone[i]) nodes.push_back(std::move(graph.nodes[i]));
    if (last[i] >= 0) nodes.push_back(std::move(regions[last[i]]));
  }
  graph.nodes = std::move(nodes);
  SortTopologically(graph);
  // Views that are inside now, and read what the region does not give; calls that all who read them
  // make for themselves.
  DropDeadNodes(graph);
}

class FuseRows final : public Pass {
 public:
  FuseRows() = default;
  explicit FuseRows(std::span<const Rule> given) : rules_(Ordered({}, given)) {}

  std::string_view name() const override { return "fuse-rows"; }
  std::string_view doc() const override {
    return "Gathers row operators over common leading dimensions into regions that run block by "
           "block.";
  }
  std::string contract() const override {
    std::string text;
    for (const Rule& rule : AllRules()) text += RuleContract(rule) + "\n";
    return text;
  }
  // Given rules are applied first: to what they leave, rows are gathered from.
  std::unique_ptr<Pass> With(std::span<const Rule> given) const override {
    return std::make_unique<FuseRows>(given);
  }
  std::span<const Rule* const> rules() const override { return rules_; }
  void Run(Graph& graph, const Target& target, Report& report) const override {
    Rewrites& rewrites = report.rewrites;
    Graph fused = graph;
    if (!rules_.empty()) ApplyRules(fused, target, rules_, report);
    DropDeadNodes(fused);  // what nobody reads neither joins nor stands in the way
    ExpandCalls(
        fused, [](const Op& op) { return !op.equals().empty() && !op.rows() && !op.kernel(); },
        rewrites);
    // Both can bring equal calls to light.
    if (SinkViews(fused) || !rewrites.made().empty()) ShareEqualCalls(fused);
    std::vector<RowGroup> groups = GroupRows(fused, target, report);
    if (groups.empty() && rewrites.made().empty()) return;
    ReplaceByRegions(fused, std::move(groups), rewrites);
    if (rewrites.made().empty()) return;
    ShareEqualCalls(fused);  // views taken again of one result
    graph = std::move(fused);
    Compact(graph);
  }

 private:
  std::vector<const Rule*> rules_;  // given ones; those of operators are regions' names here
};

}  // namespace

std::unique_ptr<Pass> fuse_rows() { return std::make_unique<FuseRows>(); }

}  // namespace fusible::passes
