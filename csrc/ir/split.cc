#include "ir/split.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/cat.h"
#include "ir/expand.h"
#include "ir/verify.h"
#include "ops/registry.h"

namespace fusible {
namespace {

std::string NameToCutAt(const Node& node) {
  return node.opaque.empty() ? NodeName(node) : node.opaque;
}

void CheckNames(const Graph& graph, std::span<const std::string> names) {
  if (names.empty()) throw ArgumentError("at: expected names to cut at, got none");
  std::set<std::string> known;
  for (const Node& node : graph.nodes) known.insert(NameToCutAt(node));
  for (const std::string& name : names) {
    if (known.contains(name) || FindOp(name)) continue;
    std::string text;
    for (const std::string& each : known) text += Cat(text.empty() ? "" : ", ", each);
    throw ArgumentError(
        Cat("at: expected operators, or opaque nodes or regions of the graph, which has ",
            text.empty() ? "no nodes" : text, "; got ", name));
  }
}

class Splitter {
 public:
  explicit Splitter(const Graph& graph)
      : graph_(graph),
        piece_of_(graph.nodes.size()),
        last_reader_(graph.values.size(), -1),
        made_by_(graph.values.size(), -1),
        local_(graph.values.size(), kAbsent),
        input_(graph.values.size(), nullptr) {}

  std::vector<Piece> Run(std::span<const std::string> names) {
    Place(names);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (piece_of_[i] != current_) Begin(piece_of_[i]);
      Add(graph_.nodes[i]);
    }
    if (current_ >= 0) End();
    return std::move(pieces_);
  }

 private:
  // Which node is in which piece, and which piece makes and reads each value.
  void Place(std::span<const std::string> names) {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      const std::string name = NameToCutAt(node);
      const bool cut = std::ranges::count(names, name) > 0;
      if (cut || pieces_.empty() || !pieces_.back().at.empty()) {
        pieces_.push_back({cut ? name : "", {}});
      }
      piece_of_[i] = static_cast<int>(pieces_.size()) - 1;
      for (ValueId input : node.inputs) {
        if (input != kAbsent) last_reader_[input] = piece_of_[i];
      }
      for (ValueId output : node.outputs) made_by_[output] = piece_of_[i];
    }
    for (ValueId output : graph_.outputs) last_reader_[output] = static_cast<int>(pieces_.size());
    for (const Input& input : graph_.inputs) input_[input.value] = &input;
  }

  void Begin(int piece) {
    if (current_ >= 0) End();
    current_ = piece;
  }

  void Add(const Node& original) {
    Node node = original;
    for (ValueId& id : node.inputs) {
      if (id != kAbsent) id = Read(id);
    }
    for (ValueId& id : node.outputs) id = Local(id);
    graph().nodes.push_back(std::move(node));
  }

  ValueId Read(ValueId id) {
    if (local_[id] != kAbsent) return local_[id];
    const Input* input = input_[id];
    const bool constant = input && input->kind == InputKind::kConstant;
    graph().inputs.push_back({Local(id), constant ? InputKind::kConstant : InputKind::kPlain});
    return local_[id];
  }

  ValueId Local(ValueId id) {
    local_[id] = static_cast<ValueId>(graph().values.size());
    graph().values.push_back({graph_.values[id].name, graph().types.Add(graph_.TypeOf(id))});
    mentioned_.push_back(id);
    return local_[id];
  }

  void End() {
    for (ValueId id : mentioned_) {
      if (made_by_[id] == current_ && last_reader_[id] > current_) {
        graph().outputs.push_back(local_[id]);
      }
    }
    for (const Input& input : graph_.inputs) Update(input);
    for (ValueId id : mentioned_) local_[id] = kAbsent;
    mentioned_.clear();
  }

  void Update(const Input& input) {
    if (input.new_value < 0 || local_[input.value] == kAbsent) return;
    const ValueId result = graph_.outputs[input.new_value];
    if (made_by_[result] != current_ || last_reader_[input.value] > current_) return;
    const auto ours = std::ranges::find(graph().inputs, local_[input.value], &Input::value);
    const auto made = std::ranges::find(graph().outputs, local_[result]);
    ours->kind = InputKind::kUpdated;
    ours->new_value = static_cast<int>(made - graph().outputs.begin());
  }

  Graph& graph() { return pieces_[current_].graph; }

