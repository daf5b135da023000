#include "passes/manager.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <set>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <variant>

#include "core/cat.h"
#include "core/digest.h"
#include "core/error.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ir/views.h"
#include "passes/fault.h"
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

// What was taken apart and put together again is no change, takes no fuel, and so must not be left
// half done. A pass that fails is not judged: it fails again, or behind the end of the fuel.
bool ChangesNothing(const Pass& pass, const Target& target, Graph graph) {
  Report report;
  try {
    pass.Run(graph, target, report);
  } catch (const std::exception&) {
    return false;
  }
  return report.rewrites.made().empty();
}

// Runs the pass; whatever it throws that is not about its target is a fault of its own.
void RunGuarded(const Pass& pass, const Target& target, Graph& graph, Report& report) {
  try {
    pass.Run(graph, target, report);
  } catch (const GraphError& error) {
    throw std::logic_error(error.what());
  } catch (const std::bad_optional_access& error) {
    throw std::logic_error(error.what());
  } catch (const std::bad_variant_access& error) {
    throw std::logic_error(error.what());
  }
}

// std::logic_error where the pass broke the graph, or said that it changed what it did not. text:
// of the graph, before the pass and then behind it.
void CheckOutcome(const Graph& graph, const Rewrites& rewrites, std::string& text) {
  const std::vector<Violation> violations = FindViolations(graph);
  if (!violations.empty()) {
    const Violation& first = violations.front();
    throw std::logic_error(Cat(first.rule, ": ", first.node, ": ", first.message));
  }
  const std::string before = std::exchange(text, ToText(graph));
  const bool changed = text != before;
  if (changed == rewrites.made().empty() && !rewrites.refused()) {
    throw std::logic_error(Cat("says that it made ", rewrites.made().size(),
                               " rewrites, and the graph ", changed ? "changed" : "is the same"));
  }
}

PassError Fault(const Pass& pass, const std::string& what, const Rewrites& rewrites, size_t done) {
  const std::vector<Rewrite>& made = rewrites.made();
  const Rewrite last = made.empty() ? Rewrite{std::string(pass.name()), "", ""} : made.back();
  const size_t count = done + made.size();
  const std::string behind =
      made.empty() ? "" : Cat(" (behind rewrite ", count, ": ", last.rule, " at ", last.node, ")");
  return {Cat(pass.name(), ": ", what, behind), last, count};
}

// Runs one pass on the result's graph, of which `text` is the text.
void RunPass(const Pass& pass, const Target& target, size_t fuel, OptimizeResult& result,
             std::string& text) {
  const bool at_rest = fuel != Rewrites::kNoLimit && ChangesNothing(pass, target, result.graph);
  Report report{Rewrites(pass.name(), at_rest ? Rewrites::kNoLimit : fuel), {}};
  PassStats stats;
  stats.pass = pass.name();
  stats.nodes_before = static_cast<int>(result.graph.nodes.size());
  const auto start = std::chrono::steady_clock::now();
  try {
    RunGuarded(pass, target, result.graph, report);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    stats.ms = took.count();
    CheckOutcome(result.graph, report.rewrites, text);
  } catch (const std::logic_error& error) {
    throw Fault(pass, error.what(), report.rewrites, result.rewrites.size());
  }
  stats.rewrites = static_cast<int>(report.rewrites.made().size());
  stats.nodes_after = static_cast<int>(result.graph.nodes.size());
  result.stats.push_back(stats);
  std::ranges::copy(report.rewrites.made(), std::back_inserter(result.rewrites));
  std::ranges::move(report.misses, std::back_inserter(result.misses));
}

// Each reason once: what would save most first, and of those that save the same in order of passes.
std::vector<Miss> Ranked(const std::vector<Miss>& misses) {
  std::set<std::tuple<std::string, std::string, std::string>> seen;
  std::vector<Miss> distinct;
  for (const Miss& miss : misses) {
    if (seen.emplace(miss.rule, miss.node, miss.reason).second) distinct.push_back(miss);
  }
  std::ranges::stable_sort(distinct, std::ranges::greater(), &Miss::saves);
  return distinct;
}

}  // namespace

PassManager::PassManager(std::string_view pipeline, Target target)
    : passes_(ParsePipeline(pipeline.empty() ? std::string_view(target.pipeline) : pipeline)),
      target_(std::move(target)) {}

OptimizeResult PassManager::Run(const Graph& graph, size_t fuel) const {
  Verify(graph, "input");
  OptimizeResult result;
  result.graph = graph;
  result.operators_before = CountOperators(graph);
  result.key = KeyOf(graph);
  if (fuel != Rewrites::kNoLimit) result.key.parts.emplace_back("fuel", Cat(fuel));
  std::string text = result.key.graph;
  for (const Pass* pass : passes_) {
    const size_t left = fuel == Rewrites::kNoLimit ? fuel : fuel - result.rewrites.size();
    RunPass(*pass, target_, left, result, text);
  }
  result.operators_after = CountOperators(result.graph);
  result.misses = Ranked(result.misses);
  result.fusions = CountFusions(result.graph);
  return result;
}

Key PassManager::key() const {
  Sha256 passes;
  std::string names;
  Key key;
  for (const Pass* pass : passes_) {
    const auto excluded = target_.uncacheable.find(std::string(pass->name()));
    if (excluded != target_.uncacheable.end()) {
      key.left_out.push_back(Cat("pass ", excluded->first, ": ", excluded->second));
      continue;
    }
    passes.UpdateFramed(pass->name());
    passes.UpdateFramed(pass->contract());
    names += Cat(names.empty() ? "" : ",", pass->name());
  }
  key.parts = {{"build", std::string(BuildId())},
               {"target", target_.ToText()},
               {"passes", Cat(names, " ", Hex(passes.Finish()))}};
  return key;
}

Key PassManager::KeyOf(const Graph& graph) const {
  Key result = GraphKey(graph);
  Key ours = key();
  for (auto& part : ours.parts) result.parts.push_back(std::move(part));
  result.left_out = std::move(ours.left_out);
  return result;
}

std::string PassManager::pipeline() const {
  std::string names;
  for (const Pass* pass : passes_) names += Cat(names.empty() ? "" : ",", pass->name());
  return names;
}

}  // namespace fusible
