#include "ir/structure.h"

#include <algorithm>

#include "core/cat.h"
#include "core/digest.h"
#include "ir/syntax.h"

namespace fusible {
namespace {

std::string AttrsText(const Attrs& attrs) {
  std::string text;
  for (const auto& [name, value] : attrs) text += Cat(name, "=", ToText(value), "\n");
  return text;
}

// Nodes that an output or a mutation depends on.
std::vector<bool> FindLive(const Graph& graph) {
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

// The hashes of the operands, a line each.
template <class Hashes>
std::string OperandsText(const Node& node, const Hashes& values) {
  std::vector<std::string> operands;
  for (ValueId input : node.inputs) {
    operands.push_back(input == kAbsent ? "none" : values[input].hash);
  }
  if (node.op && node.op->commutes() && operands[0] > operands[1]) {
    std::swap(operands[0], operands[1]);
  }
  std::string text;
  for (const std::string& operand : operands) text += operand + "\n";
  return text;
}

}  // namespace

std::string HashOf(std::initializer_list<std::string_view> parts) {
  Sha256 hash;
  for (std::string_view part : parts) hash.UpdateFramed(part);
  return Hex(hash.Finish());
}

Structure::Structure(const Graph& graph) {
  Hashes values(graph.values.size());
  Symbols fresh;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Input& input = graph.inputs[i];
    inputs_ += Cat(syntax::Keyword(input.kind), " ", TypeText(graph.TypeOf(input.value), &fresh));
    inputs_ += input.new_value < 0 ? "\n" : Cat(" -> ", input.new_value, "\n");
    values[input.value].hash = HashOf({"input", Cat(i)});
  }
  symbols_ = std::move(fresh);
  HashNodes(graph, values);
  nodes_text_ = Cat(live_.size(), " nodes, sha256:", HashOf({NodesText(0), SymbolsText()}));
  for (ValueId output : graph.outputs) outputs_ += values[output].hash + "\n";
}

void Structure::HashNodes(const Graph& graph, Hashes& values) {
  const std::vector<bool> live = FindLive(graph);
  std::string mutation;  // the hash of the last one: opaque nodes do not move across it
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!live[i]) continue;
    if (node.region) {
      HashRegion(graph, node, values);
      continue;
    }
    const std::string hash =
        node.op ? HashCall(node, values) : HashOpaque(graph, node, values, mutation);
    const int32_t number = AddLive(graph, node, values, hash);
    for (size_t r = 0; r < node.outputs.size(); ++r) {
      values[node.outputs[r]] = {HashOf({hash, Cat(r)}), number};
    }
    if (node.mutates) mutation = hash;
  }
}

std::string Structure::HashCall(const Node& node, const Hashes& values) {
  ops_.insert(node.op);
  return HashOf({"op", node.op->name(), AttrsText(node.attrs), OperandsText(node, values)});
}

std::string Structure::HashOpaque(const Graph& graph, const Node& node, const Hashes& values,
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
void Structure::HashRegion(const Graph& graph, const Node& node, Hashes& values) {
  const Graph& body = node.region->body;
  Hashes inner(body.values.size());
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    const Hashed& outer = values[node.inputs[i]];
    inner[body.inputs[i].value] = {HashOf({"region", outer.hash}), outer.made_by};
  }
  const size_t first = live_.size();
  HashNodes(body, inner);
  const auto end = static_cast<int32_t>(live_.size());
  const int32_t number = AddLive(graph, node, values, HashOf({"region", NodesText(first)}));
  for (auto i = static_cast<int32_t>(first); i < end; ++i) live_[number].reads.push_back(i);
  for (size_t r = 0; r < node.outputs.size(); ++r) {
    const Hashed& made = inner[body.outputs[r]];
    values[node.outputs[r]] = {HashOf({"region result", made.hash}), made.made_by};
  }
}

int32_t Structure::AddLive(const Graph& graph, const Node& node, const Hashes& values,
                           std::string hash) {
  LiveNode added{&graph, &node, std::move(hash), {}};
  for (ValueId input : node.inputs) {
    if (input != kAbsent && values[input].made_by >= 0) {
      added.reads.push_back(values[input].made_by);
    }
  }
  live_.push_back(std::move(added));
  return static_cast<int32_t>(live_.size()) - 1;
}

// The hashes of the live nodes from `first` on, sorted.
std::string Structure::NodesText(size_t first) const {
  std::vector<std::string_view> hashes;
  for (size_t i = first; i < live_.size(); ++i) hashes.push_back(live_[i].hash);
  std::ranges::sort(hashes);
  std::string text;
  for (std::string_view hash : hashes) {
    text += hash;
    text += '\n';
  }
  return text;
}

// Symbols are numbered in the order in which inputs have them. Others come from opaque nodes and
// are numbered in each alone, so that the order of nodes does not matter.
std::string Structure::TypeText(const Type& type, Symbols* fresh) const {
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
std::string Structure::SymbolsText() {
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

}  // namespace fusible
