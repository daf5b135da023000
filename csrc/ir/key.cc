#include "ir/key.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/cat.h"
#include "core/digest.h"
#include "ir/syntax.h"

namespace fusible {
namespace {

constexpr size_t kShownContent = 200;  // bytes; a longer part is kept as its digest

std::string HashOf(std::initializer_list<std::string_view> parts) {
  Sha256 hash;
  for (std::string_view part : parts) hash.UpdateFramed(part);
  return Hex(hash.Finish());
}

std::string Shorten(const std::string& content) {
  return content.size() <= kShownContent ? content : Cat("sha256:", HashOf({content}));
}

std::string AttrsText(const Attrs& attrs) {
  std::string text;
  for (const auto& [name, value] : attrs) text += Cat(name, "=", ToText(value), "\n");
  return text;
}

// Hashes nodes from what they are and what flows into them, so that neither names nor the order of
// independent nodes matter. A value's hash stands for everything that it is computed from.
class Structure {
 public:
  explicit Structure(const Graph& graph) {
    Hashes values(graph.values.size());
    Symbols fresh;
    for (size_t i = 0; i < graph.inputs.size(); ++i) {
      const Input& input = graph.inputs[i];
      inputs_ += Cat(syntax::Keyword(input.kind), " ", TypeText(graph.TypeOf(input.value), &fresh));
      inputs_ += input.new_value < 0 ? "\n" : Cat(" -> ", input.new_value, "\n");
      values[input.value] = HashOf({"input", Cat(i)});
    }
    symbols_ = std::move(fresh);
    HashNodes(graph, Live(graph), values);
    nodes_text_ = Cat(nodes_.size(), " nodes, sha256:", HashOf({NodesText(0), SymbolsText()}));
    for (ValueId output : graph.outputs) outputs_ += values[output] + "\n";
  }

  const std::string& inputs() const { return inputs_; }
  const std::string& outputs() const { return outputs_; }
  const std::set<const Op*>& ops() const { return ops_; }

  // Every live node, those of regions too, as often as it is there.
  const std::string& nodes() const { return nodes_text_; }

 private:
  using Hashes = std::vector<std::string>;             // of values
  using Symbols = std::map<std::string, std::string>;  // what stands for each

  // Nodes that an output or a mutation depends on.
  static std::vector<bool> Live(const Graph& graph) {
    std::vector<bool> needed(graph.values.size());
    for (ValueId output : graph.outputs) needed[output] = true;
    std::vector<bool> live(graph.nodes.size());
    for (size_t i = graph.nodes.size(); i-- > 0;) {
      const Node& node = graph.nodes[i];
      live[i] = node.mutates || std::any_of(node.outputs.begin(), node.outputs.end(),
                                            [&](ValueId id) { return needed[id]; });
      if (!live[i]) continue;
      for (ValueId input : node.inputs) {
        if (input != kAbsent) needed[input] = true;
      }
    }
    return live;
  }

  void HashNodes(const Graph& graph, const std::vector<bool>& live, Hashes& values) {
    std::string mutation;  // the hash of the last one: opaque nodes do not move across it
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      if (!live[i]) continue;
      if (node.region) {
        HashRegion(node, values);
        continue;
      }
      const std::string hash =
          node.op ? HashCall(node, values) : HashOpaque(graph, node, values, mutation);
      for (size_t r = 0; r < node.outputs.size(); ++r) {
        values[node.outputs[r]] = HashOf({hash, Cat(r)});
      }
      if (node.mutates) mutation = hash;
      nodes_.push_back(hash);
    }
  }

  std::string HashCall(const Node& node, const Hashes& values) {
    ops_.insert(node.op);
    return HashOf({"op", node.op->name(), AttrsText(node.attrs), OperandsText(node, values)});
  }

  std::string HashOpaque(const Graph& graph, const Node& node, const Hashes& values,
                         const std::string& mutation) {
    Symbols fresh;  // symbols that no input has, by their number in this node
    std::string types;
    for (ValueId output : node.outputs) types += TypeText(graph.TypeOf(output), &fresh) + "\n";
    const std::string hash = HashOf({"opaque", node.opaque, node.mutates ? "mutates" : "", mutation,
                                     types, AttrsText(node.attrs), OperandsText(node, values)});
    for (const auto& [symbol, number] : fresh) met_[symbol].push_back(Cat(hash, " ", number));
    return hash;
  }

