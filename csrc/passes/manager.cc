#include "passes/manager.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <variant>

#include "core/cat.h"
#include "core/digest.h"
#include "core/error.h"
#include "ir/verify.h"
#include "ir/views.h"
#include "passes/fault.h"
#include "passes/given_rules.h"
#include "passes/support.h"

namespace fusible {
namespace {

// Enough for every graph that comes to rest: canonicalize and share-common take three.
constexpr int kMostRounds = 64;

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

void CheckLegal(const Graph& graph) {
  const std::vector<Violation> violations = FindViolations(graph);
  if (violations.empty()) return;
  const Violation& first = violations.front();
  throw std::logic_error(Cat(first.rule, ": ", first.node, ": ", first.message));
}

// std::logic_error where the pass broke the graph, or said that it changed what it did not.
// fingerprint: of the graph, which was legal, before the pass and then behind it.
void CheckOutcome(const Graph& graph, const Rewrites& rewrites, uint64_t& fingerprint) {
  const uint64_t before = std::exchange(fingerprint, Fingerprint(graph));
  const bool changed = fingerprint != before;
  if (changed) CheckLegal(graph);
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

// Each reason once: what would save most first, and of those that save the same in order of passes.
std::vector<Miss> Ranked(const std::vector<Miss>& misses) {
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> seen;
  std::vector<Miss> distinct;
  for (const Miss& miss : misses) {
    if (seen.emplace(miss.rule, miss.node, miss.reason).second) distinct.push_back(miss);
  }
  std::ranges::stable_sort(distinct, std::ranges::greater(), &Miss::saves);
  return distinct;
}

// made: since the graph was as it is now, or in the last round.
ArgumentError Chase(const Stage& stage, std::string_view got, std::span<const Rewrite> made) {
  std::vector<std::string> rules;  // each once, with the place where it came first
  std::set<std::pair<std::string, std::string>> known;
  for (const Rewrite& one : made) {
    if (!known.emplace(one.pass, one.rule).second) continue;
    rules.push_back(Cat(one.pass, ": ", one.rule, " at ", one.node));
  }
  std::string text;
  for (size_t i = 0; i < rules.size(); ++i) {
    text += Cat(i == 0 ? "" : i + 1 == rules.size() ? " and " : ", ", rules[i]);
  }
  return ArgumentError(Cat("pipeline: ", ToText(stage), ": expected it to come to rest, ", got,
                           ": ", text, " chase each other"));
}

// One run of a pipeline: what is done goes into the result.
class PipelineRun {
 public:
  PipelineRun(const Target& target, const RunOptions& options, OptimizeResult& result)
      : target_(target),
        options_(options),
        result_(result),
        fingerprint_(Fingerprint(result.graph)) {}

  void Run(const Stage& stage) {
    std::vector<const Pass*> passes;
    for (const PassCall& call : stage.calls) {
      if (const std::string reason = FindLeftOut(call); reason.empty()) {
        passes.push_back(call.pass);
      } else {
        const int nodes = static_cast<int>(result_.graph.nodes.size());
        PassStats stats;
        stats.pass = call.pass->name();
        stats.nodes_before = stats.nodes_after = nodes;
        stats.left_out = reason;
        result_.stats.push_back(std::move(stats));
      }
    }
    if (stage.fixpoint) return RunToRest(stage, passes);
    for (const Pass* pass : passes) RunPass(*pass);
  }

 private:
  // Why the call does not take part in this run; "" where it does.
  std::string FindLeftOut(const PassCall& call) const {
    if (!call.range || (options_.range && call.range->Holds(*options_.range))) return "";
    return Cat("runs for sizes ", ToText(*call.range), ", and the result is for ",
               options_.range ? ToText(*options_.range) : "any size");
  }

  void RunToRest(const Stage& stage, const std::vector<const Pass*>& passes) {
    std::map<uint64_t, size_t> seen;  // a graph -> how many rewrites had been made then
    size_t done = result_.rewrites.size();
    for (int round = 0; round < kMostRounds; ++round) {
      done = result_.rewrites.size();
      const auto [before, fresh] = seen.try_emplace(fingerprint_, done);
      if (!fresh) throw Chase(stage, "got a graph again", MadeSince(before->second));
      for (const Pass* pass : passes) RunPass(*pass);
      if (result_.rewrites.size() == done) return;
    }
    throw Chase(stage, Cat("got more than ", kMostRounds, " rounds"), MadeSince(done));
  }

  std::span<const Rewrite> MadeSince(size_t first) const {
    return std::span(result_.rewrites).subspan(first);
  }

  void RunPass(const Pass& pass) {
    const bool limited = options_.fuel != Rewrites::kNoLimit;
    const bool at_rest = limited && ChangesNothing(pass, target_, result_.graph);
    const size_t left =
        limited && !at_rest ? options_.fuel - result_.rewrites.size() : Rewrites::kNoLimit;
    Report report{Rewrites(pass.name(), left), {}, {}, 0};
    PassStats stats;
    stats.pass = pass.name();
    stats.nodes_before = static_cast<int>(result_.graph.nodes.size());
    const auto start = std::chrono::steady_clock::now();
    try {
      RunGuarded(pass, target_, result_.graph, report);
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - start;
      stats.ms = took.count();
      CheckOutcome(result_.graph, report.rewrites, fingerprint_);
    } catch (const std::logic_error& error) {
      throw Fault(pass, error.what(), report.rewrites, result_.rewrites.size());
    }
    stats.rewrites = static_cast<int>(report.rewrites.made().size());
    stats.nodes_after = static_cast<int>(result_.graph.nodes.size());
    stats.looked_at = report.looked_at;
    Keep(stats, std::move(report));
  }

  void Keep(const PassStats& stats, Report report) {
    if (options_.watch) options_.watch(stats, result_.graph, Ranked(report.misses));
    result_.stats.push_back(stats);
    std::ranges::copy(report.rewrites.made(), std::back_inserter(result_.rewrites));
    std::ranges::move(report.misses, std::back_inserter(result_.misses));
    std::ranges::move(report.choices, std::back_inserter(result_.choices));
  }

  const Target& target_;
  const RunOptions& options_;
  OptimizeResult& result_;
  uint64_t fingerprint_;  // of the result's graph
};

// The stage with the passes that keys see; the others are written down.
Stage Cacheable(const Stage& stage, const Target& target, std::vector<std::string>& left_out) {
  Stage kept{.calls = {}, .fixpoint = stage.fixpoint};
  for (const PassCall& call : stage.calls) {
    const auto excluded = target.uncacheable.find(std::string(call.pass->name()));
    if (excluded == target.uncacheable.end()) {
      kept.calls.push_back(call);
    } else {
      left_out.push_back(Cat("pass ", excluded->first, ": ", excluded->second));
    }
  }
  return kept;
}

// The passes of a pipeline that apply rules, with those that are given; kept in `own`.
std::vector<const Pass*> WithRules(Pipeline& pipeline, std::span<const Rule> given,
                                   std::vector<std::shared_ptr<const Pass>>& own) {
  std::vector<const Pass*> passes;
  for (Stage& stage : pipeline) {
    for (PassCall& call : stage.calls) {
      if (std::shared_ptr<const Pass> with = call.pass->With(given)) {
        own.push_back(std::move(with));
        call.pass = own.back().get();
      }
      passes.push_back(call.pass);
    }
  }
  return passes;
}

}  // namespace

PassManager::PassManager(std::string_view pipeline, Target target, std::vector<Rule> given)
    : given_(std::make_shared<const std::vector<Rule>>(std::move(given))),
      pipeline_(ParsePipeline(pipeline.empty() ? std::string_view(target.pipeline) : pipeline)),
      target_(std::move(target)) {
  if (!given_->empty()) CheckGiven(*given_, WithRules(pipeline_, *given_, own_), target_);
  key_ = MakeKey();
}

Key PassManager::MakeKey() const {
  Key key;
  Sha256 contracts;
  Pipeline kept;
  for (const Stage& stage : pipeline_) {
    Stage cacheable = Cacheable(stage, target_, key.left_out);
    for (const PassCall& call : cacheable.calls) contracts.UpdateFramed(call.pass->contract());
    if (!cacheable.calls.empty()) kept.push_back(std::move(cacheable));
  }
  key.parts = {{"build", std::string(BuildId())},
               {"target", target_.ToText()},
               {"passes", Cat(ToText(kept), " ", Hex(contracts.Finish()))}};
  if (!given_->empty()) key.parts.emplace_back("rules", GivenContracts(*given_));
  return key;
}

OptimizeResult PassManager::Run(const Graph& graph, const RunOptions& options) const {
  Verify(graph, "input");
  OptimizeResult result;
  result.graph = graph;
  result.operators_before = CountOperators(graph);
  result.key = KeyOf(graph, options.range);
  if (options.fuel != Rewrites::kNoLimit) result.key.parts.emplace_back("fuel", Cat(options.fuel));
  PipelineRun run(target_, options, result);
  for (const Stage& stage : pipeline_) run.Run(stage);
  result.operators_after = CountOperators(result.graph);
  result.misses = Ranked(result.misses);
  result.graph.nodes.shrink_to_fit();  // kept for long, with what it had before it was fused
  result.rewrites.shrink_to_fit();
  result.misses.shrink_to_fit();
  result.fusions = CountFusions(result.graph);
  for (const Rewrite& rewrite : result.rewrites) {
    if (std::ranges::count(*given_, rewrite.rule, &Rule::name) > 0) ++result.fusions[rewrite.rule];
  }
  return result;
}

Key PassManager::key(const std::optional<SizeRange>& range) const {
  Key key = key_;
  if (range) key.parts.emplace_back("range", ToText(*range));
  return key;
}

Key PassManager::KeyOf(const Graph& graph, const std::optional<SizeRange>& range) const {
  Key result = GraphKey(graph);
  Key ours = key(range);
  for (auto& part : ours.parts) result.parts.push_back(std::move(part));
  result.left_out = std::move(ours.left_out);
  return result;
}

}  // namespace fusible