  const Graph& graph_;
  std::vector<Piece> pieces_;
  std::vector<int> piece_of_;        // of each node
  std::vector<int> last_reader_;     // of each value the last piece; behind all for a result
  std::vector<int> made_by_;         // of each value; -1: an input
  std::vector<ValueId> local_;       // of each value its number in the current piece
  std::vector<const Input*> input_;  // of each value; nullptr: none
  std::vector<ValueId> mentioned_;   // in the current piece
  int current_ = -1;
};

// Puts pieces behind each other, by the names of what flows between them.
class Joiner {
 public:
  explicit Joiner(const Graph& whole) : whole_(whole) {
    for (const Input& input : whole.inputs) {
      const Value& value = whole.values[input.value];
      named_[value.name] = joined_.AddInput(value.name, whole.TypeOf(input.value), input.kind);
      joined_.inputs.back().new_value = input.new_value;
    }
  }

  void Add(const Graph& piece, const Graph& graph, size_t number) {
    Check(number, "inputs", piece.inputs.size(), graph.inputs.size());
    Check(number, "outputs", piece.outputs.size(), graph.outputs.size());
    std::vector<ValueId> given;
    for (size_t i = 0; i < piece.inputs.size(); ++i) {
      CheckType(number, piece, piece.inputs[i].value, graph, graph.inputs[i].value);
      given.push_back(named_.at(NameOf(piece, piece.inputs[i].value)));
    }
    const auto first = static_cast<ValueId>(joined_.values.size());
    const std::vector<ValueId> results = Inline(joined_, graph, given);
    for (size_t i = 0; i < results.size(); ++i) {
      CheckType(number, piece, piece.outputs[i], graph, graph.outputs[i]);
      const std::string& name = NameOf(piece, piece.outputs[i]);
      named_[name] = results[i];
      if (results[i] >= first) names_.emplace_back(results[i], name);
    }
  }

  Graph Finish() {
    for (ValueId output : whole_.outputs) {
      joined_.outputs.push_back(named_.at(NameOf(whole_, output)));
    }
    NameResults();
    Compact(joined_);
    Verify(joined_, "join");
    return std::move(joined_);
  }

 private:
  static const std::string& NameOf(const Graph& graph, ValueId id) { return graph.values[id].name; }

  static void Check(size_t number, std::string_view what, size_t expected, size_t got) {
    if (expected == got) return;
    throw GraphError(
        Cat("join: piece ", number, ": expected ", expected, " ", what, ", got ", got));
  }

  static void CheckType(size_t number, const Graph& piece, ValueId ours, const Graph& graph,
                        ValueId theirs) {
    if (piece.TypeOf(ours) == graph.TypeOf(theirs)) return;
    throw GraphError(Cat("join: piece ", number, ": ", NameOf(piece, ours), ": expected ",
                         piece.TypeOf(ours), ", got ", graph.TypeOf(theirs)));
  }

  // Gives results of pieces their own names; what has one of these takes the name that is free.
  void NameResults() {
    std::unordered_map<std::string, ValueId> owners;
    for (ValueId id = 0; id < std::ssize(joined_.values); ++id) {
      owners[joined_.values[id].name] = id;
    }
    for (const auto& [value, name] : names_) {
      const auto owner = owners.find(name);
      std::string& present = joined_.values[value].name;
      if (present == name) continue;
      const std::string free = std::exchange(present, name);
      owners.erase(free);
      if (owner != owners.end()) {
        joined_.values[owner->second].name = free;
        owners[free] = owner->second;
      }
      owners[name] = value;
    }
  }

  const Graph& whole_;
  Graph joined_;
  std::map<std::string, ValueId> named_;                // in the whole graph
  std::vector<std::pair<ValueId, std::string>> names_;  // of what pieces give
};

}  // namespace

std::vector<Piece> SplitAt(const Graph& graph, std::span<const std::string> names) {
  CheckNames(graph, names);
  return Splitter(graph).Run(names);
}

Graph Join(const Graph& whole, std::span<const Piece> pieces, std::span<const Graph> graphs) {
  if (pieces.size() != graphs.size()) {
    throw GraphError(Cat("join: expected ", pieces.size(), " graphs, got ", graphs.size()));
  }
  Joiner joiner(whole);
  for (size_t i = 0; i < pieces.size(); ++i) joiner.Add(pieces[i].graph, graphs[i], i);
  return joiner.Finish();
}

}  // namespace fusible
