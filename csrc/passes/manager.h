// Runs a pipeline of passes: verifies, counts and times each, and makes keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/key.h"
#include "passes/pass.h"

namespace fusible {

struct PassStats {
  std::string pass;
  int rewrites = 0;
  double ms = 0;
  int nodes_before = 0, nodes_after = 0;
};

struct OptimizeResult {
  Graph graph;
  int operators_before = 0,
      operators_after = 0;  // at top level; a region counts as one; views do not
  Report report;
  std::vector<PassStats> stats;
  Key key;  // of graph and pipeline: GraphKey of the input graph, then the pipeline's parts
};

class PassManager {
 public:
  // pipeline: pass names joined by ','; empty: the target's own. ArgumentError for an unknown name.
  PassManager(std::string_view pipeline, Target target);
  OptimizeResult Run(const Graph& graph) const;  // throws GraphError if a pass breaks the graph
  // Parts: "build", "target", "passes" (ordered, with multiplicity, each with its contract).
  Key key() const;
  const Target& target() const { return target_; }
  std::string pipeline() const;

 private:
  std::vector<const Pass*> passes_;
  Target target_;
};

}  // namespace fusible
