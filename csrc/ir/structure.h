// What keys see of a graph: hashes that neither names nor the order of independent nodes change.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/digest.h"
#include "ir/graph.h"

namespace fusible {

// SHA-256 of length-framed parts, and the same in hexadecimal.
Digest DigestOf(std::initializer_list<std::string_view> parts);
std::string HashOf(std::initializer_list<std::string_view> parts);

// Hashes nodes from what they are and what flows into them: operands count as the hash of what made
// them and the number of the result, so that a value stands for everything that it is computed
// from. The first two operands of an operator that commutes have no order.
class Structure {
 public:
  // A node that an output or a mutation depends on, those of regions too. Refers to the graph.
  struct LiveNode {
    const Graph* graph;  // the body, where it is in a region
    const Node* node;
    Digest hash;
    size_t first_read, end_read;  // of reads_
  };

  explicit Structure(const Graph& graph);

  // A line for each input.
  const std::string& inputs() const { return inputs_; }
  // The hash of each output, a line each.
  const std::string& outputs() const { return outputs_; }
  const std::set<const Op*>& ops() const { return ops_; }
  // How many live nodes, and the hash of them all, as often as each is there.
  const std::string& nodes() const { return nodes_text_; }
  // What reads comes behind what it reads.
  const std::vector<LiveNode>& live() const { return live_; }
  // The live nodes, by number, that made the node's operands, or that are inside it.
  std::span<const int32_t> ReadsOf(const LiveNode& node) const {
    return std::span(reads_).subspan(node.first_read, node.end_read - node.first_read);
  }

 private:
  struct Hashed {          // a value
    Digest hash{};         // of what made it
    int32_t result = 0;    // which of its results it is
    int32_t made_by = -1;  // a live node; -1: an input
  };
  using Hashes = std::vector<Hashed>;
  using Symbols = std::map<std::string, std::string>;  // what stands for each

  void HashNodes(const Graph& graph, Hashes& values);
  Digest HashCall(const Node& node, const Hashes& values);
  Digest HashOpaque(const Graph& graph, const Node& node, const Hashes& values,
                    std::string_view mutation);
  void HashRegion(const Graph& graph, const Node& node, Hashes& values);
  int32_t AddLive(const Graph& graph, const Node& node, const Hashes& values, const Digest& hash);
  void AddRead(int32_t read);  // of the node that was added last
  static std::string OperandsText(const Node& node, const Hashes& values);
  std::string NodesText(size_t first) const;
  std::string TypeText(const Type& type, Symbols* fresh) const;
  std::string SymbolsText();

  std::string inputs_, outputs_, nodes_text_;
  std::vector<LiveNode> live_;
  std::vector<int32_t> reads_;  // of all live nodes, one after the other
  std::set<const Op*> ops_;
  Symbols symbols_;                                      // of the inputs
  std::map<std::string, std::vector<std::string>> met_;  // the others, where each is
};

}  // namespace fusible
