#include "runtime/row_blocks.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "ir/rows.h"
#include "ir/views.h"
#include "runtime/reads.h"

namespace fusible {
namespace {

// A product reads its weights again for every so many rows in any case (kernels/matmul_plan.h), so
// blocks of them cost no more reading.
constexpr int64_t kBlockRows = 512;
constexpr int64_t kRowTiles = 32;  // so that few tiles of rows are not full

bool Mentions(const Dim& dim, const Dim& rows) { return dim.symbol == rows.symbol; }

// Of a type: its first dimension is `rows`, or none is; any other place of the symbol would change
// with the size of a block.
bool IsOver(const Type& type, const Dim& rows) {
  return !type.shape.empty() && type.shape[0] == rows &&
         std::none_of(type.shape.begin() + 1, type.shape.end(),
                      [&](const Dim& dim) { return Mentions(dim, rows); });
}

bool IsFree(const Type& type, const Dim& rows) {
  return std::ranges::none_of(type.shape, [&](const Dim& dim) { return Mentions(dim, rows); });
}

bool OpKeepsRows(const Graph& graph, const Node& node, const Dim& rows) {
  const Signature& signature = node.op->signature();
  const auto fits = [&](const TypeSpec& spec, const Type& type) {
    if (!spec.leading) return IsFree(type, rows);
    return LeadingRank(spec, type) > 0 && IsOver(type, rows);
  };
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kAbsent) continue;
    if (!fits(signature.params[i].type, graph.TypeOf(node.inputs[i]))) return false;
  }
  for (size_t r = 0; r < node.outputs.size(); ++r) {
    const TypeSpec& spec = signature.results[r].type;
    if (!spec.leading || !fits(spec, graph.TypeOf(node.outputs[r]))) return false;
  }
  return true;
}

bool RegionKeepsRows(const Graph& body, const Dim& rows) {
  const Reads reads(body);
  for (const Value& value : body.values) {
    if (value.type < 0) continue;
    const Type& type = body.types[value.type];
    if (!IsOver(type, rows) && !IsFree(type, rows)) return false;
  }
  for (const Input& input : body.inputs) {
    const bool as_rows = !reads.AsWhole(input.value);
    if (as_rows != IsOver(body.TypeOf(input.value), rows)) return false;
  }
  const bool gives_rows = std::ranges::all_of(
      body.outputs, [&](ValueId out) { return IsOver(body.TypeOf(out), rows); });
  return gives_rows && CommonPrefix(body).value_or(0) > 0;
}

// Whether row i of each result needs row i of operands, and whole operands, alone.
bool KeepsRows(const Graph& graph, const Node& node, const Dim& rows) {
  if (IsView(node)) {
    return IsOver(graph.TypeOf(node.inputs[0]), rows) &&
           IsOver(graph.TypeOf(node.outputs[0]), rows) && KeptDims(graph, node) > 0;
  }
  if (node.region) return RegionKeepsRows(node.region->body, rows);
  return node.op && OpKeepsRows(graph, node, rows);
}

class Finder {
 public:
  explicit Finder(const Graph& graph)
      : graph_(graph), reads_(graph), producers_(Producers(graph)), inputs_(graph.values.size()) {
    for (const Input& input : graph.inputs) inputs_[input.value] = &input;
  }

  std::vector<RowBlocks> Run() {
    for (int n = 0; n < std::ssize(graph_.nodes);) {
      const int last = EndOf(n);
      if (last > n) Add(n, last);
      n = std::max(last, n + 1);
    }
    return std::move(found_);
  }

 private:
  // Behind the last node that goes with node n; n where none does.
  int EndOf(int n) {
    const Node& first = graph_.nodes[n];
    if (IsView(first) || first.outputs.empty()) return n;
    const Shape& shape = graph_.TypeOf(first.outputs[0]).shape;
    if (shape.empty() || !(shape[0].factor == 1 && shape[0].offset == 0)) return n;
    rows_ = shape[0];
    // The new value of such an input is to be its memory.
    for (const Input& input : graph_.inputs) {
      if (input.kind == InputKind::kUpdated && !IsFree(graph_.TypeOf(input.value), rows_)) return n;
    }
    std::vector<bool> made(graph_.values.size());
    int end = n;
    for (int at = n; at < std::ssize(graph_.nodes); ++at) {
      const Node& node = graph_.nodes[at];
      const bool keeps = KeepsRows(graph_, node, rows_);
      if (keeps ? !ReadsAsMade(node, n, made) : !IsView(node)) break;
      if (!keeps) continue;
      for (const ValueId out : node.outputs) made[out] = true;
      end = at + 1;
    }
    return end;
  }