  // A body is hashed with what flows into it, and marked at its borders, so that a region is not
  // the same as its nodes outside of one. Its name does not count. It is a node beside those in it:
  // which of them stand in one region counts.
  void HashRegion(const Node& node, Hashes& values) {
    const Graph& body = node.region->body;
    Hashes inner(body.values.size());
    for (size_t i = 0; i < body.inputs.size(); ++i) {
      inner[body.inputs[i].value] = HashOf({"region", values[node.inputs[i]]});
    }
    const size_t first = nodes_.size();
    HashNodes(body, Live(body), inner);
    nodes_.push_back(HashOf({"region", NodesText(first)}));
    for (size_t r = 0; r < node.outputs.size(); ++r) {
      values[node.outputs[r]] = HashOf({"region result", inner[body.outputs[r]]});
    }
  }

  // The nodes from `first` on, sorted.
  std::string NodesText(size_t first) {
    std::sort(nodes_.begin() + static_cast<int64_t>(first), nodes_.end());
    std::string text;
    for (size_t i = first; i < nodes_.size(); ++i) text += nodes_[i] + "\n";
    return text;
  }

  static std::string OperandsText(const Node& node, const Hashes& values) {
    std::string text;
    for (ValueId input : node.inputs) text += (input == kAbsent ? "none" : values[input]) + "\n";
    return text;
  }

  // Symbols are numbered in the order in which inputs have them. Others come from opaque nodes and
  // are numbered in each alone, so that the order of nodes does not matter.
  std::string TypeText(const Type& type, Symbols* fresh) const {
    Type renamed{type.dtype, {}};
    for (const Dim& dim : type.shape) {
      if (dim.IsConstant()) {
        renamed.shape.push_back(dim);
        continue;
      }
      const std::string name(dim.symbol.name());
      const auto known = symbols_.find(name);
      const std::string& text = known != symbols_.end()
                                    ? known->second
                                    : fresh->try_emplace(name, Cat(fresh->size())).first->second;
      renamed.shape.push_back(Dim(dim.factor, Symbol(Cat("s", text)), dim.offset));
    }
    return Cat(renamed);
  }

  // Which results of opaque nodes have a symbol in common.
  std::string SymbolsText() {
    std::vector<std::string> lines;
    for (auto& [symbol, places] : met_) {
      std::ranges::sort(places);
      std::string line;
      for (const std::string& place : places) line += place + ", ";
      lines.push_back(line);
    }
    std::ranges::sort(lines);
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return text;
  }

  std::string inputs_, outputs_, nodes_text_;
  std::vector<std::string> nodes_;
  std::set<const Op*> ops_;
  Symbols symbols_;                                      // of the inputs
  std::map<std::string, std::vector<std::string>> met_;  // the others, where each is
};

// In the order of names: pointers differ from run to run.
std::string ContractsText(const std::set<const Op*>& ops) {
  std::map<std::string, std::string> contracts;
  for (const Op* op : ops) contracts[op->name()] = OperatorContract(*op);
  std::string text;
  for (const auto& [name, contract] : contracts) text += Cat(name, " ", HashOf({contract}), "\n");
  return text;
}

}  // namespace

std::string Key::uuid() const {
  Sha256 hash;
  for (const auto& [name, content] : parts) {
    hash.UpdateFramed(name);
    hash.UpdateFramed(content);
  }
  return Uuid8(hash.Finish());
}

Key GraphKey(const Graph& graph) {
  const Structure structure(graph);
  return {{{"inputs", Shorten(structure.inputs())},
           {"outputs", Shorten(structure.outputs())},
           {"structure", structure.nodes()},
           {"operators", Shorten(ContractsText(structure.ops()))}}};
}

std::string OperatorContract(const Op& op) {
  return Cat(op.signature().text, "\n", op.equals(), "\n", op.commutes() ? "commutes" : "", "\n",
             op.view() ? "view" : "");
}

std::string_view BuildId() {
  return
#include "build_id.inc"
      ;
}

}  // namespace fusible
