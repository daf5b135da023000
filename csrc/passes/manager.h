// Runs a pipeline of passes: verifies, counts and times each, and makes keys.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/key.h"
#include "passes/pass.h"

namespace fusible {

struct PassStats {
  std::string pass;
  int rewrites = 0;  // as far as there was fuel
  double ms = 0;
  int nodes_before = 0, nodes_after = 0;
};

struct OptimizeResult {
  Graph graph;
  int operators_before = 0,
      operators_after = 0;             // at top level; a region counts as one; views do not
  std::map<std::string, int> fusions;  // name -> count
  std::vector<Miss> misses;
  std::vector<Rewrite> rewrites;  // in order
  std::vector<PassStats> stats;
  Key key;  // of graph and pipeline: GraphKey of the input graph, then the pipeline's parts, then
            // the fuel
};

class PassManager {
 public:
  // pipeline: pass names joined by ','; empty: the target's own. ArgumentError for an unknown name.
  PassManager(std::string_view pipeline, Target target);
  // fuel: only the first so many rewrites of the run are made; the graph is legal after any number.
  // GraphError for a graph that is not legal, PassError where a pass fails or breaks it.
  OptimizeResult Run(const Graph& graph, size_t fuel = Rewrites::kNoLimit) const;
  // Parts: "build", "target", "passes" (ordered, with multiplicity, each with its contract; without
  // those that the target calls uncacheable, which stand in left_out).
  Key key() const;
  Key KeyOf(const Graph& graph) const;  // the key of the result of Run, without limit
  const Target& target() const { return target_; }
  std::string pipeline() const;

 private:
  std::vector<const Pass*> passes_;
  Target target_;
};

}  // namespace fusible
