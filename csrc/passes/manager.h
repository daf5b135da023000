// Runs a pipeline of passes: verifies, counts and times each, and makes keys.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/key.h"
#include "passes/pass.h"
#include "passes/pipeline.h"

namespace fusible {

struct PassStats {
  std::string pass;
  int rewrites = 0;  // as far as there was fuel
  double ms = 0;
  int nodes_before = 0, nodes_after = 0;
  std::string left_out;   // why it did not run, as a sentence; "" where it ran
  int64_t looked_at = 0;  // nodes that were looked at for matches of rules
};

struct OptimizeResult {
  Graph graph;
  int operators_before = 0,
      operators_after = 0;             // at top level; a region counts as one; views do not
  std::map<std::string, int> fusions;  // name -> count; of a given rule, how often it was applied
  std::vector<Miss> misses;
  std::vector<Choice> choices;    // in order of passes
  std::vector<Rewrite> rewrites;  // in order
  std::vector<PassStats> stats;   // in order; of a fixpoint each pass once a round
  Key key;  // of graph and pipeline: GraphKey of the input graph, then the pipeline's parts, then
            // the fuel
};

struct RunOptions {
  size_t fuel = Rewrites::kNoLimit;  // only the first so many rewrites of the run are made
  // The sizes of the token dimension that the result is for; none: any. A pass with a range of its
  // own runs where that holds all of these. Nothing checks them against the graph, and results
  // are right for any size.
  std::optional<SizeRange> range;
  // Called behind each pass that ran, with the graph that it left and its own near misses.
  std::function<void(const PassStats&, const Graph&, const std::vector<Miss>&)> watch;
};

class PassManager {
 public:
  // pipeline: as ParsePipeline takes it; empty: the target's own.
  // given: rules beside those of operators; GraphError where one cannot be of use (given_rules.h).
  PassManager(std::string_view pipeline, Target target, std::vector<Rule> given = {});
  // The graph is legal after any number of rewrites.
  // GraphError for a graph that is not legal, PassError where a pass fails or breaks it,
  // ArgumentError where the passes of a fixpoint chase each other.
  OptimizeResult Run(const Graph& graph, const RunOptions& options = {}) const;
  // Parts: "build", "target", "passes" (the pipeline's text, and a hash of the contracts of its
  // passes; without those that the target calls uncacheable, which stand in left_out), "rules"
  // where some are given, and "range" where there is one, whatever the passes make of it.
  Key key(const std::optional<SizeRange>& range = {}) const;
  // The key of the result of Run, without limit.
  Key KeyOf(const Graph& graph, const std::optional<SizeRange>& range = {}) const;
  const Target& target() const { return target_; }
  const Pipeline& pipeline() const { return pipeline_; }

 private:
  Key MakeKey() const;  // without a range

  std::shared_ptr<const std::vector<Rule>> given_;
  std::vector<std::shared_ptr<const Pass>> own_;  // passes with rules, which refer to given_
  Pipeline pipeline_;                             // refers to own_
  Target target_;
  Key key_;  // without a range
};

}  // namespace fusible