  // What node `first` and those behind it make is read as they make it, not through a view that
  // takes rows apart.
  bool ReadsAsMade(const Node& node, int first, const std::vector<bool>& made) const {
    return std::ranges::all_of(node.inputs, [&](ValueId in) {
      return in == kAbsent || made[in] || producers_[reads_.Origin(in)] < first;
    });
  }

  void Add(int first, int last) {
    RowBlocks blocks;
    blocks.first = first;
    blocks.last = last;
    blocks.rows = rows_;
    blocks.graph = graph_;
    Graph& part = blocks.graph;
    std::erase_if(part.inputs, [](const Input& i) { return i.kind != InputKind::kConstant; });
    part.nodes.clear();
    known_.assign(graph_.values.size(), false);
    for (int n = first; n < last; ++n) {
      const Node& node = graph_.nodes[n];
      if (!KeepsRows(graph_, node, rows_)) continue;
      for (const ValueId in : node.inputs) Read(in, blocks);
      for (const ValueId out : node.outputs) known_[out] = true;
      part.nodes.push_back(node);
    }
    blocks.results = part.outputs = Escaping(first, last, part);
    if (!IsWorthIt(part)) return;
    Compact(part);
    found_.push_back(std::move(blocks));
  }

  // Views of constants are the part's own: it may want them in another layout.
  void Read(ValueId value, RowBlocks& blocks) {
    if (value == kAbsent || known_[value]) return;
    known_[value] = true;
    const Input* origin = inputs_[reads_.Origin(value)];
    if (!origin || origin->kind != InputKind::kConstant) {
      blocks.graph.inputs.push_back({value, InputKind::kPlain});
      blocks.inputs.push_back(value);
    } else if (producers_[value] >= 0) {
      const Node& view = graph_.nodes[producers_[value]];
      Read(view.inputs[0], blocks);
      blocks.graph.nodes.push_back(view);
    }
  }

  // What nodes of the part make and others, or the caller, read; a view of it stands for it.
  std::vector<ValueId> Escaping(int first, int last, const Graph& part) const {
    std::vector<bool> read(graph_.values.size());
    const auto mark = [&](ValueId value) {
      if (value != kAbsent) read[reads_.Origin(value)] = true;
    };
    for (int n = 0; n < std::ssize(graph_.nodes); ++n) {
      const bool inside = n >= first && n < last && KeepsRows(graph_, graph_.nodes[n], rows_);
      if (!inside && !IsView(graph_.nodes[n])) std::ranges::for_each(graph_.nodes[n].inputs, mark);
    }
    std::ranges::for_each(graph_.outputs, mark);
    std::vector<ValueId> escaping;
    for (const Node& node : part.nodes) {
      if (IsView(node)) continue;
      std::ranges::copy_if(node.outputs, std::back_inserter(escaping),
                           [&](ValueId out) { return read[out]; });
    }
    return escaping;
  }

  static bool IsWorthIt(const Graph& part) {
    const bool multiplies = std::ranges::any_of(
        part.nodes, [](const Node& node) { return node.op && node.op->kernel(); });
    size_t made = 0;
    for (const Node& node : part.nodes) made += IsView(node) ? 0 : node.outputs.size();
    return multiplies && made > part.outputs.size();
  }

  const Graph& graph_;
  const Reads reads_;
  const std::vector<int32_t> producers_;
  std::vector<const Input*> inputs_;  // of each value; nullptr: it is none
  std::vector<bool> known_;           // values that the part at hand has
  Dim rows_;
  std::vector<RowBlocks> found_;
};

}  // namespace

std::vector<RowBlocks> FindRowBlocks(const Graph& graph) { return Finder(graph).Run(); }

int64_t BlockRows(int64_t rows) {
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  if (blocks <= 1) return rows;
  const int64_t even = (rows + blocks - 1) / blocks;
  return (even + kRowTiles - 1) / kRowTiles * kRowTiles;
}

}  // namespace fusible
