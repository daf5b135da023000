#include "passes/manager.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <tuple>

#include "core/cat.h"
#include "core/digest.h"
#include "core/error.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ir/views.h"
#include "passes/support.h"

namespace fusible {
namespace {

std::vector<const Pass*> ParsePipeline(std::string_view text) {
  std::vector<const Pass*> passes;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view name = text.substr(0, comma);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    passes.push_back(&RequirePass(name));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return passes;
}

// Regions and calls at top level; views cost nothing.
int CountOperators(const Graph& graph) {
  return static_cast<int>(
      std::ranges::count_if(graph.nodes, [](const Node& node) { return !IsView(node); }));
}

PassStats RunPass(const Pass& pass, const Target& target, Graph& graph, Report& report) {
  PassStats stats;
  stats.pass = pass.name();
  stats.nodes_before = static_cast<int>(graph.nodes.size());
  const std::string before = ToText(graph);
  const auto start = std::chrono::steady_clock::now();
  stats.rewrites = pass.Run(graph, target, report);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  stats.ms = took.count();
  stats.nodes_after = static_cast<int>(graph.nodes.size());
  Verify(graph, pass.name());
  if ((stats.rewrites == 0) != (ToText(graph) == before)) {
    throw GraphError(Cat(pass.name(), ": says that it made ", stats.rewrites,
                         " rewrites, and the graph ",
                         stats.rewrites == 0 ? "changed" : "is the same"));
  }
  return stats;
}

// Each reason once, in order of the passes.
std::vector<Miss> Distinct(const std::vector<Miss>& misses) {
  std::set<std::tuple<std::string, std::string, std::string>> seen;
  std::vector<Miss> distinct;
  for (const Miss& miss : misses) {
    if (seen.emplace(miss.rule, miss.node, miss.reason).second) distinct.push_back(miss);
  }
  return distinct;
}

}  // namespace

PassManager::PassManager(std::string_view pipeline, Target target)
    : passes_(ParsePipeline(pipeline.empty() ? std::string_view(target.pipeline) : pipeline)),
      target_(std::move(target)) {}

OptimizeResult PassManager::Run(const Graph& graph) const {
  Verify(graph, "input");
  OptimizeResult result;
  result.graph = graph;
  result.operators_before = CountOperators(graph);
  result.key = GraphKey(graph);
  for (const auto& part : key().parts) result.key.parts.push_back(part);
  for (const Pass* pass : passes_) {
    result.stats.push_back(RunPass(*pass, target_, result.graph, result.report));
  }
  result.operators_after = CountOperators(result.graph);
  result.report.misses = Distinct(result.report.misses);
  result.report.fusions = CountFusions(result.graph);
  return result;
}

Key PassManager::key() const {
  Sha256 passes;
  std::string names;
  for (const Pass* pass : passes_) {
    passes.UpdateFramed(pass->name());
    passes.UpdateFramed(pass->contract());
    names += Cat(names.empty() ? "" : ",", pass->name());
  }
  Key key;
  key.parts = {{"build", std::string(BuildId())},
               {"target", target_.ToText()},
               {"passes", Cat(names, " ", Hex(passes.Finish()))}};
  return key;
}

std::string PassManager::pipeline() const {
  std::string names;
  for (const Pass* pass : passes_) names += Cat(names.empty() ? "" : ",", pass->name());
  return names;
}

}  // namespace fusible
