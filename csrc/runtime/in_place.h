// Which results may take an operand's memory, and which of these update an input of the graph.
#pragma once

#include <optional>
#include <vector>

#include "runtime/node_body.h"
#include "runtime/reads.h"

namespace fusible {

using NodeBodies = std::vector<std::optional<NodeBody>>;  // one a node

class InPlace {
 public:
  // The graph outlives this.
  InPlace(const Graph& graph, const NodeBodies& bodies, const Reads& reads);

  // The inputs of node n's body whose memory its result k may take: nobody reads them after, or
  // beside, and they have its type. That of Updates comes first. How they lie in memory is not
  // looked at.
  const std::vector<int>& Candidates(int n, int k) const { return candidates_[n][k]; }

  // The one of these that is an updated input's memory, if it is taken on the way to the input's
  // new value, from which one goes back over results that may take their operand's memory. A
  // result lies on the way of one input alone. nullopt: it must leave such memory alone.
  std::optional<int> Updates(int n, int k) const { return updates_[n][k]; }

 private:
  void FindWholes();
  bool MayTake(int n, int k, int input) const;
  ValueId Operand(int n, int input) const;
  void FindUpdate(ValueId input, ValueId new_value);

  const Graph& graph_;
  const NodeBodies& bodies_;
  const Reads& reads_;
  std::vector<int32_t> producers_;
  std::vector<bool> whole_;  // it shows all of a value in order: no slice or transpose
  std::vector<std::vector<std::vector<int>>> candidates_;
  std::vector<std::vector<std::optional<int>>> updates_;
};

}  // namespace fusible
