#include <map>

#include "core/cat.h"
#include "passes/edit.h"
#include "passes/list.h"

namespace fusible::passes {
namespace {

// The same text for calls that compute the same: operator, attributes, operands, and what has been
// mutated before.
std::string CallText(const Node& node, int mutations) {
  std::string text = Cat(node.op->name(), '@', mutations);
  for (ValueId input : node.inputs) text += Cat(' ', input);
  for (const auto& [name, value] : node.attrs) text += Cat(' ', name, '=', ToText(value));
  return text;
}

class ShareCommon final : public Pass {
 public:
  std::string_view name() const override { return "share-common"; }
  std::string_view doc() const override {
    return "Makes equal calls of operators one; opaque calls stay as they are.";
  }
  int Run(Graph& graph, const Target&, Report&) const override {
    std::map<std::string, std::vector<ValueId>> calls;
    const std::vector<int> mutations = MutationsBefore(graph);
    Replacements shared;
    int rewrites = 0;
    std::vector<Node> kept;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      Node node = graph.nodes[i];
      for (ValueId& input : node.inputs) input = shared.Of(input);
      const auto [call, fresh] = node.op ? calls.try_emplace(CallText(node, mutations[i]), node.outputs)
                                         : std::pair(calls.end(), true);
      if (fresh) {
        kept.push_back(std::move(node));
        continue;
      }
      ++rewrites;
      for (size_t k = 0; k < node.outputs.size(); ++k) shared.Set(node.outputs[k], call->second[k]);
    }
    if (rewrites == 0) return 0;
    graph.nodes = std::move(kept);
    shared.Apply(graph);
    Compact(graph);
    return rewrites;
  }
};

}  // namespace

std::unique_ptr<Pass> share_common() { return std::make_unique<ShareCommon>(); }

}  // namespace fusible::passes
