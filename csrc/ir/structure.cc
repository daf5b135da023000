#include "ir/structure.h"

#include <algorithm>
#include <cstring>

#include "core/cat.h"
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

std::string_view BytesOf(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

Digest DigestOf(std::initializer_list<std::string_view> parts) {
  Sha256 hash;
  for (std::string_view part : parts) hash.UpdateFramed(part);
  return hash.Finish();
}

std::string HashOf(std::initializer_list<std::string_view> parts) { return Hex(DigestOf(parts)); }

Structure::Structure(const Graph& graph) {
  Hashes values(graph.values.size());
  Symbols fresh;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Input& input = graph.inputs[i];
    inputs_ += Cat(syntax::Keyword(input.kind), " ", TypeText(graph.TypeOf(input.value), &fresh));
    inputs_ += input.new_value < 0 ? "\n" : Cat(" -> ", input.new_value, "\n");
    values[input.value].hash = DigestOf({"input", Cat(i)});
  }
  symbols_ = std::move(fresh);
  HashNodes(graph, values);
  nodes_text_ = Cat(live_.size(), " nodes, sha256:", HashOf({NodesText(0), SymbolsText()}));
  for (ValueId output : graph.outputs) {
    const Hashed& value = values[output];
    outputs_ += HashOf({BytesOf(value.hash), Cat(value.result)}) + "\n";
  }
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
    const Digest hash =
        node.op ? HashCall(node, values) : HashOpaque(graph, node, values, mutation);
    const int32_t number = AddLive(graph, node, values, hash);
    for (size_t r = 0; r < node.outputs.size(); ++r) {
      values[node.outputs[r]] = {hash, static_cast<int32_t>(r), number};
    }
    if (node.mutates) mutation = BytesOf(hash);
  }
}

// For each operand the hash of what made it and the number of the result, 36 bytes together; zeros
// for one that is absent.
std::string Structure::OperandsText(const Node& node, const Hashes& values) {
  constexpr size_t kEach = sizeof(Digest) + sizeof(int32_t);
  std::string text(node.inputs.size() * kEach, '\0');
  char* at = text.data();
  for (ValueId input : node.inputs) {
    if (input != kAbsent) {
      std::memcpy(at, values[input].hash.data(), sizeof(Digest));
      for (size_t i = 0; i < sizeof(int32_t); ++i) {  // in one order on every machine
        at[sizeof(Digest) + i] = static_cast<char>(values[input].result >> (8 * i));
      }
    }
    at += kEach;
  }
  if (node.op && node.op->commutes() && std::memcmp(text.data(), &text[kEach], kEach) > 0) {
    std::swap_ranges(text.begin(), text.begin() + kEach, text.begin() + kEach);
  }
  return text;
}

Digest Structure::HashCall(const Node& node, const Hashes& values) {
  ops_.insert(node.op);
  return DigestOf({"op", node.op->name(), AttrsText(node.attrs), OperandsText(node, values)});
}

Digest Structure::HashOpaque(const Graph& graph, const Node& node, const Hashes& values,
                             std::string_view mutation) {
  Symbols fresh;  // symbols that no input has, by their number in this node
  std::string types;
  for (ValueId output : node.outputs) types += TypeText(graph.TypeOf(output), &fresh) + "\n";
  const Digest hash = DigestOf({"opaque", node.opaque, node.mutates ? "mutates" : "", mutation,
                                types, AttrsText(node.attrs), OperandsText(node, values)});
  for (const auto& [symbol, number] : fresh) met_[symbol].push_back(Cat(Hex(hash), " ", number));
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
    inner[body.inputs[i].value] = {DigestOf({"region", BytesOf(outer.hash)}), outer.result,
                                   outer.made_by};
  }
  const size_t first = live_.size();
  HashNodes(body, inner);
  const auto end = static_cast<int32_t>(live_.size());
  AddLive(graph, node, values, DigestOf({"region", NodesText(first)}));
  for (auto i = static_cast<int32_t>(first); i < end; ++i) AddRead(i);
  for (size_t r = 0; r < node.outputs.size(); ++r) {
    const Hashed& made = inner[body.outputs[r]];
    values[node.outputs[r]] = {DigestOf({"region result", BytesOf(made.hash)}), made.result,
                               made.made_by};
  }
}

int32_t Structure::AddLive(const Graph& graph, const Node& node, const Hashes& values,
                           const Digest& hash) {
  live_.push_back({&graph, &node, hash, reads_.size(), reads_.size()});
  for (ValueId input : node.inputs) {
    if (input != kAbsent && values[input].made_by >= 0) AddRead(values[input].made_by);
  }
  return static_cast<int32_t>(live_.size()) - 1;
}

void Structure::AddRead(int32_t read) {
  reads_.push_back(read);
  live_.back().end_read = reads_.size();
}

// The hashes of the live nodes from `first` on, sorted.
std::string Structure::NodesText(size_t first) const {
  std::vector<Digest> hashes;
  hashes.reserve(live_.size() - first);
  for (size_t i = first; i < live_.size(); ++i) hashes.push_back(live_[i].hash);
  std::ranges::sort(hashes);
  std::string text;
  text.reserve(hashes.size() * sizeof(Digest));
  for (const Digest& hash : hashes) text += BytesOf(hash);
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
