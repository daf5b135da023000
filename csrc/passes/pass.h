// A pass rewrites a graph for a target, and says what it did and what it nearly did.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ir/pattern.h"
#include "ir/target.h"
#include "passes/rewrites.h"

namespace fusible {

// Why something did not fuse. `rule` is the fused operator's (or rule's) name, or "rows".
struct Miss {
  std::string rule;
  std::string node;    // the first result of the node where it failed
  std::string reason;  // extra_user, view_splits_last_dim, dtype, attr, op_variant, no_kernel,
                       // claimed_by, order; of given rules condition, predicate, replacement,
                       // too_few, moves_data; between regions not_rows, leading_dims, cycle,
                       // scratch, whole_operand, length
  std::string hint;    // the smallest change that would make it match
  int64_t saves = 0;   // bytes per row (see savings.h) that fusing would not move
};

// What was chosen where row operators could run together in more than one way. Bytes are per row
// (see savings.h), of all that these operators read and write.
struct Choice {
  std::string kind;       // recompute: steps run again instead of being read; split: by scratch
  std::string node;       // the first result of what is recomputed, or of what begins a region
  std::string hint;       // what was done, or what the other way would take
  int64_t bytes = 0;      // that are moved so
  int64_t otherwise = 0;  // that would be moved the other way
};

// What a pass says about its run.
struct Report {
  Rewrites rewrites;
  std::vector<Miss> misses;  // of a whole run: what would save most first
  std::vector<Choice> choices;
  int64_t looked_at = 0;  // see Matcher; of passes that apply rules
};

class Pass {
 public:
  virtual ~Pass() = default;
  virtual std::string_view name() const = 0;  // kebab-case, as in a pipeline
  virtual std::string_view doc() const = 0;   // one sentence
  // The same pass with rules beside its own; nullptr where it applies none. The rules must live as
  // long as the pass.
  virtual std::unique_ptr<Pass> With(std::span<const Rule>) const { return nullptr; }
  // Its rules; those that come first where several match stand first.
  virtual std::span<const Rule* const> rules() const { return {}; }
  // What it depends on beside graph, target and rules that are given, framed for keys.
  virtual std::string contract() const { return ""; }
  // Asks report.rewrites before each rewrite, and leaves the graph as it is without one.
  virtual void Run(Graph& graph, const Target& target, Report& report) const = 0;
};

const std::vector<std::unique_ptr<Pass>>& AllPasses();
const Pass& RequirePass(std::string_view name);  // ArgumentError that lists the names

}  // namespace fusible
